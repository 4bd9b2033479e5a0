"""The benchmark of programs, on times that nobody had to measure."""

from __future__ import annotations

import json

import pytest

from benchmarks import programs

GRID = {"jobs": [1, 2, 3, 5, 8], "batch": [1, 2, 5]}
TABLE = {
    json.dumps(c): [0.1 * (abs(c["jobs"] - 3) + c["batch"]) * f for f in (1, 1.01, 1.02)]
    for c in programs.configs(GRID)
}


@pytest.mark.parametrize("search", list(programs.SEARCHES.values()), ids=list(programs.SEARCHES))
def test_every_search_finds_the_best_where_there_is_time_enough(search):
    drawn, budget_s = programs.Drawn(TABLE, 0), 1_000.0 if search is programs.scan else 25.0
    assert search(drawn, GRID, budget_s, 0) == {"jobs": 3, "batch": 1}
    assert drawn.spent_s > 0


def test_settings_that_are_no_better_are_told_by_their_regret(monkeypatch, capsys):
    monkeypatch.setattr(programs, "PROGRAMS", {"fake": ("fake", GRID)})
    programs.compare({"fake": TABLE}, num_studies=2)
    said = capsys.readouterr().out
    assert said.count("fake") == len(programs.SHARES)
    assert "within 2% of the best in most studies from: ours " in said


def test_a_program_is_measured_at_every_setting(monkeypatch):
    monkeypatch.setattr(programs, "PROGRAMS", {"true": ("true {x}", {"x": [1, 2]})})
    monkeypatch.setattr(programs, "make_data", lambda folder: None)
    found = programs.measured("true", rounds=2)
    assert {text: len(seconds) for text, seconds in found.items()} == {'{"x": 1}': 2, '{"x": 2}': 2}
