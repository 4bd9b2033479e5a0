"""The benchmark of programs, on times that nobody had to measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def programs(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    import programs

    return programs


@pytest.fixture
def table(programs):
    """Thirty settings, of which the best is 3, 1, "a"; the default is among the slowest."""
    grid = {"jobs": [1, 2, 3, 5, 8], "batch": [1, 2, 5], "how": ["a", "b"]}
    program = programs.Program(template="x", grid=grid, default={"jobs": 8, "batch": 5, "how": "b"})
    seconds = {}
    for config in program.configs():
        worth = 1 + abs(config["jobs"] - 3) + config["batch"] + 2 * (config["how"] == "b")
        seconds[json.dumps(config)] = [0.1 * worth * factor for factor in (1, 1.005, 1.01)]
    return programs.Table(program, seconds)


BEST = json.dumps({"jobs": 3, "batch": 1, "how": "a"})


def test_what_is_near_the_best_is_told_by_medians(table):
    assert table.near == {BEST}
    assert table.regret(json.dumps(table.program.default)) == pytest.approx(5.5)
    assert table.whole_s == pytest.approx(sum(table.medians.values()))


def test_every_search_begins_with_the_default_and_comes_near_the_best(programs, table):
    for search in (programs.ours, programs.at_random):
        turns = programs.played(search, table, seed=0)
        assert turns[0].answer == json.dumps(table.program.default) and turns[-1].answer == BEST
        assert [turn.runs for turn in turns] == sorted(turn.runs for turn in turns)


def test_a_scan_spends_ten_runs_and_three_seconds_on_each_setting(programs, table):
    drawn = programs.Drawn(table, 0)
    answers = list(programs.scan(drawn, table.program, budget_s=1.0, seed=0))
    assert answers[-1] == json.loads(BEST)
    assert drawn.runs >= 10 * 30 and drawn.spent_s >= 3 * 30


def test_figures_say_how_long_it_took_and_how_often_it_was_reached(programs, table):
    figures = {figure.name: figure for figure in programs.compared({"fake": table}, num_replays=3, peer=None)}
    assert figures["fake: settings"].measured == 30
    for what in programs.SEARCHES:
        runs, time = figures[f"fake, {what}: runs"], figures[f"fake, {what}: time"]
        assert time.measured <= table.whole_s * (1 + 1e-9)
        assert runs.detail["replays"] == 3 and 0 <= runs.detail["reached"] <= 3
        low, high = time.detail["interval"]
        assert low <= time.measured <= high
    assert figures["fake, ours: time"].detail["reached"] == 3
    assert figures["fake, scan: time"].detail["reached"] == 0, "it has seen a tenth of the settings"
    assert figures["scan: share"].detail["times_ours"] > 1 == figures["ours: share"].detail["times_ours"]


def test_what_was_measured_is_kept_and_measured_again_where_it_is_something_else(programs, monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "make_data", lambda folder: None)
    program = programs.Program(template="true {x}", grid={"x": [1, 2]}, default={"x": 1}, rounds=2)
    table = programs.table_of("true", program, "time", tmp_path)
    assert {text: len(seconds) for text, seconds in table.seconds.items()} == {'{"x": 1}': 2, '{"x": 2}': 2}
    assert programs.table_of("true", program, "time", tmp_path).seconds == table.seconds
    other = programs.table_of("true", program, "cpu", tmp_path)
    assert other.seconds != table.seconds


def test_every_program_can_be_cut_to_two_values_of_each_parameter(programs):
    for program in programs.PROGRAMS.values():
        assert dict(program.default) in program.configs()
        cut = program.cut()
        assert dict(cut.default) in cut.configs() and len(cut.configs()) == 2 ** len(program.grid)
