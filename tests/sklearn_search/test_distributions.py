"""What may stand in ``param_distributions``, and what a space is made of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

import raytune_hpo as hpo
from raytune_hpo.sklearn.distributions import NUM_DRAWN, search_space, sklearns_candidates

RNG = np.random.default_rng(0)


def domain(thing):
    """What one parameter becomes."""
    [column] = search_space({"p": thing}, random_state=0).columns
    return column.domain


@pytest.mark.parametrize(
    "listed", [[1, 2, 3], (1, 2, 3), range(1, 4), np.array([1, 2, 3]), pd.Series([1, 2, 3]), [np.int64(1), 2, 3]]
)
def test_lists_of_all_kinds_are_choices_of_plain_values(listed):
    assert domain(listed) == hpo.Choice([1, 2, 3])
    assert type(domain(listed).options[0]) is int


def test_distributions_of_scipy_are_domains():
    assert domain(stats.loguniform(1e-3, 10)) == hpo.loguniform(1e-3, 10)
    assert domain(stats.uniform(1, 3)) == hpo.uniform(1, 4)
    assert domain(stats.randint(1, 5)) == hpo.randint(1, 5)
    beta = search_space({"p": stats.beta(2, 5)}, 0).sample(500, RNG)
    assert np.mean([config["p"] for config in beta]) == pytest.approx(2 / 7, abs=0.05)


def test_our_domains_stand_beside_them():
    space = search_space({"a": hpo.uniform(0, 1), "b": [1, 2], "c": stats.norm(0, 1)}, 0)
    assert [column.name for column in space.columns] == ["a", "b", "c"]
    given = hpo.Space({"a": hpo.uniform(0, 1)}, constraints=[lambda c: c["a"] < 0.5])
    assert search_space(given, 0).has_constraints


class Die:
    """Can only be thrown."""

    def __init__(self, *sides):
        self.sides = sides

    def rvs(self, random_state=None):
        return self.sides[random_state.randint(len(self.sides))]


def test_what_can_only_be_drawn_is_drawn():
    assert domain(Die(3, 1, 2)) == hpo.Ordinal([1, 2, 3])
    colours = domain(Die("red", "blue"))
    assert set(colours.options) == {"red", "blue"} and sum(colours.weights) == NUM_DRAWN
    values = domain(stats.rv_discrete(values=([1, 2, 7], [0.5, 0.3, 0.2])))
    assert values == hpo.Ordinal([1, 2, 7])
    assert domain(Die(*range(50))) == domain(Die(*range(50)))


def test_a_list_of_dicts_is_a_choice_of_branches():
    svm, line = SVC(), LogisticRegression()
    space = search_space(
        [{"clf": [svm], "clf__gamma": stats.loguniform(1e-3, 1)}, {"clf": [line], "clf__C": [1, 2]}], random_state=0
    )
    configs = space.sample(50, RNG)
    assert {tuple(config) for config in configs} == {("clf", "clf__gamma"), ("clf", "clf__C")}
    assert all((config["clf"] is svm) == ("clf__gamma" in config) for config in configs)
    assert search_space([{"a": [1, 2]}], 0).sample(1, RNG)[0].keys() == {"a"}


def test_the_candidates_of_a_random_search_are_points_of_the_space():
    branches = [
        {"clf": [SVC()], "clf__gamma": stats.loguniform(1e-3, 1), "clf__C": np.logspace(-2, 2, 9)},
        {"clf": [LogisticRegression()], "clf__class_weight": [None, {0: 1, 1: 2}, "balanced"]},
    ]
    space, candidates = search_space(branches, 0), sklearns_candidates(branches, 30, 0)
    for candidate in candidates:
        space.check(candidate)
    assert len(candidates) == 30
    assert sklearns_candidates({"a": hpo.uniform(0, 1)}, 3, 0) is None
    assert sklearns_candidates(space, 3, 0) is None


def test_the_given_parameters_stay_as_they_are():
    given = {"a": hpo.uniform(0, 1), "b": [LogisticRegression()]}
    before = dict(vars(given["a"]))
    search_space(given, 0).sample(10, RNG)
    assert vars(given["a"]) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"C": 1.0}, r"parameter 'C' is a list, .* got 1.0; write \[1.0\]"),
        ({"kernel": "rbf"}, r"parameter 'kernel' is a list"),
        ({"C": []}, r"parameter 'C' needs at least one value, got \[\]"),
        ([], "a dict of lists and distributions, or a list of such dicts"),
        ([{"C": [1]}, 7], "a list of such dicts"),
        ("C", "a dict of lists"),
    ],
)
def test_what_is_no_distribution_is_refused(given, said):
    with pytest.raises(hpo.errors.SpaceError, match=said):
        search_space(given, 0)
