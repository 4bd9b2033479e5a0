"""How far does a search come that may stop trainings early, when its time is counted in full trainings?

    python benchmarks/fidelity.py                                   # a quarter of an hour on one core
    python benchmarks/fidelity.py --only auto+auto --seeds 2
    python benchmarks/fidelity.py --quick                           # tiny sizes: does it run?

Tasks with learning curves on a virtual clock, by the module ``fidelity.py`` in a folder of tasks (--tasks, else
RAYTUNE_HPO_BENCH, else ../shared/bench beside the checkout), which also holds peers' recorded runs. Time 1 is what a random
configuration takes on average to be trained to its end by one worker; four workers share the clock. A run is judged by the
configuration of the lowest loss reported so far, by what that comes to in the end: 0 is the best known, 1 what a random one
comes to. A contender is a sampler and a scheduler, "-" for none. Writes results/fidelity.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import one_core  # noqa: F401  # isort: skip  (before numpy)

import numpy as np
from common import Figure, arguments, conduct
from tasks import shared

CONTENDERS = ("auto+auto", "auto+asha", "random+auto", "random+asha", "random+-")
PEERS = ("random", "sh", "st_asha", "st_bohb", "st_ashacqr", "st_ashabore")
# Settings of ours were chosen on these; the others were left for the report.
CHOSEN_ON = ("lcbench_167168", "xgb_41157_trainsize")
NUM_WORKERS, HORIZON = 4, 16.0
_NUM_RESAMPLES = 2_000

Runs = Mapping[str, Sequence[Mapping[str, Any]]]  # of one player, by task


def module_in(folder: Path) -> ModuleType:
    """The folder's module of tasks with learning curves."""
    spec = importlib.util.spec_from_file_location("fidelity", folder / "fidelity.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def regrets(module: ModuleType, runs: Runs) -> dict[str, Any]:
    """Regrets (seeds, times) by task."""
    return {
        name: np.array([module.measure(module.load(name), run)[0] for run in of]) for name, of in runs.items() if of
    }


def figures_of(who: str, found: Mapping[str, Any], times: Sequence[float]) -> list[Figure]:
    """The mean regret over tasks at each time, on all of them and on those that nothing was chosen on."""
    figures = []
    for label, names in (("all", list(found)), ("fresh", [name for name in found if name not in CHOSEN_ON])):
        if not names:
            continue
        rng = np.random.default_rng(0)
        drawn = [
            np.mean([of[rng.integers(len(of), size=len(of))].mean(axis=0) for of in (found[n] for n in names)], axis=0)
            for _ in range(_NUM_RESAMPLES)
        ]
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        mean = np.mean([found[name].mean(axis=0) for name in names], axis=0)
        detail = {"tasks": names, "seeds": {name: len(found[name]) for name in names}}
        figures += [
            Figure(
                name=f"{who}, {label}, time {at:g}",
                what=f"{who}: regret on {label} tasks at time {at:g}, 95 % [{low[i]:.3f}, {high[i]:.3f}]",
                measured=float(mean[i]), unit="", detail={**detail, "interval": [float(low[i]), float(high[i])]},
            )
            for i, at in enumerate(times)
        ]  # fmt: skip
    return figures


def measure_ours(quick: bool, *, args: argparse.Namespace, module: ModuleType, contender: str) -> list[Figure]:
    """A contender on all tasks."""
    horizon, seeds, names = (1.0, 1, module.names()[:1]) if quick else (HORIZON, args.seeds, module.names())
    runs = {
        name: [module.play(f"ours:{contender}", name, seed, NUM_WORKERS, horizon) for seed in range(seeds)]
        for name in names
    }
    failed = [run["error"] for of in runs.values() for run in of if "error" in run]
    if failed:
        raise SystemExit(f"{contender} failed: {failed[0]}")
    return figures_of(contender, regrets(module, runs), [at for at in module.TIMES if at <= horizon])


def measure_peer(quick: bool, *, folder: Path, module: ModuleType, peer: str) -> list[Figure]:
    """What was recorded of a peer."""
    runs = {}
    for name in module.names()[:1] if quick else module.names():
        recorded = json.loads((folder / "peers_fidelity" / f"{name}.json").read_text())["runs"].get(peer, [])
        fit = [run for run in recorded if run["workers"] == NUM_WORKERS and run["horizon"] >= HORIZON]
        runs[name] = [run for run in fit if "error" not in run]
    if not all(runs.values()):
        return []
    return figures_of(f"{peer} (recorded)", regrets(module, runs), [at for at in module.TIMES if at <= HORIZON])


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--only", nargs="+", metavar="SAMPLER+SCHEDULER", default=list(CONTENDERS))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--tasks", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    folder = shared.find(args.tasks)
    if folder is None or not (folder / "fidelity.py").exists():
        sys.exit("there is no folder of tasks with learning curves; say where with --tasks")
    module = module_in(folder)
    ours = {who: partial(measure_ours, args=args, module=module, contender=who) for who in args.only}
    conduct(args, {**ours, **{who: partial(measure_peer, folder=folder, module=module, peer=who) for who in PEERS}})


if __name__ == "__main__":
    main()
