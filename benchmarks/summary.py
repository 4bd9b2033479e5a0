"""Figures in benchmarks/results as tables in Markdown.

python benchmarks/summary.py             # all that docs/performance.md shows
python benchmarks/summary.py newcomer    # what docs/quickstart.md shows
"""

from __future__ import annotations

import json
import sys
from typing import Any

from common import RESULTS, number

SCRIPTS = ("throughput", "reports", "memory", "simulated", "growth", "endurance")


def row(script: str, figure: dict[str, Any]) -> str:
    mark = {True: "yes", False: "**no**", None: ""}[figure["reached"]]
    measured = f"{number(figure['measured'])} {figure['unit']}".strip()
    load = " to ".join(f"{figure[key]:.1f}" for key in ("load_before", "load_after") if key in figure)
    return f"| {figure['what']} | {figure['asked']} | {measured} | {mark} | {load} | `{script}` {figure['at'][11:16]} |"


def newcomer() -> None:
    measured = json.loads((RESULTS / "newcomer.json").read_text())
    cores, day = measured["machine"]["cores"], measured["at"][:10]
    print(
        f"On a shared machine of {cores} cores, {day} ([results/newcomer.json](../benchmarks/results/newcomer.json)):\n"
    )
    print("| | seconds |\n|---|--:|")
    for figure in measured["figures"]:
        print(f"| {figure['what']} | {number(figure['measured'])} |")


def main() -> None:
    if sys.argv[1:] == ["newcomer"]:
        newcomer()
        return
    print("| what | asked | measured | reached | load | command, time (UTC) |\n|---|---|---|---|---|---|")
    for script in SCRIPTS:
        path = RESULTS / f"{script}.json"
        if path.exists():
            for figure in json.loads(path.read_text())["figures"]:
                print(row(script, figure))


if __name__ == "__main__":
    main()
