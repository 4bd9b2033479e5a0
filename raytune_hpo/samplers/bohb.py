"""BOHB: Hyperband with configurations drawn from a density estimate of good trials.

Falkner, Klein, Hutter: BOHB: Robust and Efficient Hyperparameter Optimization at Scale. ICML 2018, section 3.2 and
algorithm 2.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np

from raytune_hpo import registry
from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Kind
from raytune_hpo.numerics.curves import at_fidelities
from raytune_hpo.numerics.parzen import Parzen
from raytune_hpo.options import budget_options, integer_option, number_option
from raytune_hpo.protocols import Scheduler, Traits
from raytune_hpo.samplers.history import Observed
from raytune_hpo.samplers.model_based import ModelBased, Ranked

_SCOTT = 1.06  # the factor of the normal reference rule (Silverman 1986, eq. 4.14)


class BOHB(ModelBased):
    """BOHB: draws from a density estimate of the good trials at the largest budget that has enough; brings ``hyperband``.

    A budget is a step at which trials are compared. Of the n trials that reached the largest budget with enough trials,
    the best 15 % are good, the others bad, and a density is estimated for each group. Candidates are drawn from the good
    one, with kernels three times as wide, and the one with the best ratio of densities is tried. One suggestion in three
    is a draw from the space, so that misleading early losses slow the search down at most by a factor. Running trials
    count with what they have reported; failed ones are bad.

    Args:
        max_steps, min_steps, eta: options of ``hyperband``: the last step of a trial, the first rung, and the reduction
            factor: one trial in eta survives a rung.
        random_share: share of suggestions that are drawn from the space.
        top_share: share of the trials that are good.
        n_candidates: how many candidates are drawn for a suggestion.
        bandwidth_factor: how much wider the kernels are from which candidates are drawn.
        min_bandwidth: the smallest standard deviation of a kernel.
        min_points: the sampler learns from a budget with more trials than this, of which at least this many are good;
            None for one more than there are parameters.

    Raises:
        SpecError: no max_steps, or not above min_steps; min_steps < 1; eta < 2; a share outside [0, 1]; n_candidates < 1;
            bandwidth_factor or min_bandwidth not above 0; min_points < 1.
    """

    traits: ClassVar[Traits] = replace(ModelBased.traits, version=6)

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        min_steps: int = 1,
        eta: int = 3,
        random_share: float = 1 / 3,
        top_share: float = 0.15,
        n_candidates: int = 64,
        bandwidth_factor: float = 3.0,
        min_bandwidth: float = 1e-3,
        min_points: int | None = None,
    ) -> None:
        self.max_steps, self.min_steps, self.eta = budget_options("bohb", max_steps, min_steps, eta)
        self.random_share = number_option("bohb", "random_share", random_share, least=0, most=1)
        self.top_share = number_option("bohb", "top_share", top_share, above=0, most=1)
        self.n_candidates = integer_option("bohb", "n_candidates", n_candidates, least=1)
        self.bandwidth_factor = number_option("bohb", "bandwidth_factor", bandwidth_factor, above=0)
        self.min_bandwidth = number_option("bohb", "min_bandwidth", min_bandwidth, above=0)
        self.min_points = None if min_points is None else integer_option("bohb", "min_points", min_points, least=1)

    def brings(self) -> Scheduler:
        """Hyperband with pausing and promotion."""
        options = {"max_steps": self.max_steps, "min_steps": self.min_steps, "eta": self.eta, "promote": True}
        scheduler: Scheduler = registry.make("scheduler", {"name": "hyperband", **options})
        return scheduler

    def initial(self) -> int:
        """How many trials the even design has: two more than the model needs, a good and a bad one."""
        return self._num_needed + 2

    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """The candidates, by falling ratio of good to bad density; now and then a draw. (Falkner et al., alg. 2)"""
        is_drawn, losses = rng.random() < self.random_share, self._losses(observed)
        scored = int((~np.isnan(losses)).sum())
        if is_drawn or scored <= self._num_needed:
            return Ranked(self._cube.draw(1, rng), np.zeros(1))
        known = np.flatnonzero(~np.isnan(losses) | np.isnan(observed.Y[:, 0]))  # failed ones are the last
        order = known[np.argsort(losses[known], kind="stable")]
        num_good = min(max(self._num_needed, int(self.top_share * len(order))), scored - 1)
        good, bad = observed.X[order[:num_good]], observed.X[order[num_good:]]
        near, away = self._density(good, 1.0), self._density(bad, 1.0)
        if (listed := self._cube.listed) is not None:
            candidates = listed[self._cube.untried(np.concatenate([observed.X, running]))]
        else:
            candidates = self._cube.proper(self._density(good, self.bandwidth_factor).sample(self.n_candidates, rng))
        return Ranked.of(candidates, near.log_ratio(away, candidates))

    @property
    def _num_needed(self) -> int:
        return len(self._cube.axes) + 1 if self.min_points is None else self.min_points

    def _losses(self, observed: Observed) -> Array:
        """The losses (n,) at the largest budget that enough trials have reached; NaN for trials that have not."""
        if observed.curves is None:
            return observed.Y[:, 0]
        values = at_fidelities(observed.curves)
        has_enough = np.flatnonzero((~np.isnan(values)).sum(axis=0) > self._num_needed)
        return values[:, has_enough[-1] if len(has_enough) else 0]

    def _density(self, X: Array, factor: float) -> Parzen:
        """The density estimate from points X (n, d): kernel widths by the normal reference rule, times a factor."""
        axes, n = self._cube.axes, len(X)
        shrunk = n ** (-1 / (len(axes) + 4))
        widths = [
            max(_SCOTT * _deviation(x[~np.isnan(x)], axis.kind is Kind.NOMINAL) * shrunk, self.min_bandwidth) * factor
            for x, axis in zip(X.T, axes, strict=True)
        ]
        limits = [1.0 if axis.kind is Kind.NOMINAL else math.inf for axis in axes]
        return Parzen(axes, X, np.full(n, 1 / n), np.minimum(widths, limits))


def _deviation(x: Array, is_nominal: bool) -> float:
    """The standard deviation of coordinates (n,); of nominal ones that of two values coded as 0 and 1."""
    if not len(x):
        return 1.0
    if not is_nominal:
        return float(x.std())
    shares = np.unique(x, return_counts=True)[1] / len(x)
    return math.sqrt((1 - float(shares @ shares)) / 2)
