"""The quickstart says how long a newcomer's path takes where that was measured, and as it was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks/results/newcomer.json"


def test_the_quickstart_says_what_was_measured_and_nothing_else() -> None:
    page = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
    table = page.partition("| | seconds |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|-]+[^|]*) \| ([\d,.]+) \|", table, re.MULTILINE)
    said = {what.strip(): float(seconds.replace(",", "")) for what, seconds in rows}
    figures = json.loads(RESULTS.read_text(encoding="utf-8"))["figures"] if RESULTS.exists() else []
    assert said == {figure["what"]: pytest.approx(figure["measured"], rel=0.01) for figure in figures}
