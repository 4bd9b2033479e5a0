"""All figures in benchmarks/results as one table in Markdown, for docs/performance.md.

python benchmarks/summary.py
"""

from __future__ import annotations

import json
from typing import Any

from common import RESULTS, number

SCRIPTS = ("throughput", "reports", "memory", "simulated", "growth", "endurance")


def row(script: str, figure: dict[str, Any]) -> str:
    mark = {True: "yes", False: "**no**", None: ""}[figure["reached"]]
    measured = f"{number(figure['measured'])} {figure['unit']}".strip()
    load = " to ".join(f"{figure[key]:.1f}" for key in ("load_before", "load_after") if key in figure)
    return f"| {figure['what']} | {figure['asked']} | {measured} | {mark} | {load} | `{script}` {figure['at'][11:16]} |"


def main() -> None:
    print("| what | asked | measured | reached | load | command, time (UTC) |\n|---|---|---|---|---|---|")
    for script in SCRIPTS:
        path = RESULTS / f"{script}.json"
        if path.exists():
            for figure in json.loads(path.read_text())["figures"]:
                print(row(script, figure))


if __name__ == "__main__":
    main()
