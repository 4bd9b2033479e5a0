"""Values that faces have to bear: arrays, undecodable text, numbers beyond all floats, control characters, formulas."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.analysis.columns import csv_cell
from raytune_hpo.cli.trials import trial_text
from raytune_hpo.display.text import number, short, table, visible
from raytune_hpo.results.records import full_trial_record, plain
from tests.faces.studies import done, failed, results_of

ARRAYS = [np.array([0.5, 0.5]), np.array([0.7, 0.3])]
METRICS = {"loss": 0.5, "file": "caf\udce9.csv", "k\udcff": "=1+1", "big": 10**400, "huge": -(10**5000), "neg": "-1.5"}


def shown_everywhere(results, folder):
    """What every face makes of the results, as one text."""
    results.to_csv(folder / "r.csv")
    results.to_json(folder / "r.json")
    json.loads((folder / "r.json").read_text())
    texts = [str(results), results._repr_html_(), results.to_dataframe().to_string()]
    pytest.importorskip("plotly")
    results.plot.page(folder / "r.html")
    return "".join([*texts, (folder / "r.csv").read_text(), (folder / "r.html").read_text()])


def test_configurations_with_arrays_are_shown(tmp_path):
    made = [done(1.0 + i, {"prior": ARRAYS[i % 2]}) for i in range(4)]
    text = shown_everywhere(results_of(*made, space={"prior": hpo.choice(ARRAYS)}), tmp_path)
    assert "array([0.7, 0.3])" in text


def test_metrics_of_any_text_and_any_size_are_shown(tmp_path):
    results = results_of(*[done({**METRICS, "loss": float(i)}) for i in range(4)])
    text = shown_everywhere(results, tmp_path)
    assert "caf\\udce9.csv" in text and "-1e+5000" in text
    (row, *_) = csv.DictReader((tmp_path / "r.csv").open())
    assert row["metrics/k\\udcff"] == "'=1+1" and row["metrics/neg"] == "-1.5"
    assert results.plot.history() and results.plot.curves("big") and results.plot.slice("huge")


def test_goals_named_with_half_characters_are_shown(tmp_path):
    names = ["a\udcff", "b\x1b[2J"]
    results = results_of(*[done({names[0]: float(i), names[1]: 4.0 - i}) for i in range(4)], metric=names)
    shown_everywhere(results, tmp_path)
    assert "\x1b" not in str(results) and "\\udcff" in str(results)


@pytest.mark.parametrize("text", ["=cmd()", "+1+1", "-O3", "@x", "\t=1"])
def test_text_that_spreadsheets_would_compute_gets_an_apostrophe(text):
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-1.5", "+3", "-inf", "a=b", "", -1.5, -3, None, True])
def test_numbers_and_other_text_stay_as_they_are_in_csv(value):
    assert csv_cell(value) == value


def test_control_characters_are_written_out_for_terminals():
    assert visible("a\x1b[31mb\x07\u202ec\nd\te") == "a\\x1b[31mb\\x07\\u202ec\nd\te"
    assert visible("日本 \U0001f600 é") == "日本 \U0001f600 é"
    assert short("\x1b]0;title\x07") == "\\x1b]0;title\\x07"
    assert "\x1b" not in table(["a\x1b"], [["b\x1b"]])


def test_what_a_trial_printed_is_made_visible_line_by_line():
    record = full_trial_record(results_of(failed("E: \x1b[2Jx"))[0], ())
    attempt = {"attempt": 1, "worker": "w\x1b", "ended": "failed", "output": "1%\r2%\n\x1b[8mhidden", "error": "\x9b2J"}
    record["attempts"] = [attempt]
    text = trial_text(record)
    assert not set(text) & {"\x1b", "\r", "\x9b"}
    assert "    1%\n    2%\n    \\x1b[8mhidden" in text


def test_numbers_of_any_size_have_six_digits():
    assert (number(10**400), number(-(123456789 * 10**5000)), number(12)) == ("1e+400", "-1.23457e+5008", "12")
    assert number(math.inf) == "inf"
    assert plain({"a": 10**5000}) == {"a": "1e+5000"}
