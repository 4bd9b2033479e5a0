"""Search on real programs: ours, random, and a scan as hyperfine does one, by the seconds that they spend measuring.

    python benchmarks/programs.py measure --out programs.json     # every setting of every program, many times: minutes
    python benchmarks/programs.py compare programs.json           # searches on what was measured, drawn again: seconds

Every configuration of a program's grid is run repeatedly, in turns, and its times are kept. A search then draws from these
times, so that it can be repeated a hundred times, and what it finds is judged by the medians of all. Regret is how much
slower than the best setting the chosen one is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import raytune_hpo as hpo
from raytune_hpo.commands.repeating import Contest, RepeatRule
from raytune_hpo.errors import StudyEnded
from raytune_hpo.goals import Goal

COUNTS = [1, 2, 3, 5, 8]
SHARES = (0.125, 0.25, 0.5, 1.0)
NEAR = 0.02  # of the best: as good as found
LAST_SHARE = 0.25  # of the time: for the best three, by turns
PROGRAMS: dict[str, tuple[str, dict[str, list[Any]]]] = {
    "xz": ("xz -k -c -T{threads} --lzma2=preset={preset},nice={nice},dict={dict}KiB text", {
        "threads": [1, 2], "preset": [0, 1, 2, 3], "nice": [8, 32, 128], "dict": [64, 512, 4096]}),
    "zstd": ("zstd -q -k -c -T{threads} -{level} --long={long} text", {
        "threads": [0, 1, 2, 3], "level": [1, 3, 5, 7, 9], "long": [10, 18, 24]}),
    "sort": ("sort -n --parallel={jobs} -S {buffer}K numbers", {
        "jobs": COUNTS, "buffer": [64, 256, 1024, 4096, 16384, 65536], }),
    "gzip": ("xargs -a names -P {jobs} -n {batch} gzip -{level} -k -c", {
        "jobs": COUNTS, "batch": [1, 2, 5, 13, 34], "level": [1, 2, 4]}),
    "sqlite": ("sqlite3 :memory: 'PRAGMA cache_size=-{cache}; PRAGMA temp_store={temp}; PRAGMA threads={threads}; "
               "ATTACH \"data.db\" AS d; SELECT count(*) FROM (SELECT v, count(*) FROM d.t GROUP BY v ORDER BY 2)'", {
        "cache": [64, 512, 4096, 32768], "temp": [1, 2], "threads": [0, 1, 2, 4]}),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--out", type=Path, required=True)
    measuring.add_argument("--rounds", type=int, default=3)
    measuring.add_argument(
        "--metric", choices=["time", "cpu"], default="time", help="cpu: where others use the machine"
    )
    measuring.add_argument("--only", nargs="*", default=list(PROGRAMS))
    comparing = commands.add_parser("compare")
    comparing.add_argument("measured", type=Path)
    comparing.add_argument("--studies", type=int, default=20)
    given = parser.parse_args()
    if given.command == "measure":
        given.out.write_text(json.dumps({name: measured(name, given.rounds, given.metric) for name in given.only}))
    else:
        compare(json.loads(given.measured.read_text()), given.studies)


# ------------------------------------------------------------------------------------------------ measuring


def measured(name: str, rounds: int, metric: str = "time") -> dict[str, list[float]]:
    """The seconds of every configuration, as JSON text, in rounds over all of them."""
    template, grid = PROGRAMS[name]
    folder = Path(tempfile.mkdtemp())
    make_data(folder)
    command = hpo.Command(template, metrics=[metric], repeats=1, cwd=folder)
    found: dict[str, list[float]] = {json.dumps(config): [] for config in configs(grid)}
    for turn in range(rounds):
        for text, seconds in found.items():
            seconds.append(command(json.loads(text))[metric])
        print(f"{name}: round {turn + 1} of {rounds}, {len(found)} settings", file=sys.stderr, flush=True)
    return found


def configs(grid: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def make_data(folder: Path) -> None:
    """A text, numbers, many small files and a table, the same every time."""
    import sqlite3

    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(3_000)]
    (folder / "text").write_text(" ".join(draw.choices(words, k=400_000)))
    (folder / "numbers").write_text("\n".join(str(draw.randrange(10**9)) for _ in range(150_000)))
    names = [folder / f"part{index}" for index in range(60)]
    for path in names:
        path.write_text(" ".join(draw.choices(words, k=3_000)))
    (folder / "names").write_text("\n".join(path.name for path in names))
    with sqlite3.connect(folder / "data.db") as data:
        data.execute("CREATE TABLE t (v TEXT)")
        data.executemany("INSERT INTO t VALUES (?)", ((word,) for word in draw.choices(words, k=200_000)))


# ------------------------------------------------------------------------------------------------ comparing


class Drawn:
    """A program whose times are drawn from those that were measured; what a search has spent is added up."""

    def __init__(self, table: dict[str, list[float]], seed: int) -> None:
        self._table, self._draw = table, random.Random(seed)
        self.spent_s = 0.0

    def __call__(self, config: dict[str, Any]) -> float:
        seconds = self._draw.choice(self._table[json.dumps(config)])
        self.spent_s += seconds
        return seconds


def scan(drawn: Drawn, grid: dict[str, list[Any]], budget_s: float, seed: int) -> dict[str, Any]:
    """As hyperfine scans: settings in order, each ten times and for three seconds at least; the best mean."""
    best, chosen = float("inf"), next(configs(grid))
    for config in configs(grid):
        if drawn.spent_s >= budget_s:
            break
        seconds: list[float] = []
        while len(seconds) < 10 or sum(seconds) < 3:
            seconds.append(drawn(config))
        if statistics.mean(seconds) < best:
            best, chosen = statistics.mean(seconds), config
    return chosen


def at_random(drawn: Drawn, grid: dict[str, list[Any]], budget_s: float, seed: int) -> dict[str, Any]:
    """Settings at random, each once; the best."""
    draw, listed = random.Random(seed), list(configs(grid))
    draw.shuffle(listed)
    best, chosen = float("inf"), listed[0]
    for config in listed:
        if drawn.spent_s >= budget_s:
            break
        if (seconds := drawn(config)) < best:
            best, chosen = seconds, config
    return chosen


def ours(drawn: Drawn, grid: dict[str, list[Any]], budget_s: float, seed: int) -> dict[str, Any]:
    """The default sampler, repeats where they decide, and the best three by turns for the quarter of the time at the end."""
    space = {name: hpo.ordinal(values) for name, values in grid.items()}
    study = hpo.Study(space, metric="time", storage="memory", seed=seed)
    contest, found = Contest(RepeatRule(), Goal("time")), dict[str, list[float]]()
    while drawn.spent_s < (1 - LAST_SHARE) * budget_s:
        try:
            trial = study.ask()
        except StudyEnded:
            break
        seconds: list[float] = []
        while contest.wants_more(seconds):
            seconds.append(drawn(dict(trial.config)))
        contest.settle(seconds)
        study.tell(trial, statistics.median(seconds))
        found.setdefault(json.dumps(dict(trial.config)), []).extend(seconds)
    best = sorted(found, key=lambda text: statistics.median(found[text]))[:3]
    fresh: dict[str, list[float]] = {text: [] for text in best}
    for text in [text for _ in range(5) for text in best]:
        if drawn.spent_s < budget_s:
            fresh[text].append(drawn(json.loads(text)))
    return dict(json.loads(min(best, key=lambda text: statistics.mean(fresh[text] or found[text]))))


SEARCHES: dict[str, Callable[[Drawn, dict[str, list[Any]], float, int], dict[str, Any]]] = {
    "ours": ours, "random": at_random, "scan": scan,
}  # fmt: skip


def compare(tables: dict[str, dict[str, list[float]]], num_studies: int) -> None:
    names = "  ".join(f"{name:>13}" for name in SEARCHES)
    print(f"program  settings  best s  worst/best  budget s  {names}      regret, and budgets that were spent")
    for name, table in tables.items():
        medians = {text: statistics.median(seconds) for text, seconds in table.items()}
        best, whole_s = min(medians.values()), sum(medians.values())
        sure_s: dict[str, float] = {}  # by search: the least budget with which most studies end within 2 %
        for share in SHARES:  # of what it takes to run every setting once
            regrets = []
            for what, search in SEARCHES.items():
                chosen, spent = [], []
                for seed in range(num_studies):
                    drawn = Drawn(table, seed)
                    config = search(drawn, PROGRAMS[name][1], share * whole_s, seed)
                    chosen.append(medians[json.dumps(config)] / best - 1)
                    spent.append(drawn.spent_s / (share * whole_s))
                regrets.append(f"{statistics.median(chosen):7.1%} ({statistics.median(spent):.1f})")
                if statistics.median(chosen) <= NEAR:
                    sure_s.setdefault(what, share * whole_s)
            print(
                f"{name:<7}  {len(table):>8}  {best:6.3f}  {max(medians.values()) / best:10.1f}  {share * whole_s:8.1f}"
                f"  {'  '.join(regrets)}"
            )
        shown = ", ".join(f"{what} {sure_s[what]:.1f} s" if what in sure_s else f"{what} never" for what in SEARCHES)
        print(f"within {NEAR:.0%} of the best in most studies from: {shown}")


if __name__ == "__main__":
    main()
