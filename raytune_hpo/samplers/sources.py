"""Sources: the results of earlier studies, transferred to the space of this one.

X  (n, d)  rows of their trials in this study's cube; NaN where a parameter did not exist there, or was not active
z  (n,)    normal scores of the ranks of their losses: only the order of losses carries over, not their values

Each source has a Gaussian process, whose mean at a row, as a quantile from 0 (the best) to 1, is one more feature of the row
for the model of this study. How closely losses follow it, if at all, and in which direction, is then learned with all
else: a source with the same optimum leads there at once, and an unhelpful one soon gets a long length scale.

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
from raytune_hpo.numerics.axes import KnownRows
from raytune_hpo.numerics.gaussian import Posterior, Prior
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.samplers.cube import Cube
from raytune_hpo.samplers.history import Observed

_MOST_OPENED = 3  # of the first trials, how many earlier studies decide
_BEST = 10  # rows of each source from which these are chosen
_ENOUGH_TO_DOUBT = 8  # losses from which on it is tested whether sources help
_ENDLESS = math.log(1e9)  # a length scale with which a feature has no effect
_SQRT_2PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Source:
    """One earlier study.

    Attributes:
        embedding: of rows.
        X: (n, d) rows.
        z: (n,) normal scores.
    """

    embedding: Embedding
    X: Array
    z: Array

    @staticmethod
    def of(embedding: Embedding, earlier: Recalled) -> Source:
        """The source made from the results recalled from an earlier study."""
        X = np.array([[np.nan if x is None else x for x in row] for row, _ in earlier.rows])
        return Source(embedding, X, np.array([score for _, score in earlier.rows]))

    @cached_property
    def posterior(self) -> Posterior:
        """The posterior with the most probable hyperparameters."""
        Z, owner = self.embedding(self.X), self.embedding.owner
        theta = gaussian.fit(Z, owner, self.z, gaussian.scaled_prior(len(self.embedding.slots)))
        return Posterior.of(theta, Z, owner, self.z)

    def levels(self, X: Array) -> Array:
        """The quantiles (m,) at rows (m, d)."""
        from scipy.special import ndtr

        return np.asarray(ndtr(self.posterior.mean(self.embedding(X))))

    def gradients(self, X: Array) -> Array:
        """Gradients (m, d) of the quantiles by the columns of rows (m, d)."""
        mean, slope = self.posterior.mean_slopes(self.embedding(X))
        density = np.exp(-(mean**2) / 2) / _SQRT_2PI
        return self.embedding.by_column(X, density[:, None] * slope)


class SourcedEmbedding(Embedding):
    """An embedding with a feature for each source, each with its own length scale."""

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


def most_probable(Z: Array, owner: Array, y: Array, prior_of: Callable[[int], Prior], num_sources: int) -> Array:
    """The most probable hyperparameters (d + 2,) of losses y (n,) at features (n, q).

    If the losses are more probable without the sources, the sources' length scales are practically infinite.

    Args:
        owner: (q,) the length scale of each feature; those of the sources are the last.
        prior_of: the prior for a given number of length scales.
        num_sources: how many sources there are.
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


@dataclass(frozen=True, eq=False)
class Opening:
    """The rows that earlier studies suggest for the first trials of this one.

    Attributes:
        rows: (k, d) rows that are good in most of the earlier studies, the best first.
    """

    rows: Array

    @staticmethod
    def of(cube: Cube, sources: Sequence[Source]) -> Opening:
        """Rows chosen greedily: each lowers the mean over the studies of the best quantile so far the most.

        Wistuba, Schilling, Schmidt-Thieme: Sequential Model-Free Hyperparameter Tuning. ICDM 2015.
        """
        best = [source.X[np.argsort(source.z, kind="stable")[:_BEST]] for source in sources]
        rows = cube.settled(cube.proper(np.nan_to_num(np.concatenate(best), nan=0.5)))
        levels = np.stack([source.levels(rows) for source in sources])  # (s, k)
        reached, chosen = np.ones(len(sources)), list[int]()
        for _ in range(min(_MOST_OPENED, len(rows))):
            gain = np.minimum(levels, reached[:, None]).mean(axis=0)
            order = np.lexsort((levels.mean(axis=0), gain))
            chosen.append(next(i for i in order.tolist() if i not in chosen))
            reached = np.minimum(reached, levels[:, chosen[-1]])
        return Opening(rows[chosen])

    def begun(self, X: Array) -> Array:
        """Which of the trials at rows X (n, d) are from here, (n,) of bool."""
        return KnownRows(self.rows).among(X)

    def untried(self, observed: Observed, running: Array) -> Array:
        """The rows that are left (k, d), the best first; none where the trials so far speak against them.

        After the first trial there is one that is not from here, to compare with. Others from here follow as long as theirs
        is the lowest loss, so that earlier studies that mislead cost one trial.
        """
        known = np.concatenate([observed.X, running])
        is_ours, losses = self.begun(observed.X), observed.Y[:, 0]
        is_ahead = _lowest(losses[is_ours]) <= _lowest(losses[~is_ours])
        is_alone = len(known) > 0 and self.begun(known).all()
        return self.rows[:0] if is_alone or not is_ahead else self.rows[~KnownRows(known).among(self.rows)]


def _lowest(losses: Array) -> float:
    return float(np.nan_to_num(losses, nan=np.inf).min(initial=np.inf))
