"""Records: strict JSON, the same from every face."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import SpecError, StudyNotFound
from raytune_hpo.results.records import error_record, plain, snapshot_record, status_record
from tests.faces.snapshots import STATUS, snapshot
from tests.faces.studies import done, failed, pruned, results_of, running


def strict(record):
    """The record after a trip through JSON that refuses what is not JSON."""
    return json.loads(json.dumps(record, allow_nan=False))


def test_a_value_that_json_cannot_carry_is_shown_by_its_repr_or_missing():
    assert plain({"a": math.nan, "b": (1, math.inf), 3: object}) == {"a": None, "b": [1, None], "3": "builtins.object"}


def test_a_status_is_a_record():
    record = strict(status_record(STATUS))
    assert record["name"] == "mnist" and record["is_running"] is True and record["stopped"] is None
    assert record["num_by_status"] == dict(STATUS.counts)
    assert (record["num_trials"], record["num_finished"]) == (41, 37)
    assert record["limits"]["num_trials"] == 100
    assert strict(status_record(replace(STATUS, best={"loss": math.inf}, stopped="target")))["best"] == {"loss": None}


def test_a_snapshot_is_a_record():
    record = strict(snapshot_record(snapshot()))
    assert record["status"] == strict(status_record(STATUS))
    assert record["running"][0] == {
        "number": 37, "attempt": 1, "config": "lr=0.1, depth=3", "age_s": 12.4, "step": 3, "value": 0.25
    }  # fmt: skip
    (history,) = record["histories"]
    assert (history["metric"], history["mode"]) == ("loss", "min")
    assert history["points"][0] == [1, 1.0, True, True] and history["best"][-1] == [30, 0.0123456789]


@pytest.mark.parametrize("error", [SpecError("eta >= 2"), StudyNotFound("no study 'x'"), ValueError("boom")])
def test_an_error_is_its_class_and_its_message(error):
    assert strict(error_record(error)) == {"error": type(error).__name__, "message": str(error)}


def test_results_give_the_records_that_their_file_holds(tmp_path):
    results = results_of(done(0.5, steps=2), pruned(0.9), failed(), running())
    results.to_json(tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert {**strict(results.summary()), "trials": written["trials"]} == written
    assert [trial["status"] for trial in written["trials"]] == ["completed", "pruned", "failed", "running"]
    assert isinstance(results, hpo.Results)
