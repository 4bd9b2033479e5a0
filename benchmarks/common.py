"""Code shared by the benchmarks: circumstances, figures, tables, JSON, clusters, and inspecting processes.

A benchmark is a script with a table of measures: functions that take ``quick`` (tiny sizes: does it run?) and return
figures. It calls ``run``, which adds the options --quick, --only and --out, prints a table and writes
``results/<script>.json``. A run with --only replaces its own figures in that file and keeps the others; each figure
records when and how it was measured.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_enable_metrics_collection", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PACKAGES = ("raytune_hpo", "ray", "optuna", "numpy", "SQLAlchemy", "psycopg")


# ------------------------------------------------------------------------------------------------ figures


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        asked: what it should be, in words; empty where nothing was asked.
        reached: whether it is so; None where nothing was asked, or the size is too small to tell.
        detail: whatever else explains it.
    """

    name: str
    what: str
    measured: float
    unit: str
    asked: str = ""
    reached: bool | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def at_least(limit: float, **settings: Any) -> Figure:
    """A figure that should not be below the limit."""
    reached = settings["measured"] >= limit
    return Figure(asked=f">= {limit:,g}", reached=reached, **settings)


def at_most(limit: float, **settings: Any) -> Figure:
    """A figure that should not be above the limit."""
    reached = settings["measured"] <= limit
    return Figure(asked=f"<= {limit:,g}", reached=reached, **settings)


def steady(values: Sequence[float], times: float = 3.0) -> bool:
    """Whether repeated measurements agree well enough to conclude anything from them."""
    return max(values) <= times * min(values)


def table(figures: Sequence[Figure]) -> str:
    """The figures as text, one on each line."""
    rows = [("", "measured", "", "asked", "")]
    for figure in figures:
        mark = "" if figure.reached is None else "yes" if figure.reached else "NO"
        rows.append((figure.what, number(figure.measured), figure.unit, figure.asked, mark))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    what, measured, unit, asked, mark = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return f"{what}  {measured.strip():>{widths[1]}} {unit}  {asked}  {mark}".rstrip()


def number(value: float) -> str:
    """Three digits, or whole thousands."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


# ------------------------------------------------------------------------------------------------ running


Measure = Callable[[bool], list[Figure]]


def run(doc: str, measures: Mapping[str, Measure], *, unasked: Sequence[str] = ()) -> None:
    """The main program of a benchmark.

    Args:
        doc: the script's docstring.
        unasked: measures that take so long that they run only when named by --only.
    """
    parser = arguments(doc)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(measures), help=", ".join(measures))
    args = parser.parse_args()
    names = args.only or [name for name in measures if name not in unasked]
    conduct(args, {name: measures[name] for name in names})


def arguments(doc: str) -> argparse.ArgumentParser:
    """With the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that it runs; nothing written by default"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: results/ beside the script")
    return parser


def conduct(args: argparse.Namespace, measures: Mapping[str, Measure]) -> None:
    """Measure, print and write."""
    script = Path(sys.argv[0]).stem
    around = circumstances(script)
    out = args.out or (None if args.quick else RESULTS / f"{script}.json")
    for name, measure in measures.items():
        print(f"{script}: {name} ...", file=sys.stderr, flush=True)
        when = {
            "at": _now(),
            "command": around["command"],
            "commit": around["commit"],
            "load_before": os.getloadavg()[0],
        }
        figures = measure(args.quick)
        if args.quick:  # so small that it says nothing
            figures = [replace(figure, reached=None) for figure in figures]
        print(table(figures), flush=True)
        when["load_after"] = os.getloadavg()[0]  # a machine that others use says so here
        write(out, around, [{**asdict(figure), **when} for figure in figures])


def write(path: Path | None, around: Mapping[str, Any], figures: Sequence[Mapping[str, Any]]) -> None:
    """Write the figures, in the place of those of the same names."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text())["figures"] if path.exists() else []
    by_name = {figure["name"]: figure for figure in [*before, *figures]}
    path.write_text(json.dumps({**around, "figures": list(by_name.values())}, indent=1) + "\n")


def circumstances(script: str) -> dict[str, Any]:
    """Under which figures are measured."""
    changed = _git("status", "--porcelain", "--", "../raytune_hpo")
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "command": " ".join(["python", f"benchmarks/{script}.py", *sys.argv[1:]]),
        "at": _now(),
        "commit": _git("rev-parse", "HEAD") or None,
        "uncommitted_changes": bool(changed),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": {
            "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.platform(),
            "load_before": os.getloadavg()[0],
        },
    }


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(HERE), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


# ------------------------------------------------------------------------------------------------ surroundings


def use_ray() -> None:
    """A Ray cluster of our own, for all that this process measures; it ends with the process."""
    import ray

    if not ray.is_initialized():
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


@contextlib.contextmanager
def database() -> Iterator[str]:
    """The name of a SQLite file that does not exist yet, in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        yield os.path.join(folder, "studies.db")


# ------------------------------------------------------------------------------------------------ processes


def resident_bytes(pid: int) -> int:
    """The resident memory of a process that it shares with nobody, in bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kb = [int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")]
    return 1024 * sum(kb)


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the straight line through the points that is nearest to them."""
    import numpy as np

    return float(np.polyfit(xs, ys, 1)[0])


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
