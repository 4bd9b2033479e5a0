"""Does a trial cost more if there are many before it? A doubling benchmark.

    python benchmarks/growth.py            # about three minutes
    python benchmarks/growth.py --quick    # tiny sizes: does it run?

Trials are fed to each part; the seconds between one power of two and the next give the cost per trial at that length.
The exponent is the slope of log(cost) over log(length): 0 means that trial 100,000 costs the same as trial 100, and 1
that it costs a thousand times as much. Times are the minimum of several runs.
"""

from __future__ import annotations

import gc
import io
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from common import Figure, at_most, database, run, slope
from stories import BATCH, in_batches, opening, spec_of, trial_facts

import raytune_hpo as hpo
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.machine import OptimizerCore
from raytune_hpo.core.messages import AskTrials, EndTrial, ReportMetrics
from raytune_hpo.core.snapshot import snapshot_of
from raytune_hpo.facts import Status
from raytune_hpo.journal import open_storage
from raytune_hpo.progress import Progress
from raytune_hpo.rng import derive

SPACE = {f"p{index}": hpo.uniform(0.0, 1.0) for index in range(10)}
GRID = {"p0": hpo.choice(list(range(1000))), "p1": hpo.choice(list(range(1000)))}
MAX_EXPONENT = 0.15  # flat, as far as a shared machine can tell
STEPS = (1, 3, 9, 27)
RUNNING = 16  # trials at the same time, where trials run

Feeder = Iterator[None]  # each ``next`` is one more trial


# ------------------------------------------------------------------------------------------------ what is fed


def feed_sampler(name: str, space: Any) -> Feeder:
    """Asked and told, with the last few suggestions pending."""
    spec, sampler, _ = spec_of(space, sampler=name)
    bound = sampler.bind(spec.space, spec.goals, spec.seed)
    ledger = Ledger(spec)
    facts = iter_trials(ledger, bound)
    while True:
        next(facts)
        yield


def iter_trials(ledger: Ledger, sampler: Any) -> Iterator[None]:
    from raytune_hpo.facts import Finished, Started

    number = 0
    while True:
        pending = tuple(ledger.unfinished.values()) if sampler.traits.reads_pending else ()
        suggestion = sampler.ask(number, pending, derive(0, "ask", number))
        at = float(number)
        started = Started(number=number, worker="w", at=at, config=suggestion.config, basis=0, meta=suggestion.meta)
        ledger.apply(started)
        if number >= RUNNING:
            done = number - RUNNING
            finished = Finished(
                number=done, attempt=1, status=Status.COMPLETED, at=at, metrics={"loss": 1.0 / (done + 1)}
            )
            sampler.tell(ledger.apply(finished))
        number += 1
        yield


def feed_core(scheduler: str | None = None, steps: tuple[int, ...] = ()) -> Feeder:
    """Trials through the core with the random sampler: asked, reported at some steps, ended."""
    spec, sampler, made = spec_of(SPACE, scheduler=scheduler)
    core = OptimizerCore(spec, sampler, made)
    for fact in opening(spec):
        core.apply(fact)
    running: list[Any] = []
    at = 0.0
    while True:
        at += 1.0
        lease = core.step(AskTrials(worker=f"w{int(at)}", at=at)).reply
        running.append(lease.assignments[0])
        if len(running) == RUNNING:
            run_to_its_end(core, running.pop(0), at, steps)
        yield


def run_to_its_end(core: OptimizerCore, assignment: Any, at: float, steps: tuple[int, ...]) -> None:
    loss, status = assignment.config["p0"], Status.COMPLETED
    for step in steps:
        event = ReportMetrics(number=assignment.number, attempt=1, step=step, metrics={"loss": loss / step}, at=at)
        if core.step(event).reply.verdict == "stop":
            status = Status.PRUNED
            break
    core.step(
        EndTrial(number=assignment.number, attempt=1, status=status, at=at, metrics={"loss": loss}, duration_s=1.0)
    )


def feed_journal() -> Feeder:
    """Two facts for each trial, in batches, into SQLite."""
    spec, _, _ = spec_of(SPACE)
    with database() as storage:
        journal = open_storage(storage).journal(spec.name, create=True, owner="a benchmark")
        journal.append(opening(spec), expect=0)
        length = 2
        for batch in in_batches(trial_facts(spec, range(10**9))):
            journal.append(batch, expect=length)
            length += len(batch)
            for _ in range(BATCH // 2):
                yield


def feed_progress() -> Feeder:
    """The picture of a growing study, shown after each trial."""
    spec, _, _ = spec_of(SPACE)
    ledger = Ledger(spec)
    for fact in opening(spec):
        ledger.apply(fact)
    with Progress(stream=io.StringIO()) as line:
        for count, fact in enumerate(trial_facts(spec, range(10**9))):
            ledger.apply(fact)
            if count % 2:
                line.update(snapshot_of(ledger, fact.at))
                yield


PARTS: dict[str, Callable[[], Feeder]] = {
    "random": lambda: feed_sampler("random", SPACE),
    "sobol": lambda: feed_sampler("sobol", SPACE),
    "grid": lambda: feed_sampler("grid", GRID),
    "core": feed_core,
    "asha": lambda: feed_core("asha", STEPS),
    "median": lambda: feed_core("median", STEPS),
    "journal": feed_journal,
    "progress": feed_progress,
}


# ------------------------------------------------------------------------------------------------ measuring


def costs(feeder: Feeder, sizes: list[int]) -> list[float]:
    """Seconds per trial between each size and the one before."""
    found, fed = [], 0
    gc.collect()
    gc.freeze()
    for size in sizes:
        begin = time.process_time()
        for _ in range(size - fed):
            next(feeder)
        found.append((time.process_time() - begin) / (size - fed))
        fed = size
    gc.unfreeze()
    return found


def measure_part(name: str, quick: bool) -> list[Figure]:
    sizes = [2**k for k in (range(6, 9) if quick else range(10, 18))]
    rounds = 1 if quick else 3
    runs = [costs(PARTS[name](), sizes) for _ in range(rounds)]
    best = [min(run[index] for run in runs) for index in range(len(sizes))]
    # The first size also pays for imports and first blocks.
    exponent = slope([math.log(size) for size in sizes[1:]], [math.log(cost) for cost in best[1:]])
    what = f"{name}: exponent of the cost per trial"
    detail = {"trials": sizes, "microseconds_per_trial": [round(1e6 * cost, 2) for cost in best]}
    first, last = best[1], best[-1]
    print(f"{name}: {1e6 * first:.1f} us a trial at {sizes[1]:,}, {1e6 * last:.1f} us at {sizes[-1]:,}")
    return [at_most(MAX_EXPONENT, name=name, what=what, measured=exponent, unit="", detail=detail)]


if __name__ == "__main__":
    run(__doc__, {name: lambda quick, name=name: measure_part(name, quick) for name in PARTS})
