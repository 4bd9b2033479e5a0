"""scikit-learn's own checks of what an estimator is."""

from __future__ import annotations

import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

import raytune_hpo as hpo

SETTINGS = {"n_iter": 2, "cv": 2, "runtime": "local"}
SEARCHES = [
    hpo.sklearn.TunedSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, error_score="raise", **SETTINGS),
    hpo.sklearn.TunedSearchCV(
        LogisticRegression(),
        {"C": hpo.loguniform(0.1, 10)},
        sampler="random",
        scheduler="median",
        error_score="raise",
        **SETTINGS,
    ),
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(SEARCHES)
def test_it_is_an_estimator(estimator, check):
    check(estimator)
