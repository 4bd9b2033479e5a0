"""The table in docs/scikit-learn.md is what was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/scikit-learn.md").read_text(encoding="utf-8").partition("## What was measured")[2]
RESULTS = ROOT / "benchmarks/results/sklearn_search.json"
MEASURED = json.loads(RESULTS.read_text(encoding="utf-8"))["figures"] if RESULTS.exists() else []
FIGURES = {figure["name"]: figure for figure in MEASURED}


def test_every_search_is_in_the_tables():
    shown = re.findall(r"^\| (\w+) \| `?([^|`]+?)`? \|", TEXT, re.MULTILINE)
    searches = {tuple(name.split(" ", 1)) for name in FIGURES if not name.endswith(" seconds")}
    assert {(task, who) for task, who in shown if task in ("svm", "linear", "forest")} == searches


@pytest.mark.parametrize("row", re.findall(r"^\| (?:svm|linear|forest) \|.*$", TEXT, re.MULTILINE))
def test_a_row_is_what_was_measured(row):
    task, who, held_out, cv_score, fits, seconds = (cell.strip(" `") for cell in row.strip("|").split("|"))
    figure = FIGURES[f"{task} {who}"]
    assert held_out == f"{figure['measured']:.3f} ± {figure['detail']['held_out_se']:.3f}"
    assert cv_score == f"{figure['detail']['cv_score']:.3f}"
    assert fits == f"{figure['detail']['fits']:.0f}"
    assert seconds == f"{FIGURES[f'{task} {who} seconds']['measured']:.1f}"
