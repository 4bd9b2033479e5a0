"""How much sooner does early stopping reach good configurations, and which rule is best when?

    python benchmarks/early_stopping.py                                  # tens of minutes on one core
    python benchmarks/early_stopping.py --syne-tune /path/to/its/python  # and the schedulers of Syne Tune, much longer
    python benchmarks/early_stopping.py --only random asha "auto + asha" --seeds 4
    python benchmarks/early_stopping.py --quick                          # tiny sizes: does it run?

The tasks are those with learning curves in a folder of tasks (--tasks, else RAYTUNE_HPO_BENCH, else ../shared/bench
beside the checkout), see ``curves``. All contenders get the same virtual time, in units of the mean full run. Only
trials that have run to their last step count: a stopped trial is never the best. A goal is reached when the first trial
that counts has that loss. In mean times, a run that does not reach the goal counts with all the time it had.

"random" and "auto" run all trials to their ends; contenders named by a rule alone use random configurations. Writes
results/early_stopping.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import one_core  # noqa: F401
from common import HERE, Figure, arguments, conduct

# isort: split
import numpy as np
from curves import Curves, names
from tasks import shared
from tasks.scoring import Scores

import raytune_hpo as hpo
from raytune_hpo.experiments.parameter_lists import space_from_list

HORIZONS = {4: 8.0, 32: 2.0}  # mean full runs, by the number of workers
STEPS, FIRST = "max_steps", "min_steps"  # options: each task's number of steps, and a share of it
Ends = list[tuple[float, float]]  # of the trials that ran to their last step: when, and with which loss

# ------------------------------------------------------------------------------------------------ contenders


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A sampler and a rule.

    Attributes:
        share: of the seeds that it gets: those whose sampler thinks long get fewer.
    """

    sampler: str = "random"
    scheduler: str | None = None
    options: Mapping[str, Any] | None = None
    share: float = 1.0

    def play(self, curves: Curves, num_workers: int, horizon: float, seed: int) -> Ends:
        def objective(config: dict[str, Any]) -> dict[str, float]:
            losses, ends = curves.of(config)
            for step, (loss, end) in enumerate(zip(losses, ends, strict=True), start=1):
                hpo.report(loss=loss, step=step, cost_s=end)
            return {"loss": losses[-1], "cost_s": ends[-1]}

        results = hpo.simulate(
            objective,
            space_from_list(curves.parameters),
            metric="loss",
            sampler=self.sampler,
            scheduler=self._rule(curves.num_steps),
            seed=seed,
            num_workers=num_workers,
            time_budget_s=horizon,
        )
        done = [trial for trial in results if trial.reports and trial.reports[-1].step == curves.num_steps]
        return [(trial.finished_at, trial.metrics["loss"]) for trial in done if trial.finished_at is not None]

    def _rule(self, num_steps: int) -> dict[str, Any] | None:
        if self.scheduler is None:
            return None
        options = {STEPS: num_steps, **(self.options or {})}
        if FIRST in options:
            options[FIRST] = max(1, round(options[FIRST] * num_steps))
        return {"name": self.scheduler} | {key: value for key, value in options.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A scheduler of Syne Tune, which runs in an environment of its own."""

    python: Path
    folder: Path
    scheduler: str
    share: float

    def play(self, curves: Curves, num_workers: int, horizon: float, seed: int) -> Ends:
        words = [self.python, HERE / "syne_tune_runs.py", self.folder, curves.name, self.scheduler]
        command = [str(word) for word in (*words, num_workers, horizon, seed)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return [(at, loss) for at, loss in json.loads(done.stdout)]


NO_STEPS = {STEPS: None}
CONTENDERS = {
    "random": Contender(),
    "auto": Contender(sampler="auto", share=0.25),
    "median": Contender(scheduler="median", options=NO_STEPS),
    "asha": Contender(scheduler="asha"),
    "asha, from a tenth": Contender(scheduler="asha", options={FIRST: 0.1}),
    "hyperband": Contender(scheduler="hyperband"),
    "tercet": Contender(scheduler="tercet"),
    "tercet, recorded": Contender(scheduler="tercet", options={"variant": "recorded"}),
    "extrapolation": Contender(scheduler="extrapolation"),
    "patience": Contender(scheduler="patience", options=NO_STEPS),
    "tpe + asha": Contender(sampler="tpe", scheduler="asha", share=0.25),
    "tpe + hyperband": Contender(sampler="tpe", scheduler="hyperband", share=0.25),
    "auto + asha, from a tenth": Contender(sampler="auto", scheduler="asha", options={FIRST: 0.1}, share=0.25),
    "auto + hyperband": Contender(sampler="auto", scheduler="hyperband", share=0.25),
    "auto + extrapolation": Contender(sampler="auto", scheduler="extrapolation", share=0.25),
    "tpe + extrapolation": Contender(sampler="tpe", scheduler="extrapolation", share=0.25),
}
PEERS = {"Syne Tune ASHA": ("asha", 0.25), "Syne Tune BOHB": ("bohb", 0.25)}
BASE = "random"

# ------------------------------------------------------------------------------------------------ measuring


def measure(quick: bool, *, args: argparse.Namespace, num_workers: int) -> list[Figure]:
    """All contenders on all tasks, with so many workers."""
    horizon = 1.1 if quick else HORIZONS[num_workers]
    tasks = {name: Curves(args.folder, name) for name in args.names}
    found: dict[str, dict[str, list[Ends]]] = {label: {name: [] for name in tasks} for label in args.contenders}
    for seed in range(args.seeds):
        for name, curves in tasks.items():
            for label, contender in args.contenders.items():
                if seed < max(1, round(args.seeds * contender.share)):
                    found[label][name].append(kept(args.cache, contender, curves, num_workers, horizon, seed))
            curves.forget()
        print(f"{seed + 1} of {args.seeds} seeds, {num_workers} workers", file=sys.stderr, flush=True)
    goals = {name: curves.goals for name, curves in tasks.items()}
    wanted = dict.fromkeys(goal for of_task in goals.values() for goal in of_task)
    return [figure for goal in wanted for figure in figures(found, goals, goal, num_workers, horizon)]


def kept(
    cache: Path | None, contender: Contender | Peer, curves: Curves, num_workers: int, horizon: float, seed: int
) -> Ends:
    """A run, read where it is kept from before, else played."""
    words = [repr(replace(contender, share=1.0)), curves.name, num_workers, horizon, seed]
    digest = hashlib.blake2b(json.dumps(words).encode(), digest_size=8).hexdigest()
    path = None if cache is None else cache / f"{curves.name}-{num_workers}-{seed}-{digest}.json"
    if path is not None and path.exists():
        return [(at, loss) for at, loss in json.loads(path.read_text())]
    ends = contender.play(curves, num_workers, horizon, seed)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(ends))
    return ends


def figures(
    found: Mapping[str, Mapping[str, list[Ends]]],
    goals: Mapping[str, Mapping[str, float]],
    goal: str,
    num_workers: int,
    horizon: float,
) -> Iterator[Figure]:
    """How long each contender took to one goal."""
    arrivals = {
        label: {name: [arrival(ends, goals[name][goal]) for ends in runs] for name, runs in by_task.items()}
        for label, by_task in found.items()
    }
    times, reached = (scores(arrivals, change, list(goals)) for change in (partial(min, horizon), math.isfinite))
    for label, by_task in arrivals.items():
        every = [at for of_task in by_task.values() for at in of_task]
        middle = float(np.median(every))
        mean, share = times.regret(label), reached.regret(label)
        detail = {
            "interval": [mean.low, mean.high],
            "reached": share.value,
            "reached_interval": [share.low, share.high],
            "median": middle if math.isfinite(middle) else None,
            "sooner": times.ratio(label, BASE)._asdict() if BASE in arrivals else None,
            "horizon": horizon,
            "tasks": {name: {"time": times.on_each_task(label)[name], "runs": len(by_task[name])} for name in by_task},
        }
        name = f"{num_workers} workers, {goal}: {label}"
        what = f"{num_workers} workers, {goal}: {label}, {100 * share.value:.0f} % of runs"
        yield Figure(name=name, what=what, measured=mean.value, unit="full runs", detail=detail)


def arrival(ends: Ends, goal: float) -> float:
    """When a loss was reached; infinity where it was not."""
    return min((at for at, loss in ends if loss <= goal), default=math.inf)


def scores(arrivals: Mapping[str, Mapping[str, list[float]]], change: Any, tasks: Sequence[str]) -> Scores:
    """Means over runs and then tasks, with intervals, of what becomes of the arrivals."""
    changed = {
        label: {name: [np.array([float(change(at))]) for at in of_task] for name, of_task in by_task.items()}
        for label, by_task in arrivals.items()
    }
    return Scores(changed, 1, tasks)


def options() -> argparse.Namespace:
    parser = arguments(__doc__)
    add = parser.add_argument
    add("--only", nargs="+", metavar="CONTENDER", help=", ".join([*CONTENDERS, *PEERS]))
    add("--tasks", type=Path, metavar="DIR", help="folder of tasks; default: see above")
    add("--names", nargs="+", metavar="TASK", help="these tasks")
    add("--workers", type=int, nargs="+", choices=list(HORIZONS), default=list(HORIZONS), help="default: 4 and 32")
    add(
        "--seeds",
        type=int,
        default=8,
        metavar="N",
        help="runs of each rule on each task (default 8); learners: a quarter",
    )
    add("--syne-tune", type=Path, metavar="PYTHON", help="of an environment in which Syne Tune is installed")
    add(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep runs there, and read those that are: to go on where one left off",
    )
    args = parser.parse_args()
    args.folder = shared.find(args.tasks)
    if args.folder is None:
        raise SystemExit("there is no folder of tasks; give --tasks")
    args.names = args.names or names(args.folder)
    args.contenders = contenders(args)
    if args.quick:
        args.names, args.seeds = args.names[:1], 1
    return args


def contenders(args: argparse.Namespace) -> dict[str, Contender | Peer]:
    """Those that are asked for, else all that there are."""
    known: dict[str, Contender | Peer] = dict(CONTENDERS)
    if args.syne_tune:
        for label, (scheduler, share) in PEERS.items():
            known[label] = Peer(python=args.syne_tune, folder=args.folder, scheduler=scheduler, share=share)
    unknown = [label for label in args.only or () if label not in known]
    if unknown:
        raise SystemExit(f"no contender {unknown[0]!r}; there are {', '.join(known)}; Syne Tune's need --syne-tune")
    return {label: known[label] for label in args.only or known}


def main() -> None:
    args = options()
    conduct(args, {f"{n} workers": partial(measure, args=args, num_workers=n) for n in args.workers})


if __name__ == "__main__":
    main()
