"""Published searches, repeated on lookup tables of trained models: how often and how soon do they find the best?

    python benchmarks/lookup_tables.py                         # everything; a few hours on one core
    python benchmarks/lookup_tables.py --only random deca-recorded rf-pi
    python benchmarks/lookup_tables.py --quick                 # a small table made on the spot: does it run?

The tables (Cho et al., IEEE Access 8, 2020) are in a separate folder: --tables, else RAYTUNE_HPO_TABLES, else
``shared/tables`` beside the checkout. LeNet1 has 20,000 trainings with their curves at epochs 1, 5 and 15, which are
interpolated linearly. A goal is the value of the tenth best row of a table; samplers choose among the rows that are
left. Every repeat is stored (--folder), so an interrupted run continues. "asked" is the value recorded for the same
search; it counts as reached unless the 95 % interval lies below it. Writes results/lookup_tables.json.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import one_core  # noqa: F401
from common import Figure, arguments, conduct

from raytune_hpo.experiments import Experiment, LookupTable, Task, run_experiment
from raytune_hpo.experiments.settings import plan_of

VARIABLE = "RAYTUNE_HPO_TABLES"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "tables"
_HOUR = 3600.0
_HEDGED = [
    {"name": "gp", "acquisition": name, "marginalize": "slice", "transform": "none", "n_initial": 2}
    for name in ("ei", "pi", "ucb")
]


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search, to be repeated.

    Attributes:
        what: for people.
        settings: as ``raytune-hpo experiment --file`` takes them.
        table: which one, and its space.
        hours: after which success is looked at; the search ends with the last.
        recorded: the share of repeats that reached the goal within so many hours elsewhere.
        mean_hours: until the goal, recorded elsewhere.
        repeats: how many.
    """

    what: str
    settings: Mapping[str, Any]
    table: str = "lenet1"
    hours: Sequence[float] = (2, 6, 12)
    recorded: Mapping[float, float] = field(default_factory=dict)
    mean_hours: float | None = None
    repeats: int = 100


TABLES = {
    "lenet1": ("MNIST-LeNet1.data2.csv", "hp_conf.data2.json"),
    "lenet2": ("MNIST-LeNet2.data3.curves.csv", "hp_conf.data3.json"),
    "ptb": ("PTB-LSTM.data10.curves.csv", "hp_conf.data10.json"),
    "resnet": ("CIFAR10-ResNet.data207.final.csv", "hp_conf.data207.json"),
}
_DIV = {"mode": "DIV"}
_PLAIN_ARMS = [
    {"name": name, "acquisition": acquisition, "transform": "none", **more}
    for name, more in (("gp", {}), ("rf", {"random_share": 0.0}))
    for acquisition in ("ei", "pi", "ucb")
]
# What the recorded comparison mixes, one by one: several models, errors on a logarithmic scale, stopping early.
_PARTS = {
    "one model": {"mode": "RF", "spec": "PI"},
    "one model, log": {"mode": "RF-HLE", "spec": "PI"},
    "one model, stopping": {"mode": "RF", "spec": "PI", "scheduler": "deca-recorded"},
    "one model, log, stopping": {"mode": "RF-HLE", "spec": "PI", "scheduler": "deca-recorded"},
    "six arms": {"arms": _PLAIN_ARMS},
    "six arms, log": _DIV,
    "six arms, stopping": {"arms": _PLAIN_ARMS, "scheduler": "deca-recorded"},
    "six arms, log, stopping": {**_DIV, "scheduler": "deca-recorded"},
    "random, stopping": {"mode": "RANDOM", "scheduler": "deca-recorded"},
}
SEARCHES: dict[str, Search] = {
    "random": Search(what="random", settings={"mode": "RANDOM"}, hours=(6, 12, 24), recorded={12: 0.07, 24: 0.138}),
    "gp-ei": Search(what="GP-EI", settings={"mode": "GP", "spec": "EI"}, recorded={12: 0.25}),
    "rf-pi": Search(what="RF-PI", settings={"mode": "RF", "spec": "PI"}, recorded={12: 0.52}),
    "gp-hedge": Search(what="GP-Hedge", settings={"arms": _HEDGED, "strategy": "BO-HEDGE"}, recorded={12: 0.32}),
    "deca-recorded": Search(
        what="six arms, log error, Deca as recorded",
        settings={**_DIV, "scheduler": "deca-recorded"},
        recorded={12: 0.91},
        mean_hours=5.9,
    ),
    "deca": Search(what="six arms, log error, Deca", settings={**_DIV, "scheduler": "deca"}),
    "six-workers": Search(
        what="six workers, ASYNC, Deca as recorded",
        settings={"mode": "BATCH", "spec": "ASYNC", "workers": 6, "scheduler": "deca-recorded"},
        hours=(1, 2),
        recorded={2: 0.85},
    ),
    "auto": Search(what="auto", settings={"sampler": "auto"}),
    "auto-deca": Search(what="auto, Deca as recorded", settings={"sampler": "auto", "scheduler": "deca-recorded"}),
    **{
        f"part: {name}": Search(what=f"{name}, 30 repeats", settings=settings, repeats=30)
        for name, settings in _PARTS.items()
    },
    **{
        f"{table}: {name}": Search(what=f"{table}: {name}", settings=settings, table=table, hours=hours, repeats=30)
        for table, hours in (("lenet2", (2, 6, 12)), ("ptb", (2, 6, 12)), ("resnet", (30, 60, 90)))
        for name, settings in (
            ("random", {"mode": "RANDOM"}),
            ("RF-PI", {"mode": "RF", "spec": "PI"}),
            ("six arms, log error", _DIV),
            ("auto", {"sampler": "auto"}),
        )
    },
}


# ------------------------------------------------------------------------------------------------ measuring


def measure(name: str, tables: Path | None, folder: Path, quick: bool) -> list[Figure]:
    """Run or continue one search, and say what came of it."""
    search = replace(SEARCHES[name], repeats=3) if quick else SEARCHES[name]
    is_new, begin = not any((folder / name).glob("*")), time.monotonic()
    task, goal = small_task() if quick else task_of(search, tables)
    hours = [hour / 24 for hour in search.hours] if quick else search.hours
    plan = plan_of({**search.settings, "until": {"goal": goal, "time": f"{hours[-1]}h"}})
    found = run_experiment(task, search.repeats, plan, name=name, folder=folder, runtime="local")
    took_s = time.monotonic() - begin
    took = Figure(
        name=f"{name} took",
        what=f"{search.what}: what all repeats took by the clock, one after the other, with reading the table",
        measured=took_s / 60,
        unit="min",
    )
    return [*figures(name, search, found, dict(zip(search.hours, hours, strict=True))), *([took] if is_new else [])]


def figures(name: str, search: Search, found: Experiment, hours: Mapping[float, float]) -> Iterator[Figure]:
    """Shares of success, the mean time to the goal, and what thinking took.

    Args:
        hours: by what they are called, what they are.
    """
    summary = found.summary
    for said, hour in hours.items():
        share, low, high = summary.success_rate(hour * _HOUR)
        recorded = search.recorded.get(said)
        yield Figure(
            name=f"{name} {said:g}h",
            what=f"{search.what}: the goal within {said:g} h",
            measured=100 * share,
            unit="%",
            asked="" if recorded is None else f"{100 * recorded:g} %",
            reached=None if recorded is None else high >= recorded,
            detail={
                "interval": [100 * low, 100 * high],
                "of_six_independent": 100 * summary.of_independent(6, hour * _HOUR),
                "repeats": len(found),
                "goal": found.plan.until.goal,
            },
        )
    mean = summary.mean_time_to_goal_s / _HOUR
    if math.isfinite(mean):
        asked = search.mean_hours
        yield Figure(
            name=f"{name} mean",
            what=f"{search.what}: mean time to the goal, of those that reached it",
            measured=mean,
            unit="h",
            asked="" if asked is None else f"<= {asked:g} h",
            reached=None if asked is None else mean <= asked,
        )
    data = summary.to_json([hour * _HOUR for hour in hours.values()])
    yield Figure(
        name=f"{name} thinking",
        what=f"{search.what}: what all repeats took to think",
        measured=data["optimizer_s"] * len(found) / 60,
        unit="min",
        detail={"trials": data["trials"], "median_best": data["median_best"], "plan": found.plan.to_json()},
    )


def task_of(search: Search, tables: Path | None) -> tuple[Task, float]:
    """The task of a table, and the value of its tenth best row."""
    given = tables or Path(os.environ.get(VARIABLE, BESIDE))
    file, conf = TABLES[search.table]
    if not (given / file).exists():
        raise SystemExit(f"no table {file} in {given}; say where it is with --tables, or try --quick")
    table = LookupTable.read(given / file, given / conf)
    return Task.of_table(table), tenth_best(table)


def tenth_best(table: LookupTable) -> float:
    return float(sorted(table.curves[:, -1], reverse=True)[9])


def small_task() -> tuple[Task, float]:
    """400 short trainings of nothing, with curves that rise towards a value which falls with the distance from a point."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.random(400), "y": rng.random(400)})
    final = 1 - (frame["x"] - 0.3) ** 2 - (frame["y"] - 0.6) ** 2
    for step in (1, 5, 15):
        frame[f"epoch_{step}"] = final * (1 - 0.5 / step)
    frame["duration_s"] = 60.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.csv"
        frame.to_csv(path, index=False)
        table = LookupTable.read(path)
    return Task.of_table(table), tenth_best(table)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", nargs="+", metavar="SEARCH", choices=list(SEARCHES), help=", ".join(SEARCHES))
    parser.add_argument("--tables", type=Path, metavar="FOLDER", help="of the tables")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", default=Path("out/lookup_tables"), help="of repeats")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = Path(passing) if args.quick else args.folder
        names = args.only or (["random", "deca-recorded", "six-workers"] if args.quick else list(SEARCHES))
        conduct(args, measures(names, args.tables, folder))


def measures(names: Sequence[str], tables: Path | None, folder: Path) -> dict[str, Callable[[bool], list[Figure]]]:
    return {name: partial(measure, name, tables, folder) for name in names}


if __name__ == "__main__":
    main()
