"""Searches that may stop trainings early: how good are they after a given time, in units of full trainings?

    python benchmarks/fidelity.py                                   # an hour on one core
    python benchmarks/fidelity.py --only auto+auto --seeds 2 --workers 4 --cache FOLDER
    python benchmarks/fidelity.py --quick                           # tiny sizes: does it run?

The script runs tasks with learning curves on a virtual clock, by the module ``fidelity.py`` in a folder of tasks
(--tasks, else RAYTUNE_HPO_BENCH, else ../shared/bench beside the checkout). A time of 1 is what one worker needs on
average to train a random configuration to its end; all workers share the clock. A run is judged by the final loss of
the configuration with the lowest loss so far, scaled so that 0 is the best known and 1 that of a random one. "Within
1 %" is the time until this distance is at most a hundredth, or the horizon if it never is. A contender is a sampler and
a scheduler, "-" for none.

Peers were recorded by the same module, with ``fidelity.py record PEER TASK SEED WORKERS HORIZON`` in a separate
environment. Their runs are read from its folder peers_fidelity and from the folders given with --peers, and cut off
where ours end. Our settings are chosen on one half of the tasks, and compared on the other half, "fresh". Writes
results/fidelity.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import one_core  # noqa: F401  # isort: skip  (before numpy)

import numpy as np
from common import Figure, arguments, at_most, conduct
from tasks import shared

from raytune_hpo.experiments import bench

AUTO = "auto+auto"
CONTENDERS = (AUTO, "auto+asha", "random+auto", "random+asha", "random+-")
PEERS = ("random", "sh", "st_asha", "st_bohb", "st_ashacqr", "st_ashabore")
# Settings of ours were chosen on these; the others were left for the report.
CHOSEN_ON = ("lcbench_167168", "xgb_41157_trainsize")
HORIZONS = {4: 16.0, 32: 4.0}  # by the number of workers
_NUM_RESAMPLES = 2_000

Runs = Mapping[str, Sequence[Mapping[str, Any]]]  # of one player, by task


@dataclass
class Arena:
    """Everybody's runs with so many workers.

    Attributes:
        ours, peers: what was played in this session and what was recorded, by the name of the player.
    """

    module: ModuleType
    num_workers: int
    horizon: float
    ours: dict[str, Runs] = field(default_factory=dict)
    peers: dict[str, Runs] = field(default_factory=dict)

    @property
    def times(self) -> list[float]:
        return [at for at in self.module.TIMES if at <= self.horizon]

    def measured(self, runs: Runs, names: Sequence[str]) -> tuple[list[Any], list[Any]]:
        """For each task the regrets (seeds, times), and the logarithms of the times (seeds,) until within 1 %."""
        regrets, logs = [], []
        for name in names:
            task = self.module.load(name)
            told = [self.module.measure(task, run) for run in runs[name]]
            regrets.append(np.array([low[: len(self.times)] for low, _ in told]))
            logs.append(np.log([min(reached[0] or self.horizon, self.horizon) for _, reached in told]))
        return regrets, logs

    def figures_of(self, who: str, runs: Runs) -> list[Figure]:
        """Means over tasks, on all of them and on those that nothing was chosen on; of the times the geometric one."""
        figures = []
        for label, names in halves(runs).items():
            regrets, logs = self.measured(runs, names)
            detail = {"tasks": names, "seeds": {name: len(runs[name]) for name in names}, "workers": self.num_workers}
            start = f"{self.prefix}{who}"
            for i, at in enumerate(self.times):
                now = [of[:, i] for of in regrets]
                limits = interval(over_tasks, now)
                figures.append(
                    Figure(
                        name=f"{start}, {label}, time {at:g}",
                        what=f"{start}: regret on {label} tasks at time {at:g}, {said(limits)}",
                        measured=float(over_tasks(now)), unit="", detail={**detail, "interval": limits},
                    )
                )  # fmt: skip
            limits = interval(_geometric_mean, logs)
            share = float(np.mean([np.mean(of < np.log(self.horizon)) for of in logs]))
            figures.append(
                Figure(
                    name=f"{start}, {label}, within 1 %",
                    what=f"{start}: time to within 1 % on {label} tasks, reached by {share:.0%}, {said(limits)}",
                    measured=_geometric_mean(logs), unit="full trainings",
                    detail={**detail, "interval": limits, "reached": share},
                )
            )  # fmt: skip
        return figures

    @property
    def prefix(self) -> str:
        return "" if self.num_workers == min(HORIZONS) else f"{self.num_workers} workers, "

    def demands(self, quick: bool) -> list[Figure]:
        """Ours against the best peer, on the fresh tasks; which of ours, is chosen on the others. Not of a part of ours."""
        if AUTO not in self.ours or not self.peers:
            return []
        split = halves(next(iter(self.ours.values())))
        fresh, chosen = split.get("fresh", split["all"]), [n for n in split["all"] if n in CHOSEN_ON] or split["all"]

        def logs(runs: Runs, names: Sequence[str]) -> list[Any]:
            return self.measured(runs, names)[1]

        best = min(self.ours, key=lambda who: over_tasks(logs(self.ours[who], chosen)))
        peer = min(self.peers, key=lambda who: over_tasks(logs(self.peers[who], fresh)))
        figures = []
        for what, who, limit in (("best of ours", best, 0.5), ("auto of ours", AUTO, 0.7)):
            pair = logs(self.ours[who], fresh), logs(self.peers[peer], fresh)
            limits = interval(_ratio, *pair)
            figures.append(
                at_most(
                    limit,
                    name=f"{self.prefix}{what}",
                    what=f"{self.prefix}{who} against {peer}: time to within 1 % on fresh tasks, {said(limits)}",
                    measured=_ratio(*pair),
                    unit="of its time",
                    detail={"interval": limits},
                )
            )
        return [*figures, self._behind(best, fresh)]

    def _behind(self, best: str, names: Sequence[str]) -> Figure:
        """By how much the regret of one of ours exceeds the lowest of the peers' means, at the time where it does most."""
        detail = {}
        for i, at in enumerate(self.times):
            ours = [of[:, i] for of in self.measured(self.ours[best], names)[0]]
            theirs = {who: [of[:, i] for of in self.measured(runs, names)[0]] for who, runs in self.peers.items()}
            peer = min(theirs, key=lambda who: over_tasks(theirs[who]))
            pair = ours, theirs[peer]
            detail[f"time {at:g}"] = {
                "peer": peer,
                "behind": _difference(*pair),
                "interval": interval(_difference, *pair),
            }
        worst = max(detail.values(), key=lambda figure: figure["behind"])
        return at_most(
            0,
            name=f"{self.prefix}behind",
            what=f"{self.prefix}{best}: regret above the lowest peer's mean, at the worst time, fresh tasks, "
            f"{said(worst['interval'])}",
            measured=worst["behind"],
            unit="",
            detail=detail,
        )


def halves(runs: Runs) -> dict[str, list[str]]:
    """The names of all tasks, and of those that nothing was chosen on."""
    named = {"all": list(runs), "fresh": [name for name in runs if name not in CHOSEN_ON]}
    return {label: names for label, names in named.items() if names}


def over_tasks(found: Sequence[Any]) -> Any:
    """The mean over tasks of the means over seeds."""
    return np.mean([np.mean(of, axis=0) for of in found], axis=0)


def _difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    return float(over_tasks(ours) - over_tasks(theirs))


def _geometric_mean(logs: Sequence[Any]) -> float:
    return float(np.exp(over_tasks(logs)))


def _ratio(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    return _geometric_mean(ours) / _geometric_mean(theirs)


def interval(statistic: Callable[..., float], *found: Sequence[Any]) -> list[float] | None:
    """95 % of a statistic's values, with the seeds of every player resampled on each task.

    None if somebody has a single seed on a task, which says nothing about others.
    """
    if any(len(of) < 2 for one in found for of in one):
        return None
    rng = np.random.default_rng(0)
    drawn = [
        statistic(*[[of[rng.integers(len(of), size=len(of))] for of in one] for one in found])
        for _ in range(_NUM_RESAMPLES)
    ]
    return [float(limit) for limit in np.quantile(drawn, [0.025, 0.975])]


def said(limits: list[float] | None) -> str:
    return "single seeds" if limits is None else f"95 % [{limits[0]:.3f}, {limits[1]:.3f}]"


def measure_ours(quick: bool, *, args: argparse.Namespace, arena: Arena, contender: str) -> list[Figure]:
    """A contender on all tasks."""
    names, seeds = (arena.module.names()[:1], 1) if quick else (arena.module.names(), args.seeds)
    runs = {name: [played(args.cache, arena, contender, name, seed) for seed in range(seeds)] for name in names}
    failed = [run["error"] for of in runs.values() for run in of if "error" in run]
    if failed:
        raise SystemExit(f"{contender} failed: {failed[0]}")
    arena.ours[contender] = runs
    return arena.figures_of(contender, runs)


def played(cache: Path | None, arena: Arena, contender: str, name: str, seed: int) -> Mapping[str, Any]:
    """A run, which is kept in a folder if there is one."""
    path = None if cache is None else cache / f"{contender}-{name}-{arena.num_workers}-{arena.horizon:g}-{seed}.json"
    if path is not None and path.exists():
        return dict(json.loads(path.read_text()))
    run = arena.module.play(f"ours:{contender}", name, seed, arena.num_workers, arena.horizon)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run))
    return dict(run)


def measure_peer(quick: bool, *, folders: Sequence[Path], arena: Arena, peer: str) -> list[Figure]:
    """What was recorded of a peer on all tasks."""
    names = arena.module.names()[:1] if quick else arena.module.names()
    runs = {name: recorded(folders, arena, peer, name) for name in names}
    if not all(runs.values()):
        return []
    arena.peers[peer] = runs
    return arena.figures_of(f"{peer} (recorded)", runs)


def recorded(folders: Sequence[Path], arena: Arena, peer: str, name: str) -> list[Mapping[str, Any]]:
    """The runs of a peer on a task, one of each seed, that are long enough."""
    by_seed: dict[int, Mapping[str, Any]] = {}
    for path in (folder / f"{name}.json" for folder in folders):
        for run in json.loads(path.read_text())["runs"].get(peer, []) if path.exists() else []:
            if run["workers"] == arena.num_workers and run["horizon"] >= arena.horizon and "error" not in run:
                by_seed.setdefault(run["seed"], run)
    return list(by_seed.values())


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--only", nargs="+", metavar="SAMPLER+SCHEDULER", default=list(CONTENDERS))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", choices=list(HORIZONS), default=list(HORIZONS))
    parser.add_argument("--horizon", type=float, help="the time of everybody, instead of 16 for 4 workers and 4 for 32")
    parser.add_argument("--tasks", type=Path, metavar="FOLDER")
    parser.add_argument("--peers", type=Path, nargs="+", metavar="FOLDER", default=[], help="more recorded runs")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keeps our runs, and takes those that are there")
    args = parser.parse_args()
    folder = shared.find(args.tasks)
    if folder is None or not (folder / "fidelity.py").exists():
        sys.exit("there is no folder of tasks with learning curves; say where with --tasks")
    module, folders = bench.load_module(folder, "fidelity.py"), [folder / "peers_fidelity", *args.peers]
    measures: dict[str, Callable[[bool], list[Figure]]] = {}
    for num_workers in args.workers[:1] if args.quick else args.workers:
        horizon = 1.0 if args.quick else args.horizon or HORIZONS[num_workers]
        arena = Arena(module, num_workers, horizon)
        for who in args.only:
            measures[f"{arena.prefix}{who}"] = partial(measure_ours, args=args, arena=arena, contender=who)
        for who in PEERS:
            measures[f"{arena.prefix}{who}"] = partial(measure_peer, folders=folders, arena=arena, peer=who)
        measures[f"{arena.prefix}demands"] = arena.demands
    conduct(args, measures)


if __name__ == "__main__":
    main()
