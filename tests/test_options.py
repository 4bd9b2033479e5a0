"""Checks of settings and options: what passes, what it becomes, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.errors import SpecError
from raytune_hpo.options import integer_option, named_option, number_option, positive, share_option, whole


def test_numpys_integers_become_python_s():
    assert type(integer_option("p", "n", np.int64(3), least=1)) is int
    assert type(whole("num_trials", np.int32(3), least=1)) is int


def test_a_float_stays_the_number_that_was_typed():
    assert number_option("p", "x", 1, above=0) == 1
    assert type(number_option("p", "x", 1, above=0)) is int  # the spec of a study compares options as they are written
    assert type(number_option("p", "x", np.float32(0.5), above=0)) is float


@pytest.mark.parametrize("value", [0, 2.0, True, "3", None, float("nan")])
def test_what_is_not_an_integer_of_at_least_one_is_refused_by_name(value):
    with pytest.raises(SpecError, match=r"p needs a whole number n >= 1, got n=.*; leave it out for the default"):
        integer_option("p", "n", value, least=1)


@pytest.mark.parametrize(
    ("bounds", "value", "rule"),
    [
        ({"above": 0}, 0, "p needs a finite x > 0, got x=0"),
        ({"least": 0}, float("inf"), "p needs a finite x >= 0, got x=inf"),
        ({"above": 0, "most": 1}, 1.5, "p needs 0 < x <= 1, got x=1.5"),
        ({"least": 0, "below": 1}, 1, "p needs 0 <= x < 1, got x=1"),
        ({"above": 0}, True, "got x=True"),
        ({"above": 0}, "a", "got x='a'"),
        ({"above": 0}, float("nan"), "got x=nan"),
    ],
)
def test_a_number_outside_its_bounds_is_refused_with_the_rule(bounds, value, rule):
    with pytest.raises(SpecError, match=rule):
        number_option("p", "x", value, **bounds)


def test_a_share_lies_between_0_and_1():
    assert share_option("p", "x", 0.5) == 0.5
    with pytest.raises(SpecError, match="0 < x < 1"):
        share_option("p", "x", 1.0)


def test_an_unknown_name_is_refused_with_the_nearest_one():
    assert named_option("p", "kind", None, (None, "linear")) is None
    with pytest.raises(SpecError, match="p has no kind 'linar'; did you mean 'linear'"):
        named_option("p", "kind", "linar", (None, "linear"))


@pytest.mark.parametrize("value", [0, True, "1", float("inf")])
def test_seconds_are_above_0_and_finite(value):
    with pytest.raises(SpecError, match="is a number of seconds above 0"):
        positive("trial_timeout_s", value)
