"""The tables on the pages are what was measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from summary import (  # noqa: E402
    early_stopping,
    fidelity,
    functions,
    live,
    lookup_tables,
    newcomer,
    performance,
    sample_efficiency,
    suggestion_time,
)

SHOWN: list[tuple[str, Callable[..., list[str]], tuple[str, ...]]] = [
    *[
        ("early-stopping.md", early_stopping, (workers, *goals))
        for workers in ("4", "32")
        for goals in ((), ("within 1 %", "within 0.1 %"))
    ],
    *[("early-stopping.md", fidelity, (workers, tasks)) for workers in ("4", "32") for tasks in ("all", "fresh")],
    ("early-stopping.md", fidelity, ("4", "all", "fidelity_further")),
    *[("experiments.md", lookup_tables, part) for part in ((), ("part",), ("lenet2",), ("ptb",), ("resnet",))],
    ("samplers.md", sample_efficiency, ()),
    ("samplers.md", sample_efficiency, ("sample_efficiency_36_tasks",)),
    ("samplers.md", functions, ("50",)),
    ("samplers.md", functions, ("100",)),
    ("samplers.md", suggestion_time, ()),
    ("live.md", live, ()),
    ("performance.md", performance, ()),
    ("quickstart.md", newcomer, ()),
]


@pytest.mark.parametrize(
    ("page", "table", "words"), SHOWN, ids=[" ".join([table.__name__, *words]) for _, table, words in SHOWN]
)
def test_a_table_is_what_was_measured(page: str, table: Callable[..., list[str]], words: tuple[str, ...]) -> None:
    lines = table(*words)
    assert len(lines) > 4
    assert "\n".join(lines) in (BENCHMARKS.parent / "docs" / page).read_text(encoding="utf-8")
