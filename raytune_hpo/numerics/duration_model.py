"""A regression model of trial durations.

X  (n, d)  rows; NaN where a column is not active      t  (n,)  seconds

It is a linear model or a small forest, whichever predicts left-out trials better. (Cho et al., IEEE Access 8, 2020)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics import forest
from raytune_hpo.numerics.axes import Axis
from raytune_hpo.numerics.kernels import Embedding

MIN_TRIALS = 10  # completed trials that a model needs
_FOLDS = 5
_TREES = 20
_RIDGE = 1e-3  # of the sum of squares: with few trials and many choices the linear model has no single solution

Model = Callable[[Array], Array]


def fit_durations(axes: Sequence[Axis], X: Array, t: Array, rng: np.random.Generator) -> Model:
    """Fit a model: a function that returns the seconds (k,) expected at rows (k, d), never below 0.

    Args:
        X: n >= MIN_TRIALS.
    """
    makers = (_linear, _forest)
    fold = np.arange(len(t)) % _FOLDS
    errors = []
    for make in makers:
        wrong = [make(axes, X[fold != i], t[fold != i], rng)(X[fold == i]) - t[fold == i] for i in range(_FOLDS)]
        errors.append(float(np.mean(np.concatenate(wrong) ** 2)))
    return makers[int(np.argmin(errors))](axes, X, t, rng)


def _linear(axes: Sequence[Axis], X: Array, t: Array, rng: np.random.Generator) -> Model:
    embedding, mean = Embedding(axes), float(t.mean())
    centre = embedding(X).mean(axis=0)
    Z = embedding(X) - centre
    A = Z.T @ Z + _RIDGE * len(t) * np.eye(Z.shape[1])
    slopes = np.linalg.solve(A, Z.T @ (t - mean))
    return lambda rows: np.maximum(mean + (embedding(rows) - centre) @ slopes, 0.0)


def _forest(axes: Sequence[Axis], X: Array, t: Array, rng: np.random.Generator) -> Model:
    grown = forest.grow(axes, X, t, rng, num_trees=_TREES, min_leaf=2)
    return lambda rows: grown.predict(rows)[0]
