"""Sources: what earlier studies say of the space of this one.

X  (n, d)  where their trials stand in this study's cube; NaN where a parameter did not exist there, or was not active
z  (n,)    normal scores of the ranks of their losses: of losses themselves only the order carries over

Each source has a Gaussian process, whose mean at a row, as a quantile from 0 (the best) to 1, is one more feature of the row
for the model of this study. How far losses follow it, if at all, and whether up or down, is then learned with everything
else: a source of the same optimum leads there at once, one that is no help has a long length scale before long.

To learn that, a model needs losses of bad rows, too. It is given virtual ones (``Anchors``) instead of having to try such
rows: for as long as it follows a source, rows that were bad in the earlier studies count as bad here.

Perrone, Jenatton, Seeger, Archambeau: Scalable Hyperparameter Transfer Learning. NeurIPS 2018 (features of earlier tasks).
Salinas, Shen, Perrone: A Quantile-based Approach for Hyperparameter Transfer Learning. ICML 2020 (ranks instead of losses).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Recalled
from raytune_hpo.numerics import gaussian
from raytune_hpo.numerics.gaussian import Posterior, Prior
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.samplers.cube import Cube

OPENING = 3  # trials that earlier studies decide alone
_BEST = 10  # rows of each source that these are chosen from
_ANCHORS = 8  # virtual observations
_BAD = 0.3  # the quantile of scores from which on a row may be one
_DRAWN = 1024  # rows that these are chosen from
_CARRIED = 0.7  # the share of a difference in scores that is expected of losses: their correlation between relatives
_AS_MUCH_AS = 3.0  # losses, a standard deviation from the mean of their scores, is that believed before any are seen
_LITTLE = 0.2  # such a share, with which a source is no guide
_LEAST_LEVEL = 0.01  # of a row, from which its score is computed; the greatest is as far from 1
_ENOUGH_TO_DOUBT = 8  # losses, that sources are of any help
_ENDLESS = math.log(1e9)  # a length scale
_SQRT_2PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Source:
    """One earlier study.

    Attributes:
        embedding: of rows.
        X: (n, d).
        z: (n,).
    """

    embedding: Embedding
    X: Array
    z: Array

    @staticmethod
    def of(embedding: Embedding, earlier: Recalled) -> Source:
        """What a study's journal says of it."""
        X = np.array([[np.nan if x is None else x for x in row] for row, _ in earlier.rows])
        return Source(embedding, X, np.array([score for _, score in earlier.rows]))

    @cached_property
    def posterior(self) -> Posterior:
        """With the most probable hyperparameters."""
        Z, owner = self.embedding(self.X), self.embedding.owner
        theta = gaussian.fit(Z, owner, self.z, gaussian.scaled_prior(len(self.embedding.slots)))
        return Posterior.of(theta, Z, owner, self.z)

    def levels(self, X: Array) -> Array:
        """The quantiles (m,) at rows (m, d)."""
        from scipy.special import ndtr

        return np.asarray(ndtr(self.posterior.mean(self.embedding(X))))

    def gradients(self, X: Array) -> Array:
        """Of the quantiles by the columns of rows (m, d), (m, d)."""
        mean, slope = self.posterior.mean_slopes(self.embedding(X))
        density = np.exp(-(mean**2) / 2) / _SQRT_2PI
        return self.embedding.by_column(X, density[:, None] * slope)


class SourcedEmbedding(Embedding):
    """An embedding with a feature for each source, which has a length scale of its own."""

    def __init__(self, plain: Embedding, sources: Sequence[Source]) -> None:
        self._plain, self._sources = plain, sources
        self.slots = plain.slots
        self.owner = np.concatenate([plain.owner, plain.owner.max(initial=-1) + 1 + np.arange(len(sources))])

    def __call__(self, X: Array) -> Array:
        """The features (n, q) of rows (n, d)."""
        return np.column_stack([self._plain(X), *(source.levels(X) for source in self._sources)])

    def by_column(self, X: Array, gradient: Array) -> Array:
        """Gradients (n, d) by the columns of rows (n, d), given those by the features (n, q)."""
        num = len(self._plain.owner)
        total = self._plain.by_column(X, gradient[:, :num])
        for i, source in enumerate(self._sources):
            total = total + gradient[:, num + i, None] * source.gradients(X)
        return total


@dataclass(frozen=True, eq=False)
class Anchors:
    """Rows far from one another that were bad in the earlier studies, as virtual observations.

    Attributes:
        Z: (k, q) their features, of which those of the sources are the last.
        num_sources: how many these are.
    """

    Z: Array
    num_sources: int

    @staticmethod
    def of(cube: Cube, embedding: Embedding, num_sources: int, rng: np.random.Generator) -> Anchors:
        """The worst of rows drawn from the space and, one by one, the bad row that is farthest from those chosen."""
        Z = embedding(cube.draw(_DRAWN, rng))
        scores = _mean_scores(Z, num_sources)
        bad = Z[scores >= np.quantile(scores, _BAD)]
        own = bad[:, :-num_sources]
        far, chosen = _mean_scores(bad, num_sources), list[int]()
        for i in range(min(_ANCHORS, len(bad))):
            chosen.append(int(np.argmax(far)))
            distance = ((own - own[chosen[-1]]) ** 2).sum(axis=1)
            far = np.minimum(far, distance) if i else distance
        return Anchors(bad[chosen], num_sources)

    def posterior(self, theta: Array, Z: Array, owner: Array, y: Array) -> Posterior:
        """The posterior after observations and anchors; without anchors if losses do not rise with the scores, or theta
        (d + 2,) has the model follow no source.

        Args:
            Z: (n, q) features of the observed rows.
            owner: (q,) see ``Embedding``.
            y: (n,) their standardised losses.
        """
        scores = _mean_scores(Z, self.num_sources)
        apart = scores - scores.mean()
        carried = (_AS_MUCH_AS * _CARRIED + apart @ y) / (_AS_MUCH_AS + apart @ apart)  # by ridge regression
        if carried < _LITTLE or (theta[-2 - self.num_sources : -2] >= _ENDLESS).all():
            return Posterior.of(theta, Z, owner, y)
        virtual = y.mean() + carried * (_mean_scores(self.Z, self.num_sources) - scores.mean())
        return Posterior.of(theta, np.concatenate([Z, self.Z]), owner, np.concatenate([y, virtual]))


def _mean_scores(Z: Array, num_sources: int) -> Array:
    """The means (n,) over sources of the normal scores that belong to their quantiles at features Z (n, q)."""
    from scipy.special import ndtri

    levels = np.clip(Z[:, -num_sources:], _LEAST_LEVEL, 1 - _LEAST_LEVEL)
    return np.asarray(ndtri(levels).mean(axis=1))


def most_probable(Z: Array, owner: Array, y: Array, prior_of: Callable[[int], Prior], num_sources: int) -> Array:
    """The most probable hyperparameters (d + 2,) of losses y (n,) at features (n, q). Where the losses are more probable
    without the sources, these have endless length scales.

    Args:
        owner: (q,) whose length scale a feature has; those of the sources are the last.
        prior_of: so many length scales.
    """
    d = int(owner.max(initial=-1)) + 1
    own = owner < d - num_sources
    theta = gaussian.fit(Z, owner, y, prior_of(d))
    if own.all() or len(y) < _ENOUGH_TO_DOUBT:
        return theta
    prior = prior_of(d - num_sources)
    alone = gaussian.fit(Z[:, own], owner[own], y, prior)
    loss = gaussian.negative_log_posterior(theta, Z, owner, y, prior_of(d))[0]
    if loss <= gaussian.negative_log_posterior(alone, Z[:, own], owner[own], y, prior)[0]:
        return theta
    return np.concatenate([alone[:-2], np.full(num_sources, _ENDLESS), alone[-2:]])


def opening(cube: Cube, sources: Sequence[Source]) -> Array:
    """The rows (k, d) to begin with, the first of which are good in most of the earlier studies.

    Each is the one that lowers the mean over the studies of the best quantile so far the most. (Wistuba, Schilling,
    Schmidt-Thieme: Sequential Model-Free Hyperparameter Tuning. ICDM 2015)
    """
    best = [source.X[np.argsort(source.z, kind="stable")[:_BEST]] for source in sources]
    rows = cube.proper(np.nan_to_num(np.concatenate(best), nan=0.5))
    levels = np.stack([source.levels(rows) for source in sources])  # (s, k)
    reached, chosen = np.ones(len(sources)), list[int]()
    for _ in range(min(OPENING, len(rows))):
        gain = np.minimum(levels, reached[:, None]).mean(axis=0)
        order = np.lexsort((levels.mean(axis=0), gain))
        chosen.append(next(i for i in order.tolist() if i not in chosen))
        reached = np.minimum(reached, levels[:, chosen[-1]])
    return np.asarray(rows[chosen])
