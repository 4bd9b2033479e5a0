"""Priors and weights: what a user believes of parameters, as samplers see it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.rng import derive
from raytune_hpo.space import Space

RATE = hpo.Float(1e-5, 1e-1, log=True, prior=hpo.Normal(1e-3, 0.1))
SPACE = Space(
    {
        "rate": RATE,
        "share": hpo.Float(0, 1, prior=hpo.Beta(8, 2)),
        "depth": hpo.Int(1, 100, prior=hpo.Normal(10, 0.05)),
        "size": hpo.Ordinal([1, 2, 4], weights=[1, 1, 8]),
        "kind": hpo.Choice(["a", "b"], weights=[9, 1]),
    }
)
PLAIN = Space(
    {
        "rate": hpo.Float(1e-5, 1e-1, log=True),
        "share": hpo.Float(0, 1),
        "depth": hpo.Int(1, 100),
        "size": hpo.Ordinal([1, 2, 4]),
        "kind": hpo.Choice(["a", "b"]),
    }
)


def test_draws_lie_where_good_values_are_thought_to_lie():
    drawn = SPACE.sample(2000, derive(0, "draws"))
    logs = np.log10([config["rate"] for config in drawn])
    assert abs(np.median(logs) + 3) < 0.1
    assert (
        0.3 < np.diff(np.quantile(logs, [0.16, 0.84]))[0] / 2 < 0.6
    )  # a tenth of four decades, and what even draws add
    assert abs(np.median([config["share"] for config in drawn]) - 0.81) < 0.05
    assert abs(np.median([config["depth"] for config in drawn]) - 10) <= 2
    assert 0.7 < np.mean([config["size"] == 4 for config in drawn]) < 0.85
    assert 0.85 < np.mean([config["kind"] == "a" for config in drawn]) < 0.95


def test_nothing_is_impossible():
    logs = np.log10([config["rate"] for config in SPACE.sample(2000, derive(0, "draws"))])
    assert (logs > -1.4).any() and (logs < -4.6).any()


def test_coordinates_do_not_depend_on_what_is_believed_of_numbers():
    config = PLAIN.sample(1, derive(0, "one"))[0]
    assert np.array_equal(SPACE.encode([config])[0][:4], PLAIN.encode([config])[0][:4])


def test_a_space_keeps_its_priors_in_a_journal():
    stored = json.loads(json.dumps(SPACE.weighed(0.5).to_json()))
    again = Space.from_json(stored)
    assert again == SPACE.weighed(0.5) != SPACE
    assert again.prior_weight == 0.5
    assert again.sample(5, derive(0, "draws")) == SPACE.weighed(0.5).sample(5, derive(0, "draws"))


def test_a_space_without_priors_is_stored_as_before():
    assert "prior" not in json.dumps(PLAIN.to_json())
    assert Space.from_json(PLAIN.to_json()) == PLAIN


def test_a_weight_of_nothing_is_the_space_without_priors():
    assert SPACE.weighed(0) == PLAIN
    assert PLAIN.weighed(3) == PLAIN
    assert SPACE.weighed(1) is SPACE


def test_less_weight_is_more_even():
    def spread(weight):
        return np.std(np.log10([c["rate"] for c in SPACE.weighed(weight).sample(1000, derive(0, "draws"))]))

    assert spread(1) < spread(0.5) < spread(0.1)


def test_priors_of_branches_hold_where_they_are_active():
    space = Space(
        {"model": hpo.Choice([{"kind": "svm", "C": hpo.Float(0, 1, prior=hpo.Beta(9, 1))}, {"kind": "tree"}])}
    )
    drawn = [c["model"]["C"] for c in space.sample(400, derive(0, "draws")) if c["model"]["kind"] == "svm"]
    assert 100 < len(drawn) < 300 and np.median(drawn) > 0.85
    assert space.weighed(0) == Space({"model": hpo.Choice([{"kind": "svm", "C": hpo.Float(0, 1)}, {"kind": "tree"}])})


@pytest.mark.parametrize("sd", [1e-6, 1e-160, 1e-300])
@pytest.mark.parametrize("mean", [0, 0.3, 1])
def test_a_prior_that_is_all_but_certain_is_one_narrow_peak(mean, sd):
    drawn = Space({"x": hpo.Float(0, 1, prior=hpo.Normal(mean, sd))}).sample(200, derive(0, "draws"))
    assert np.median([abs(config["x"] - mean) for config in drawn]) < 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hpo.Float(0, 1, prior=hpo.Normal(2, 0.1)), r"mean lies within \[0.0, 1.0\], got 2"),
        (lambda: hpo.Normal(0.5, 0), "sd > 0, as a share of the range, got sd=0"),
        (lambda: hpo.Beta(0, 1), r"a and b above 0 and at most 1e\+09, got a=0"),
        (lambda: hpo.Beta(2, 1e300), r"a and b above 0 and at most 1e\+09, got a=2.0, b=1e\+300"),
        (lambda: hpo.Float(0, 1, prior=0.5), r"a prior is hpo.Normal\(mean, sd\) or hpo.Beta\(a, b\), got 0.5"),
        (lambda: hpo.Float(0, 1, prior=hpo.space.Normal(0, 1)), r"got Normal\(.*\) of raytune_hpo.space.numeric"),
        (lambda: hpo.Float(1, 1, prior=hpo.Beta(1, 2)), r"needs a range of more than one value"),
        (lambda: hpo.Ordinal([1, 2], weights=[1]), "an ordinal needs one weight for each option: 2 options, 1 weights"),
        (lambda: hpo.Ordinal([1, 2], weights=[1, 0]), "weights of an ordinal must be above 0"),
        (lambda: Space({"x": hpo.Normal(0.5, 0.1)}), "a prior is a belief about a parameter.*randn"),
    ],
)
def test_priors_that_make_no_sense_are_refused(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


@pytest.mark.parametrize("weight", [-1, math.nan, "much"])
def test_a_weight_is_a_number_of_at_least_nothing(weight):
    with pytest.raises(SpecError, match="prior_weight"):
        hpo.Study(SPACE, storage="memory", prior_weight=weight)
