"""An ensemble of Gaussian processes, one for each fidelity, weighted by how well each ranks the highest one's losses.

Li, Shen, Jiang, Gao, Zhang, Cui: MFES-HB: Efficient Hyperband with Multi-Fidelity Quality Measurements. AAAI 2021,
section 4. Feurer, Letham, Bakshy: Scalable Meta-Learning for Bayesian Optimization using Ranking-Weighted Gaussian Process
Ensembles. AutoML workshop at ICML 2018 (the weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.gaussian import Posterior

_MOST_FOLDS = 5


@dataclass(frozen=True)
class Ensemble:
    """The predictor of the loss at the highest fidelity.

    Attributes:
        parts: the posteriors of the fidelities.
        weights: theta, one for each part, with sum 1.
        seen: (n, q) features of the rows that were observed at any fidelity.
    """

    parts: Sequence[Posterior]
    weights: Array
    seen: Array

    def predict(self, Z: Array) -> tuple[Array, Array]:
        """Means and standard deviations (m,) at features (m, q): sum theta mu, and root of sum theta^2 s^2."""
        predicted = [part.predict(Z) for part in self.parts]
        means, sds = np.stack([mean for mean, _ in predicted]), np.stack([sd for _, sd in predicted])
        return self.weights @ means, np.sqrt(self.weights**2 @ sds**2)

    def slopes(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means (m,), standard deviations (m,), and the gradients (m, q) of both by the features."""
        means, sds, dmeans, dsds = (
            np.stack(columns) for columns in zip(*[p.slopes(Z) for p in self.parts], strict=True)
        )
        sd = np.sqrt(self.weights**2 @ sds**2)
        dsd = np.einsum("k,km,kmq->mq", self.weights**2, sds, dsds) / sd[:, None]
        return self.weights @ means, sd, np.einsum("k,kmq->mq", self.weights, dmeans), dsd

    @property
    def means(self) -> Array:
        """Means (n,) at all rows that were observed."""
        return self.predict(self.seen)[0]

    def draw(self, Z: Array, rng: np.random.Generator) -> Array:
        """One joint sample (m,) at features (m, q)."""
        return np.asarray(self.weights @ np.stack([part.draw(Z, rng) for part in self.parts]))

    def fantasised(self, Z: Array) -> Ensemble:
        """The ensemble as if pending rows (p, q) had ended with their expected losses at every fidelity."""
        return Ensemble([part.fantasised(Z) for part in self.parts], self.weights, self.seen)


def misranked(samples: Array, y: Array) -> Array:
    """How many pairs each sample (S, n) of the losses ranks differently from the losses y (n,): (S,)."""
    truth = y[:, None] < y
    return np.asarray(((samples[:, :, None] < samples[:, None, :]) != truth).sum(axis=(1, 2)))


def ranking_weights(losses: Array) -> Array:
    """The share (k,) of samples in which each of k models has the lowest ranking loss (k, S); ties are split."""
    lowest = losses == losses.min(axis=0)
    return np.asarray((lowest / lowest.sum(axis=0)).mean(axis=1))


def samples_at(part: Posterior, Z: Array, num: int, rng: np.random.Generator) -> Array:
    """Samples (num, n) of the losses at features (n, q), independent of each other."""
    mean, sd = part.predict(Z)
    return np.asarray(mean + sd * rng.standard_normal((num, len(mean))))


def cross_validated(theta: Array, Z: Array, owner: Array, y: Array, num: int, rng: np.random.Generator) -> Array:
    """Samples (num, n) of the losses y (n,) at features (n, q), cross-validated with at most five folds.

    Each loss is predicted by a model that was not trained on it.

    Args:
        theta: hyperparameters, fitted to all losses.
    """
    fold = np.arange(len(y)) % min(_MOST_FOLDS, len(y))
    samples = np.empty((num, len(y)))
    for held_out in (fold == k for k in range(fold.max() + 1)):
        part = Posterior.of(theta, Z[~held_out], owner, y[~held_out])
        samples[:, held_out] = samples_at(part, Z[held_out], num, rng)
    return samples
