"""The door for metrics: goals are numbers, limits hold, and whatever else comes along never fails a trained trial."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import math
import pathlib
import warnings

import numpy as np
import pandas as pd
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import ObjectiveError
from raytune_hpo.goals import make_goals
from raytune_hpo.metrics import MAX_TEXT, MetricRules

LOSS = MetricRules(make_goals("loss"))


class Colour(enum.Enum):
    RED = 1


def checked(**metrics):
    return LOSS.of_result({"loss": 0.5, **metrics})


# ------------------------------------------------------------------------------------------------ goals


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (True, 1),
        (np.float16(0.5), 0.5),
        (np.int64(3), 3),
        (np.ones((1, 1)), 1.0),
        (decimal.Decimal("0.25"), 0.25),
        (fractions.Fraction(1, 4), 0.25),
        (2**70, float(2**70)),
        (-(2**63), -(2**63)),
        (5e-324, 5e-324),
    ],
)
def test_whatever_stands_for_a_finite_number_is_one(value, number):
    loss = LOSS.of_result({"loss": value})["loss"]
    assert loss == number and type(loss) in (int, float)


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, np.nan, 10**400, -(10**5000), None, "0.5", "", 1j, b"1", [1], (), {}, object(), pd.NA, pd.NaT,
        np.zeros(2), decimal.Decimal("NaN"), decimal.Decimal("sNaN"), np.ma.masked, np.ma.masked_array(0.3, mask=True),
        np.ma.masked_array([1.0, 2.0], mask=[True, True]).mean(), datetime.date(2026, 1, 1), Colour.RED,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_goal_that_is_no_finite_number_fails_the_trial(value):
    with pytest.raises(ObjectiveError, match="metric 'loss'") as caught:
        LOSS.of_result({"loss": value})
    assert len(str(caught.value)) < 200


def test_a_masked_value_that_is_there_counts():
    assert LOSS.of_result({"loss": np.ma.masked_array(0.3, mask=False)})["loss"] == 0.3


def test_a_missing_goal_is_named():
    with pytest.raises(ObjectiveError, match="must give metric 'loss', got \\['acc'\\]"):
        LOSS.of_result({"acc": 1.0})
    assert LOSS.of_report({"acc": 1.0}) == {"acc": 1.0}
    with pytest.raises(ObjectiveError, match="must give metric"):
        MetricRules(make_goals("loss"), every_report=True).of_report({"acc": 1.0})


def test_a_goal_may_be_found_inside_a_dict():
    assert MetricRules(make_goals("eval/loss")).of_result({"eval": {"loss": 0.5, "acc": 1}}) == {
        "eval/loss": 0.5,
        "eval/acc": 1,
    }


def test_hyperopts_word_for_a_failure_is_heard():
    with pytest.raises(ObjectiveError, match="status"):
        checked(status="fail")
    assert checked(status="ok")["status"] == "ok"


# ------------------------------------------------------------------------------------------------ limits


def test_any_metric_may_have_a_valid_range():
    rules = MetricRules(make_goals("acc", "max", {"acc": (0, 1)}), {"latency_ms": (0.0, 5.0)})
    assert rules.of_result({"acc": 0.9, "latency_ms": 5}) == {"acc": 0.9, "latency_ms": 5}
    assert rules.of_result({"acc": 0.9}) == {"acc": 0.9}
    for broken in ({"acc": 0.9, "latency_ms": 5.1}, {"acc": 1.1, "latency_ms": 1}):
        with pytest.raises(ObjectiveError, match="must lie in valid_range"):
            rules.of_result(broken)
    with pytest.raises(ObjectiveError, match="'latency_ms' must be a number"):
        rules.of_result({"acc": 0.9, "latency_ms": "slow"})


def test_a_range_of_another_metric_is_part_of_the_study(tmp_path):
    space, url = {"x": hpo.uniform(0, 1)}, str(tmp_path / "s.db")

    def run(high):
        return hpo.tune(
            lambda c: {"loss": c["x"], "ms": 10 * c["x"]}, space, metric="loss", valid_range={"ms": (0, high)},
            num_trials=8, sampler="random", seed=1, name="s", storage=url, runtime="local", progress=False,
        )  # fmt: skip

    results = run(5)
    assert {trial.status for trial in results if trial.config["x"] > 0.5} == {"failed"}
    assert {trial.status for trial in results if trial.config["x"] <= 0.5} == {"completed"}
    assert hpo.load("s", storage=url).spec.valid_ranges == {"ms": (0.0, 5.0)}
    with pytest.raises(hpo.errors.SpecMismatch, match="valid_range"):
        run(6)


# ------------------------------------------------------------------------------------------------ all other metrics


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("rbf", "rbf"),
        (None, None),
        (math.inf, math.inf),
        (np.bool_(True), True),
        ([1, 2.5, "a", None], [1, 2.5, "a", None]),
        ((1, 2), [1, 2]),
        (np.arange(3), [0, 1, 2]),
        (np.array(["a", "b"]), ["a", "b"]),
        ([np.float32(0.5)], [0.5]),
        (Colour.RED, "RED"),
        (pathlib.Path("a/b"), "a/b"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (2**63, float(2**63)),
        (10**5000, math.inf),
        (np.ma.masked, math.nan),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_can_hold_is_kept(value, kept):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = checked(more=value)["more"]
    assert found == kept or (found != found and kept != kept)


@pytest.mark.parametrize(
    "value", [np.zeros((2, 2)), object(), b"bytes", [object()], [[1]], [{"a": 1}], range(5000), 1j]
)
def test_what_cannot_be_kept_is_left_out_with_a_warning(value):
    with pytest.warns(UserWarning, match="metric 'more' is left out"):
        assert checked(more=value) == {"loss": 0.5}


def test_long_text_is_cut_with_a_warning():
    with pytest.warns(UserWarning, match="belong in a file"):
        assert len(checked(log="x" * (MAX_TEXT + 1))["log"]) == MAX_TEXT


def test_dicts_are_flattened_to_paths():
    assert checked(per_class={"cat": {"f1": 0.7}, 3: {"f1": np.float64(0.8)}}) == {
        "loss": 0.5,
        "per_class/cat/f1": 0.7,
        "per_class/3/f1": 0.8,
    }


def test_names_are_texts_without_a_dollar():
    assert LOSS.of_result({"loss": 0.5, 7: 1})["7"] == 1
    with pytest.warns(UserWarning, match="do not begin with"):
        assert checked(**{"$float": "nan"}) == {"loss": 0.5}
