"""What the stories of searches share: small data, and estimators that count, fail or depend on the fold."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

import raytune_hpo as hpo

X, Y = make_classification(n_samples=120, n_features=8, n_informative=4, random_state=0)
C = {"C": loguniform(1e-3, 1e2)}


def search(estimator: Any = None, distributions: Any = None, **settings: Any) -> Any:
    """A search in this process, small unless the story says otherwise."""
    settings = {"n_iter": 4, "cv": 3, "runtime": "local", "random_state": 0, **settings}
    estimator = LogisticRegression() if estimator is None else estimator
    return hpo.sklearn.TunedSearchCV(estimator, C if distributions is None else distributions, **settings)


def scores_of(table: dict[str, Any]) -> dict[str, Any]:
    """A table without the columns that no two runs share."""
    return {name: column for name, column in table.items() if "_time" not in name}


def assert_same_table(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The same columns, and the same values in all that are no times."""
    assert set(ours) == set(theirs)
    for name, column in scores_of(theirs).items():
        if name == "params":
            assert ours[name] == column
        else:
            assert ours[name].dtype == column.dtype, name
            np.testing.assert_array_equal(ours[name], column, err_msg=name)


class Known(ClassifierMixin, BaseEstimator):
    """Scores what its parameter says, in every fold; counts how often it was fitted."""

    num_fits = 0

    def __init__(self, value: float = 0.0, fails: bool | type[BaseException] = False) -> None:
        self.value, self.fails = value, fails

    def fit(self, X: Any, y: Any = None) -> Known:
        Known.num_fits += 1
        if self.fails:
            raise (ZeroDivisionError if self.fails is True else self.fails)("as asked")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.classes_[0])

    def score(self, X: Any, y: Any = None) -> float:
        return self.value
