"""Searches on real programs (ours, OpenTuner, random, a scan like hyperfine's): the runs and seconds they take.

    python benchmarks/programs.py --opentuner PYTHON        # ten minutes of a quiet machine; writes results/programs.json
    python benchmarks/programs.py --cache FOLDER            # stores the measured times there, and uses them the next time
    python benchmarks/programs.py --quick                   # a few configurations of each program: does it run?

The programs are xz, zstd, sort, gzip under xargs, SQLite, and pytest -n. Every configuration of a program's grid is run
several times, in rounds over all configurations, and the times are stored. A search then draws from these times, so
that it can be replayed twenty times in seconds; its answer is judged by the medians of all times. Each search begins
with the program's defaults (or the nearest configuration in the grid), and has an answer at any time: the best
configuration that it has seen, or confirmed. The result is the time until that answer is within 2 % of the best
configuration. A search that has not reached it within the time of the whole grid counts with that time.

PYTHON is that of an environment with OpenTuner (see opentuner_runs.py); without it, OpenTuner is left out.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from common import HERE, Figure, arguments, conduct
from scipy import stats

import raytune_hpo as hpo
from raytune_hpo.commands.answering import mean_of_all
from raytune_hpo.commands.repeating import Contest, RepeatRule
from raytune_hpo.commands.runoff import Runoff
from raytune_hpo.errors import StudyEnded
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.protocols import Suggestion
from raytune_hpo.trial import Trial

REPLAYS = 20
NEAR = 0.02  # of the best: as good as found
BUDGET = 0.5  # of the time of the whole grid: when the answers are compared
CONFIRM_FROM = 0.75  # of the budget: from here on a runoff of the best three
TOP, CONFIRMED = 3, 5
COUNTS = [1, 2, 3, 5, 8]

Config = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A command.

    Attributes:
        grid: the values of its parameters, numbers in their order.
        default: the setting to begin with: what it does when nobody says anything, or what is next to that in the grid.
        rounds: how often each setting is measured.
    """

    template: str
    grid: Mapping[str, Sequence[Any]]
    default: Mapping[str, Any]
    rounds: int = 3

    def configs(self) -> list[Config]:
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    def cut(self) -> Program:
        """The default, and one other value of each parameter."""
        grid = {name: _two_of(values, self.default[name]) for name, values in self.grid.items()}
        return replace(self, grid=grid, rounds=1)


def _two_of(values: Sequence[Any], default: Any) -> list[Any]:
    other = next(value for value in values if value != default)
    return [value for value in values if value in (default, other)]


PROGRAMS = {
    "xz": Program(
        template="xz -k -c -T{threads} -{preset} --block-size={block}KiB page",
        grid={"threads": [1, 2, 4], "preset": [0, 1, 2, 3, 6], "block": [64, 128, 256, 512, 1024]},
        default={"threads": 1, "preset": 6, "block": 1024},
    ),
    "zstd": Program(
        template="zstd -q -k -c -T{threads} -{level} --long={long} text",
        grid={"threads": [0, 1, 2, 3], "level": [1, 3, 5, 7, 9], "long": [10, 18, 24]},
        default={"threads": 1, "level": 3, "long": 18},
    ),
    "sort": Program(
        template="sort -n --parallel={jobs} -S {buffer}K numbers",
        grid={"jobs": COUNTS, "buffer": [64, 256, 1024, 4096, 16384, 65536]},
        default={"jobs": 2, "buffer": 65536},
    ),
    "gzip": Program(
        template="xargs -a names -P {jobs} -n {batch} gzip -{level} -k -c",
        grid={"jobs": COUNTS, "batch": [1, 2, 5, 13, 34], "level": [1, 2, 4, 6]},
        default={"jobs": 1, "batch": 34, "level": 6},
    ),
    "sqlite": Program(
        template="sqlite3 :memory: 'PRAGMA cache_size=-{cache}; PRAGMA temp_store={temp}; PRAGMA threads={threads}; "
        'ATTACH "data.db" AS d; SELECT count(*) FROM (SELECT v, count(*) FROM d.t GROUP BY v ORDER BY 2)\'',
        grid={"cache": [64, 512, 2000, 8000, 32000], "temp": [1, 2], "threads": [0, 1, 2, 4]},
        default={"cache": 2000, "temp": 1, "threads": 0},
    ),
    "pytest": Program(
        template=f"env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest -q -p xdist -p {{cache}} -n {{jobs}} "
        "--dist {dist} --maxschedchunk {chunk} suite",
        grid={
            "jobs": COUNTS, "dist": ["load", "loadfile", "worksteal"], "chunk": [1, 8],
            "cache": ["no:cacheprovider", "cacheprovider"],
        },
        default={"jobs": 1, "dist": "load", "chunk": 8, "cache": "cacheprovider"},
        rounds=2,
    ),
}  # fmt: skip


# ------------------------------------------------------------------------------------------------ measuring


@dataclass(frozen=True)
class Table:
    """What was measured: the seconds of every setting, which is named by its JSON text."""

    program: Program
    seconds: Mapping[str, Sequence[float]]

    @cached_property
    def medians(self) -> dict[str, float]:
        return {text: statistics.median(seconds) for text, seconds in self.seconds.items()}

    @cached_property
    def whole_s(self) -> float:
        """What it takes to run every setting once."""
        return sum(self.medians.values())

    def regret(self, text: str) -> float:
        """How much slower than the best setting, as a share of it."""
        return self.medians[text] / self._best_s - 1

    @cached_property
    def _best_s(self) -> float:
        return min(self.medians.values())

    @cached_property
    def near(self) -> frozenset[str]:
        """The settings that are as good as the best."""
        return frozenset(text for text in self.seconds if self.regret(text) <= NEAR)


def measured(name: str, program: Program, metric: str) -> Table:
    """Every setting of a program, run in rounds over all of them."""
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder))
        command = hpo.Command(program.template, metrics=[metric], repeats=1, cwd=folder)
        found: dict[str, list[float]] = {json.dumps(config): [] for config in program.configs()}
        for turn in range(program.rounds):
            for text, seconds in found.items():
                seconds.append(command(json.loads(text))[metric])
            print(f"{name}: round {turn + 1} of {program.rounds}, {len(found)} settings", file=sys.stderr, flush=True)
    return Table(program, found)


def table_of(name: str, program: Program, metric: str, cache: Path | None) -> Table:
    """What was measured before of the same, or what is measured now."""
    if cache is None:
        return measured(name, program, metric)
    key = {"template": program.template, "grid": program.grid, "rounds": program.rounds, "metric": metric}
    path = cache / f"{name}.json"
    if path.exists() and (kept := json.loads(path.read_text()))["key"] == key:
        print(f"{name}: measured before, at a load of {kept['load']:.1f}", file=sys.stderr, flush=True)
        return Table(program, kept["seconds"])
    table = measured(name, program, metric)
    cache.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"key": key, "load": os.getloadavg()[0], "seconds": table.seconds}))
    return table


def make_data(folder: Path) -> None:
    """A text and a part of it, numbers, many small files, a table, and tests, the same every time."""
    import sqlite3

    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(3_000)]
    text = " ".join(draw.choices(words, k=400_000))
    (folder / "text").write_text(text)
    (folder / "page").write_text(text[:700_000])
    (folder / "numbers").write_text("\n".join(str(draw.randrange(10**9)) for _ in range(150_000)))
    names = [folder / f"part{index}" for index in range(60)]
    for path in names:
        path.write_text(" ".join(draw.choices(words, k=3_000)))
    (folder / "names").write_text("\n".join(path.name for path in names))
    with contextlib.closing(sqlite3.connect(folder / "data.db")) as data, data:
        data.execute("CREATE TABLE t (v TEXT)")
        data.executemany("INSERT INTO t VALUES (?)", ((word,) for word in draw.choices(words, k=200_000)))
    make_suite(folder / "suite", draw)


def make_suite(folder: Path, draw: random.Random) -> None:
    """Tests in six files of different length, which compute and wait."""
    folder.mkdir()
    for index, num_tests in enumerate([1, 2, 3, 5, 8, 13]):
        lines = ["import time", ""]
        for test in range(num_tests):
            lines += [
                f"def test_{test}():",
                f"    assert sum(i * i for i in range({draw.randrange(20_000, 200_000)})) > 0",
                f"    time.sleep({draw.choice([0.005, 0.02, 0.08])})",
                "",
            ]
        (folder / f"test_part_{index}.py").write_text("\n".join(lines))


# ------------------------------------------------------------------------------------------------ searching


class Drawn:
    """A program whose times are drawn from those that were measured; what a search has spent is added up."""

    def __init__(self, table: Table, seed: int) -> None:
        self._seconds, self._draw = table.seconds, random.Random(seed)
        self.spent_s, self.runs = 0.0, 0

    def __call__(self, config: Mapping[str, Any]) -> float:
        seconds = self._draw.choice(self._seconds[json.dumps(config)])
        self.spent_s += seconds
        self.runs += 1
        return seconds


# A search runs settings of a program, and yields what it would answer now after each run.
Search = Callable[[Drawn, Program, float, int], Iterator[Mapping[str, Any]]]


def _shuffled(program: Program, seed: int) -> list[Config]:
    """All settings, the default first, and then in any order: where in a list the best one stands is an accident."""
    others = [config for config in program.configs() if config != program.default]
    random.Random(seed).shuffle(others)
    return [dict(program.default), *others]


def scan(drawn: Drawn, program: Program, budget_s: float, seed: int) -> Iterator[Mapping[str, Any]]:
    """As hyperfine scans: each setting ten times and for three seconds at least; the best mean."""
    best, chosen = math.inf, program.default
    for config in _shuffled(program, seed):
        seconds: list[float] = []
        while len(seconds) < 10 or sum(seconds) < 3:
            seconds.append(drawn(config))
            yield chosen
        if statistics.mean(seconds) < best:
            best, chosen = statistics.mean(seconds), config
            yield chosen


def at_random(drawn: Drawn, program: Program, budget_s: float, seed: int) -> Iterator[Mapping[str, Any]]:
    """Settings at random, each once; the best."""
    best, chosen = math.inf, program.default
    for config in _shuffled(program, seed):
        if (seconds := drawn(config)) < best:
            best, chosen = seconds, config
        yield chosen


def ours(drawn: Drawn, program: Program, budget_s: float, seed: int) -> Iterator[Mapping[str, Any]]:
    """The default sampler, repeats where they decide, and a runoff of the best three in the last quarter of the time."""
    study = hpo.Study(
        space_of(program.grid), metric="time", storage="memory", seed=seed, points_to_evaluate=[dict(program.default)]
    )
    contest, found = Contest(RepeatRule(), Goal("time")), dict[str, list[float]]()
    chosen, is_confirmed = json.dumps(program.default), False
    while True:
        if drawn.spent_s >= CONFIRM_FROM * budget_s and not is_confirmed:
            is_confirmed = True
            best = sorted(found, key=lambda text: statistics.median(found[text]))[:TOP]
            fresh: dict[str, list[float]] = {text: [] for text in best}
            for text in _run_off(best, found, fresh):
                fresh[text].append(drawn(json.loads(text)))
                chosen = min(best, key=lambda text: _mean_of_all(fresh[text], found[text]))
                yield json.loads(chosen)
            for text in best:
                found[text] += fresh[text]
        try:
            trial = study.ask()
        except StudyEnded:
            return
        seconds: list[float] = []
        while contest.wants_more(seconds):
            seconds.append(drawn(trial.config))
            yield json.loads(chosen)
        contest.settle(seconds)
        study.tell(trial, statistics.median(seconds))
        found.setdefault(json.dumps(dict(trial.config)), []).extend(seconds)
        chosen = min(found, key=lambda text: statistics.median(found[text]))
        yield json.loads(chosen)


def _run_off(
    best: Sequence[str], found: Mapping[str, Sequence[float]], fresh: Mapping[str, Sequence[float]]
) -> Iterator[str]:
    """What runs next of the best few, as at the end of a command's search; its seconds are the last of ``fresh`` then."""
    searched = {index: (statistics.median(found[text]), len(found[text])) for index, text in enumerate(best)}
    runoff = Runoff(searched=searched, repeats=CONFIRMED).bind(
        hpo.Space({"trial": hpo.choice(list(searched))}), [Goal("time")], 0
    )
    for number in itertools.count():
        suggestion = runoff.ask(number, (), np.random.default_rng(0))
        if not isinstance(suggestion, Suggestion):
            return
        text = best[suggestion.config["trial"]]
        yield text
        metrics = {"time": fresh[text][-1]}
        runoff.tell(Trial(number=number, config=suggestion.config, status=Status.COMPLETED, metrics=metrics))


def _mean_of_all(fresh: Sequence[float], searched: Sequence[float]) -> float:
    return mean_of_all(statistics.mean(fresh) if fresh else 0.0, len(fresh), statistics.median(searched), len(searched))


def space_of(grid: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Numbers in their order, words in none."""
    is_text = {name: isinstance(values[0], str) for name, values in grid.items()}
    return {name: (hpo.choice if is_text[name] else hpo.ordinal)(list(values)) for name, values in grid.items()}


SEARCHES: dict[str, Search] = {"ours": ours, "random": at_random, "scan": scan}
PEER = "OpenTuner"


# ------------------------------------------------------------------------------------------------ playing


@dataclass(frozen=True)
class Turn:
    """From when on a search gave another answer."""

    runs: int
    spent_s: float
    answer: str


def played(search: Search, table: Table, seed: int) -> list[Turn]:
    """A search, until it is near the best and its budget is spent, or the time of the whole grid is."""
    drawn, budget_s = Drawn(table, seed), BUDGET * table.whole_s
    turns: list[Turn] = []
    for config in search(drawn, table.program, budget_s, seed):
        text = json.dumps(config)
        if not turns or text != turns[-1].answer:
            turns.append(Turn(drawn.runs, drawn.spent_s, text))
        is_near = any(turn.answer in table.near for turn in turns)
        if drawn.spent_s >= (budget_s if is_near else table.whole_s):
            break
    return turns


def played_by_peer(python: Path, table: Table, num_replays: int) -> list[list[Turn]]:
    """OpenTuner's replays, in its own environment."""
    task = {
        "seconds": table.seconds, "grid": table.program.grid, "default": table.program.default, "limit_s": table.whole_s,
        "near": sorted(table.near), "budget_s": BUDGET * table.whole_s,
        "replays": num_replays,
    }  # fmt: skip
    command = [os.path.abspath(python), str(HERE / "opentuner_runs.py")]
    with tempfile.TemporaryDirectory() as folder:  # it writes a log into the folder where it is
        done = subprocess.run(command, cwd=folder, input=json.dumps(task), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4_000:]}")
    return [[Turn(*turn) for turn in turns] for turns in json.loads(done.stdout)]


# ------------------------------------------------------------------------------------------------ figures


def compared(tables: Mapping[str, Table], num_replays: int, peer: Path | None) -> list[Figure]:
    """How long each search takes to a good answer on each program, and on all of them."""
    figures: list[Figure] = []
    shares: dict[
        str, list[list[float]]
    ] = {}  # by search and program: the time to a good answer, as a share of the grid's
    for name, table in tables.items():
        medians = table.medians
        figures.append(
            Figure(
                name=f"{name}: settings", what=f"{name}: settings in the grid", measured=len(medians), unit="",
                detail={
                    "best": min(medians, key=medians.__getitem__), "best_s": min(medians.values()), "near": len(table.near),
                    "worst_over_best": max(medians.values()) / min(medians.values()), "whole_s": table.whole_s,
                    "default_over_best": 1 + table.regret(json.dumps(dict(table.program.default))),
                },
            )
        )  # fmt: skip
        replays = {
            what: [played(search, table, seed) for seed in range(num_replays)] for what, search in SEARCHES.items()
        }
        if peer is not None:
            replays[PEER] = played_by_peer(peer, table, num_replays)
        for what, runs in replays.items():
            figures += _figures(name, what, table, runs)
            shares.setdefault(what, []).append([_time_to_near(table, turns) / table.whole_s for turns in runs])
        print(f"{name}: played", file=sys.stderr, flush=True)
    return figures + _over_programs(shares)


def _figures(name: str, what: str, table: Table, replays: Sequence[Sequence[Turn]]) -> list[Figure]:
    firsts = [next((turn for turn in turns if turn.answer in table.near), None) for turns in replays]
    runs = [len(table.seconds) if first is None else first.runs for first in firsts]
    answers = [_answer_at(turns, BUDGET * table.whole_s) for turns in replays]
    regrets = [table.regret(answer) for answer in answers]
    reached = {"reached": sum(first is not None for first in firsts), "replays": len(replays)}
    return [
        Figure(
            name=f"{name}, {what}: runs", what=f"{name}, {what}: runs to within {NEAR:.0%} of the best",
            measured=_geomean(runs), unit="", detail={"interval": _interval(runs), **reached},
        ),
        Figure(
            name=f"{name}, {what}: time", what=f"{name}, {what}: seconds to within {NEAR:.0%} of the best",
            measured=_geomean([_time_to_near(table, turns) for turns in replays]), unit="s",
            detail={"interval": _interval([_time_to_near(table, turns) for turns in replays]), **reached},
        ),
        Figure(
            name=f"{name}, {what}: answer", what=f"{name}, {what}: behind the best, after {BUDGET:.0%} of the grid's time",
            measured=100 * statistics.mean(regrets), unit="%",
            detail={"median": 100 * statistics.median(regrets), "near": sum(regret <= NEAR for regret in regrets)},
        ),
    ]  # fmt: skip


def _over_programs(shares: Mapping[str, Sequence[Sequence[float]]]) -> list[Figure]:
    """Times of all programs together; their intervals are over programs and replays."""
    means = {what: [_geomean(replays) for replays in by_program] for what, by_program in shares.items()}
    return [
        Figure(
            name=f"{what}: share", what=f"{what}: share of the grid's time to within {NEAR:.0%} of the best, all programs",
            measured=100 * _geomean(means[what]), unit="%",
            detail={
                "times_ours": _geomean(ratios := [a / b for a, b in zip(means[what], means["ours"], strict=True)]),
                "interval": _interval(ratios), "programs_ahead_of_ours": sum(ratio < 1 for ratio in ratios),
            },
        )
        for what in shares
    ]  # fmt: skip


def _time_to_near(table: Table, turns: Sequence[Turn]) -> float:
    return next((min(turn.spent_s, table.whole_s) for turn in turns if turn.answer in table.near), table.whole_s)


def _answer_at(turns: Sequence[Turn], spent_s: float) -> str:
    return [turn for turn in turns if turn is turns[0] or turn.spent_s <= spent_s][-1].answer


def _geomean(values: Sequence[float]) -> float:
    return statistics.geometric_mean(values)


def _interval(values: Sequence[float]) -> list[float]:
    """95 %, of the geometric mean: Student's, on the logarithms."""
    logs = np.log(values)
    if len(logs) < 2:
        return []
    half = float(stats.t.ppf(0.975, len(logs) - 1)) * float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
    return [math.exp(float(np.mean(logs)) + sign * half) for sign in (-1, 1)]


def programs(
    quick: bool, names: Sequence[str], metric: str, cache: Path | None, peer: Path | None, num_replays: int
) -> list[Figure]:
    tables = {}
    for name in names:
        program = PROGRAMS[name].cut() if quick else PROGRAMS[name]
        tables[name] = table_of(name, program, metric, cache)
    return compared(tables, 2 if quick else num_replays, peer)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(PROGRAMS), default=list(PROGRAMS),
                        help=", ".join(PROGRAMS))  # fmt: skip
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keep what was measured, and use it again")
    parser.add_argument("--opentuner", type=Path, metavar="PYTHON", help="of an environment that has OpenTuner")
    parser.add_argument("--replays", type=int, default=REPLAYS, metavar="N", help="of each search on each program")
    parser.add_argument("--metric", choices=["time", "cpu"], default="time", help="cpu: where others use the machine")
    args = parser.parse_args()
    names = [name for name in args.only if name == "pytest" or shutil.which(name if name != "sqlite" else "sqlite3")]
    for name in set(args.only) - set(names):
        print(f"{name}: not installed, left out", file=sys.stderr)
    conduct(args, {
        "programs": partial(programs, names=names, metric=args.metric, cache=args.cache, peer=args.opentuner,
                            num_replays=args.replays),
    })  # fmt: skip


if __name__ == "__main__":
    main()
