"""Memory and disk space per trial, and the time to resume a study of many trials.

    python benchmarks/memory.py            # about six minutes
    python benchmarks/memory.py --quick    # tiny sizes: does it run?

Memory is the private memory of processes (Private_* of /proc/PID/smaps_rollup). Linux only.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import Figure, at_least, at_most, database, open_files, resident_bytes, run, slope, use_ray
from stories import BATCH, in_batches, opening, spec_of, store, trial_facts, wide_space

import raytune_hpo as hpo
from raytune_hpo.journal import open_storage

SAMPLERS = ("random", "auto")  # one with nothing to learn, and the default


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


# ------------------------------------------------------------------------------------------------ in memory


def process_ids(study: str) -> dict[str, int]:
    """The processes of a study that runs on Ray, without its workers. Their pool is a thread of the driver."""
    import ray

    from raytune_hpo.cluster.shells import OPTIMIZER, find

    optimizer = find(OPTIMIZER, study).__ray_call__.remote(_own_id)
    return {OPTIMIZER: ray.get(optimizer), "driver": os.getpid()}


def _own_id(actor: Any) -> int:
    return os.getpid()


def measure_processes(quick: bool) -> list[Figure]:
    """A study of no-op trials with ten parameters on Ray, with SQLite; the driver asks for the status while it runs."""
    num_trials = 2_000 if quick else 100_000

    def objective(config: dict) -> float:
        return config["p0"]

    use_ray()
    with database() as storage:
        tuner = hpo.Tuner(
            objective, wide_space(), sampler="random", num_trials=num_trials, max_concurrent=2, storage=storage,
            progress=False, name="memory",
        )  # fmt: skip
        with tuner._run(detached=False) as study:
            pids = process_ids("memory")
            samples = sampled(study, pids)
            results = study.results()
            total = {role: resident_bytes(pid) for role, pid in pids.items()}
    assert len(results) == num_trials
    in_all = at_most(
        500,
        name="in_all",
        what=f"{len(results):,} trials: optimizer and driver with the results, in all",
        measured=sum(total.values()) / 1e6,
        unit="MB",
        detail={role: b / 1e6 for role, b in total.items()},
    )
    return [*growth_figures(samples), in_all]


def sampled(study: Any, pids: dict[str, int]) -> list[dict[str, float]]:
    """While the study runs: finished trials, memory and open files."""
    samples = []
    while True:
        over = study.wait(0.2)
        sample: dict[str, float] = {"finished": study.status().num_finished}
        for role, pid in pids.items():
            sample |= {role: resident_bytes(pid), f"{role}_files": open_files(pid)}
        samples.append(sample)
        if over:
            return samples


def growth_figures(samples: list[dict[str, float]]) -> list[Figure]:
    """From the second half on: the first trials also load code and fill buffers."""
    half = [s for s in samples if s["finished"] >= samples[-1]["finished"] / 2]
    half = half if len(half) > 1 else [samples[0], samples[-1]]
    finished = [s["finished"] for s in half]
    per_trial = {role: slope(finished, [s[role] for s in half]) for role in ("optimizer", "driver")}
    running = half[:-1] or half  # after the end the workers hang up
    files = max(s["optimizer_files"] for s in running) - min(s["optimizer_files"] for s in running)
    what = "memory per finished trial of 10 parameters"
    return [
        at_most(3_000, name="optimizer", what=f"{what}: optimizer", measured=per_trial["optimizer"], unit="bytes"),
        at_most(200, name="driver", what="the same: driver", measured=per_trial["driver"], unit="bytes"),
        at_most(
            2, name="files", what="the same: open files of the optimizer, most minus fewest", measured=files, unit=""
        ),
    ]


# ------------------------------------------------------------------------------------------------ on disk


def measure_journal(quick: bool) -> list[Figure]:
    num_trials, num_reported = (200, 100) if quick else (100_000, 100_000)
    spec, _, _ = spec_of(wide_space())
    with database() as storage:
        store(storage, spec, num_trials)
        size = sum(path.stat().st_size for path in Path(storage).parent.glob("studies.db*"))
    with database() as storage:
        rate = append_rate(storage, num_reported)
    return [
        at_most(1_000, name="disk", what="journal on disk, per trial of 10 parameters", measured=size / num_trials,
                unit="bytes"),
        at_least(20_000, name="append", what=f"appending {num_reported:,} trials x 10 reports, batches of {BATCH}",
                 measured=rate, unit="facts/s"),
    ]  # fmt: skip


def append_rate(storage: str, num_trials: int) -> float:
    """Facts appended per second; making the facts is not counted."""
    spec, _, _ = spec_of(wide_space())
    journal = open_storage(storage).journal(spec.name, create=True, owner="a benchmark")
    journal.append(opening(spec), expect=0)
    length, spent = 2, 0.0
    for batch in in_batches(trial_facts(spec, range(num_trials), 10)):
        spent += timed(lambda batch=batch, length=length: journal.append(batch, expect=length))[0]
        length += len(batch)
    journal.close()
    return length / spent


# ------------------------------------------------------------------------------------------------ coming back


def measure_return(quick: bool) -> list[Figure]:
    """Resuming includes the sampler's learning from all that was found."""
    figures = []
    for num_trials, limit in [(100, 1)] if quick else [(10_000, 1), (100_000, 8)]:
        for sampler in SAMPLERS:
            with database() as storage:
                figures += come_back(storage, sampler, num_trials, limit)
    return figures


def come_back(storage: str, sampler: str, num_trials: int, limit: float) -> list[Figure]:
    spec, _, _ = spec_of(wide_space(), sampler=sampler, num_trials=num_trials)
    store(storage, spec, num_trials)
    resume_s = statistics.median(resumed_s(storage, sampler) for _ in range(3))
    load_s, results = timed(lambda: hpo.load("story", storage))
    attach_s, results_s = attached_s(storage, sampler, len(results))
    found = [("resume", resume_s), ("load", load_s), ("attach", attach_s), ("attach_results", results_s)]
    words = {"attach_results": "attach, and all results"}
    return [
        at_most(limit, name=f"{name}_{sampler}_{num_trials}", measured=took_s, unit="s",
                what=f"{words.get(name, name)}: {num_trials:,} trials, {sampler}")
        for name, took_s in found
    ]  # fmt: skip


def resumed_s(storage: str, sampler: str) -> float:
    """From the call until the study has handed out its next trial, which the sampler suggested."""
    num_trials = len(hpo.load("story", storage)) + 1
    tuner = hpo.Tuner(
        lambda config: config["p0"], wide_space(), sampler=sampler, num_trials=num_trials, seed=0, storage=storage,
        max_concurrent=1, name="story", runtime="local", progress=False,
    )  # fmt: skip
    begin = time.time()
    study = tuner.start()
    study.wait()
    newest = study.results()[-1]
    study.close()
    assert newest.number == num_trials - 1 and newest.is_suggested
    return newest.created_at - begin


def attached_s(storage: str, sampler: str, num_trials: int) -> tuple[float, float]:
    """Seconds that ``attach`` takes, and those with the results, while one more trial runs."""
    use_ray()

    def objective(config: dict) -> float:
        time.sleep(3600)
        return config["p0"]

    tuner = hpo.Tuner(
        objective, wide_space(), sampler=sampler, num_trials=num_trials + 1, seed=0, storage=storage, max_concurrent=1,
        name="story", progress=False,
    )  # fmt: skip
    with tuner._run(detached=False) as study:
        while study.status().counts["running"] == 0:
            time.sleep(0.1)
        attach_s, run = timed(lambda: hpo.attach("story"))
        results_s, results = timed(run.results)
        assert len(results) == num_trials + 1
    return attach_s, attach_s + results_s


def measure_table(quick: bool) -> list[Figure]:
    from raytune_hpo.core.ledger import Ledger
    from raytune_hpo.results import Results

    num_trials = 100 if quick else 100_000
    spec, _, _ = spec_of(wide_space())
    ledger = Ledger.fold([*opening(spec), *trial_facts(spec, range(num_trials))], spec)
    results = Results.from_ledger(ledger)
    import pandas  # noqa: F401  # not counted

    took_s, frame = timed(results.to_dataframe)
    assert len(frame) == num_trials
    return [at_most(2, name="table", what=f"to_dataframe() of {num_trials:,} trials", measured=took_s, unit="s")]


# ------------------------------------------------------------------------------------------------ beginning


def measure_start(quick: bool) -> list[Figure]:
    rounds = 1 if quick else 11
    program = str(Path(sys.executable).with_name("raytune-hpo"))
    nothing = command_s([sys.executable, "-c", "pass"], rounds)
    importing = command_s([sys.executable, "-c", "import raytune_hpo"], rounds)
    helping = command_s([program, "--help"], rounds)
    what, detail = "import raytune_hpo", {"python_alone_s": nothing}
    return [
        at_most(0.3, name="import", what=what, measured=importing - nothing, unit="s", detail=detail),
        at_most(0.5, name="help", what="raytune-hpo --help", measured=helping, unit="s"),
    ]


def command_s(command: list[str], rounds: int) -> float:
    def call() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    call()  # fills the disk's cache
    return statistics.median(timed(call)[0] for _ in range(rounds))


if __name__ == "__main__":
    run(
        __doc__,
        {
            "processes": measure_processes,  # first, while this process is small
            "return": measure_return,
            "journal": measure_journal,
            "table": measure_table,
            "start": measure_start,
        },
    )
