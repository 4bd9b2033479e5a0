"""The tables in docs/experiments.md are what was measured."""

from __future__ import annotations

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import summary  # noqa: E402

PAGE = (BENCHMARKS.parent / "docs" / "experiments.md").read_text(encoding="utf-8")


def test_every_search_that_was_measured_is_shown_as_it_was_measured() -> None:
    head, _, *rows = summary.lookup_tables()
    assert rows and head in PAGE
    assert [row for row in rows if row not in PAGE] == []
