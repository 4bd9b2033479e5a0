"""The model of where trials fail: a Gaussian process of whether a trial failed, 1 or 0, over the rows of the space.

Where failures have no pattern, its noise explains them, and all rows are equally likely to succeed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.front_acquisition import Bound, FrontAcquisition
from raytune_hpo.numerics.gaussian import Posterior
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.numerics.transforms import standardised
from raytune_hpo.numerics.weighting import Success
from raytune_hpo.samplers.history import Memo, Observed, last_due

_LEAST_SUCCESS = 0.02  # the lowest probability of success: one lost worker must not close a region

Fit = Callable[[Array, Array, int], Array]  # theta (d + 2,) of scores y (n,) at rows X (n, d), and n of the history


@dataclass(frozen=True)
class FailureModel:
    """The model of one study.

    Attributes:
        embedding: of the space's rows.
        fit: the function that fits hyperparameters.
        memo: of the hyperparameters, which depend on the newest prefix that is due, and on nothing else.
    """

    embedding: Embedding
    fit: Fit
    memo: Memo[Array]

    def success(self, observed: Observed, kept: Array, running: Array) -> Success | None:
        """The probability that a trial succeeds; None if no trial has failed.

        Args:
            kept: positions of the trials that the model is trained on.
            running: (p, d) the rows that run.
        """
        bound = self.bound(observed, kept, self.embedding(running))
        return None if bound is None else Success(self.embedding, FrontAcquisition((), (), [bound]))

    def bound(self, observed: Observed, kept: Array, pending: Array) -> Bound | None:
        """The bound that trials keep which are more likely to succeed than to fail; None if no trial has failed.

        Args:
            kept: positions of the trials that the model is trained on.
            pending: (p, q) features of the rows that run.
        """
        failed = _failed(observed)[kept]
        if not failed.any():
            return None
        due = observed.first(last_due(len(observed)))
        theta = self.memo.of(due, partial(self._fitted, due))
        posterior = Posterior.of(theta, self.embedding(observed.X[kept]), self.embedding.owner, standardised(failed))
        limit = (0.5 - failed.mean()) / (failed.std() or 1.0)
        return Bound(posterior.fantasised(pending), float(limit), _LEAST_SUCCESS)

    def _fitted(self, due: Observed) -> Array:
        return self.fit(due.X, standardised(_failed(due)), len(due))


def _failed(observed: Observed) -> Array:
    """1 for trials (n,) that have failed, 0 for others."""
    return np.isnan(observed.Y).any(axis=1).astype(float)
