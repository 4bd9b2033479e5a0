"""The tree-structured Parzen estimator, over all parameters jointly.

Bergstra, Bardenet, Bengio, Kégl: Algorithms for Hyper-Parameter Optimization. NeurIPS 2011, section 4.
Falkner, Klein, Hutter: BOHB. ICML 2018 (one multivariate kernel). Watanabe: Tree-Structured Parzen Estimator. arXiv
2304.11127, 2023 (what matters: multivariate kernels, a small bandwidth with a floor, few good trials).
Ozaki, Tanigaki, Watanabe, Nomura, Onishi: Multiobjective Tree-Structured Parzen Estimator. JAIR 73, 2022.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.hypervolume import largest_subset, reference_of
from raytune_hpo.numerics.pareto import first_fronts
from raytune_hpo.numerics.parzen import Bandwidths, mixture
from raytune_hpo.numerics.scalarisation import scaled
from raytune_hpo.numerics.violations import by_feasibility, total_violations
from raytune_hpo.options import integer_option, number_option
from raytune_hpo.protocols import Traits
from raytune_hpo.samplers.history import Observed
from raytune_hpo.samplers.model_based import ModelBased, Ranked

_LEAST_WIDTH = 1e-9  # of kernels; with a narrower one, its density would dominate all others
_BELIEVED = 20  # good trials as which beliefs count, divided by the number of all trials
_FAINTEST, _FIRMEST = 1e-300, 1e12  # bounds of that count: with others, a weight in the mixture would be 0
_MOST_BAD = 400  # bad trials in the model: enough for kernels of their width; more would only cost time


class TPE(ModelBased):
    """Tree-structured Parzen estimator: draws from the density of good trials, and takes the best ratio to that of bad ones.

    The best gamma * sqrt(n) of n trials are good, with larger weights for better ones. Failed trials are bad, and so are
    pending ones, which keeps workers apart. A trial that was stopped or paused has the loss that is expected of it at the
    highest step. All parameters are modelled jointly. In a parameter that is not active, a trial has a uniform density: it
    counts for the choices that it shares with others, and for its own branch.

    With several goals the good trials are the first fronts; if one does not fit as a whole, the trials that together have
    the largest hypervolume are taken from it. All weigh the same. Trials that keep all outcome constraints come before
    those that break one, and these follow by how much they do.

    Args:
        n_initial: trials of an even design before the first estimate.
        gamma: the best gamma * sqrt(n) of n trials are modelled as good.
        n_candidates: how many candidates are drawn for a suggestion; as many again recombine their coordinates.
        prior_weight: weight of the prior against one trial.
        bandwidth: standard deviation of the kernel around a single trial, in units of the range of a parameter; with
            n trials and d parameters it is n^(-1 / (d + 4)) times that.
        min_bandwidth: the smallest standard deviation of a kernel.
        switch: probability that a kernel changes the option of a choice, for n = 0; with n trials it is 1 / sqrt(1 + n)
            times that.

    Raises:
        SpecError: n_initial < 1, n_candidates < 1, switch above 1, a bandwidth below 1e-9, or another option that is not
            above 0.
    """

    traits: ClassVar[Traits] = replace(ModelBased.traits, multi_goal=True, constraints=True, version=7)

    def __init__(
        self,
        *,
        n_initial: int = 10,
        gamma: float = 0.5,
        n_candidates: int = 64,
        prior_weight: float = 1.0,
        bandwidth: float = 0.2,
        min_bandwidth: float = 0.03,
        switch: float = 0.25,
    ) -> None:
        self.n_initial = integer_option("tpe", "n_initial", n_initial, least=1)
        self.gamma = number_option("tpe", "gamma", gamma, above=0)
        self.n_candidates = integer_option("tpe", "n_candidates", n_candidates, least=1)
        self.prior_weight = number_option("tpe", "prior_weight", prior_weight, above=0)
        self.bandwidth = number_option("tpe", "bandwidth", bandwidth, least=_LEAST_WIDTH)
        self.min_bandwidth = number_option("tpe", "min_bandwidth", min_bandwidth, least=_LEAST_WIDTH)
        self.switch = number_option("tpe", "switch", switch, above=0, most=1)

    def initial(self) -> int:
        """How many trials the even design has."""
        return self.n_initial

    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """The candidates, by falling ratio of good to bad density. (Bergstra et al. 2011, eq. 3)"""
        is_one_goal = len(self._goals) == 1 and observed.C is None
        parts = split(observed.Y[:, 0], self.gamma) if is_one_goal else split_by_front(observed, self.gamma)
        good, bad = (observed.X[positions] for positions in parts)
        widths = Bandwidths(spread=self.bandwidth, least=self.min_bandwidth, leave=self.switch)
        axes = self._cube.axes
        bad = np.concatenate([bad, running])
        weights = rank_weights(len(good)) if len(self._goals) == 1 else np.ones(len(good))
        near = mixture(axes, good, weights, self.prior_weight, widths)
        away = mixture(axes, bad, np.ones(len(bad)), self.prior_weight, widths)
        if (listed := self._cube.listed) is not None:
            candidates = listed[self._cube.untried(np.concatenate([observed.X, running]))]
        else:
            drawn = near.sample(self.n_candidates, rng)
            mixed = rng.permuted(drawn, axis=0)  # each coordinate from another candidate: what is good in several
            candidates = self._cube.proper(np.concatenate([drawn, mixed]))
        if not (beliefs := self._cube.space.beliefs).by_column:
            return Ranked.of(candidates, near.log_ratio(away, candidates))
        # Beliefs are one more component of the good density, with a weight in trials that fades as results arrive.
        count = min(max(beliefs.weight * _BELIEVED / (len(observed) + len(running)), _FAINTEST), _FIRMEST)
        share = count / (count + len(good) + self.prior_weight)
        if listed is None:
            believed = self._cube.scattered(math.ceil(share * self.n_candidates), rng)
            candidates = np.concatenate([candidates, believed])
        good_logs = np.logaddexp(
            math.log1p(-share) + near.log_density(candidates), math.log(share) + beliefs.log_density(candidates)
        )
        return Ranked.of(candidates, good_logs - away.log_density(candidates))


def split(losses: Array, gamma: float) -> tuple[Array, Array]:
    """The positions of the ceil(gamma sqrt(n)) best trials, and those of the others.

    Both are from better to worse, failed ones last. Of the others there are at most 400, evenly spaced in this order. Of
    several trials at least one is bad.

    Args:
        losses: (n,), NaN where a trial failed; at least one is not NaN.
    """
    order = np.argsort(losses, kind="stable")  # NaN last
    return _cut(order, num_good(losses, gamma))


def split_by_front(observed: Observed, gamma: float) -> tuple[Array, Array]:
    """As ``split``, for several goals and for constraints: by feasibility, then by front, then by hypervolume."""
    Y = observed.Y
    known = ~np.isnan(Y).any(axis=1)
    size = num_good(np.where(known, 0.0, np.nan), gamma)
    group = np.zeros(len(Y)) if observed.C is None else by_feasibility(total_violations(observed.C))
    chosen: list[Array] = []
    for level in np.unique(group[known]):
        members = np.flatnonzero(known & (group == level))
        for front in first_fronts(Y[members], size - sum(map(len, chosen))):
            chosen.append(_largest_first(Y, members[front], size - sum(map(len, chosen))))
        if sum(map(len, chosen)) >= size:
            break
    good = np.concatenate(chosen)[:size]
    is_bad = np.ones(len(Y), dtype=bool)
    is_bad[good] = False
    return _cut(np.concatenate([good, np.flatnonzero(is_bad)]), len(good))


def _largest_first(Y: Array, front: Array, most: int) -> Array:
    """A front or, if it has more than ``most`` rows, as many of them that have a large hypervolume together."""
    if len(front) <= most:
        return front
    scaled_front = scaled(Y[front])
    return np.asarray(front[largest_subset(scaled_front, reference_of(scaled_front), most)])


def num_good(losses: Array, gamma: float) -> int:
    """How many trials are good: at least one, and one of several is bad."""
    scored, n = len(losses) - int(np.isnan(losses).sum()), len(losses)
    return min(math.ceil(gamma * math.sqrt(n)), scored, max(n - 1, 1))


def _cut(order: Array, num: int) -> tuple[Array, Array]:
    bad = order[num:]
    if len(bad) > _MOST_BAD:
        bad = bad[np.linspace(0, len(bad) - 1, _MOST_BAD).astype(np.intp)]
    return order[:num], bad


def rank_weights(num: int) -> Array:
    """Weights (num,) of the good trials, the best first: log(num + 1) - log(rank).

    (Hansen, Ostermeier: Completely Derandomized Self-Adaptation in Evolution Strategies. 2001. Watanabe 2023 weighs by
    improvement instead, by which a single very good trial may take nearly all weight.)
    """
    weights: Array = np.log(num + 1) - np.log(np.arange(1, num + 1))
    return weights
