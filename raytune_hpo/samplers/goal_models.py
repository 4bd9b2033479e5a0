"""Gaussian processes of several goals and of outcome constraints, and what they say about where to look next.

Each goal has a posterior of its own over one embedding of the space, and each constraint; trials that failed are learned
from by a posterior of whether trials succeed. What a trial is worth is how much it is expected to add to the hypervolume
of the front, times the probability that it is feasible.

Emmerich, Giannakoglou, Naujoks: Single- and Multiobjective Evolutionary Optimization Assisted by Gaussian Random Field
Metamodels. IEEE Trans. Evol. Comput. 10, 2006 (expected hypervolume improvement).
Gardner et al.: Bayesian Optimization with Inequality Constraints. ICML 2014.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.boxes import open_boxes
from raytune_hpo.numerics.curves import expected_losses
from raytune_hpo.numerics.fantasies import Fantasies
from raytune_hpo.numerics.front_acquisition import (
    Bound,
    ChebyshevImprovement,
    FrontAcquisition,
    HypervolumeImprovement,
    Improvement,
)
from raytune_hpo.numerics.gaussian import Posterior
from raytune_hpo.numerics.hypervolume import reference_of
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.numerics.pareto import pareto_front
from raytune_hpo.numerics.scalarisation import chebyshev, simplex_weights
from raytune_hpo.numerics.transforms import half_ranked, standardised
from raytune_hpo.samplers.history import Memo, Observed, last_due, representatives

MOST_BOXED = 4  # goals; with more there are too many boxes, and trials take turns among weights of the goals instead
_NUM_FANTASIES = 8
_WIDE = 30  # trials, while the volume counts as far as the worst of them; after as many more it does no longer
_NUM_NORMALS = 64  # of an expectation without a closed form
_LEAST_SUCCESS = 0.02  # where a model is sure of failure: one worker that was lost must not close a region

Fit = Callable[[Array, Array, int], Array]  # theta (d + 2,) of scores y (n,) at rows X (n, d), and n of the history


@dataclass(frozen=True)
class ThetaMemos:
    """The hyperparameters of each model by its name, of the newest prefix that was due."""

    of: defaultdict[str, Memo[Array]] = field(default_factory=partial(defaultdict, Memo))


class _Scores(NamedTuple):
    """One metric as a model sees it.

    Attributes:
        rows: (k,) positions of the trials that have it.
        y: (k,) warped and standardised.
        raw: (k,) as they were.
    """

    rows: Array
    y: Array
    raw: Array

    def at(self, value: float) -> float:
        """A value as the model would see it: between two observed ones, or beyond them as between the outermost two."""
        raw, first = np.unique(self.raw, return_index=True)
        y = self.y[first]
        if len(raw) < 2:
            return float(y[0] + value - raw[0])
        i = int(np.clip(np.searchsorted(raw, value), 1, len(raw) - 1))
        return float(y[i - 1] + (value - raw[i - 1]) / (raw[i] - raw[i - 1]) * (y[i] - y[i - 1]))


@dataclass(frozen=True)
class GoalModels:
    """The models of one study.

    Attributes:
        embedding: of the space's rows.
        goals: that are optimised; their thresholds are the reference point, where they have one.
        warp: of losses before they are standardised.
        fit: of hyperparameters.
        max_points: trials that the models look at.
        seed: of the study.
        memos: of the hyperparameters; they may be shared by samplers that fit the same.
    """

    embedding: Embedding
    goals: Sequence[Goal]
    warp: Callable[[Array], Array]
    fit: Fit
    max_points: int
    seed: int
    memos: ThetaMemos

    def acquisition(self, observed: Observed, running: Array, rng: np.random.Generator) -> FrontAcquisition:
        """What trying a point is worth, given what was observed and the rows (p, d) that run.

        Args:
            observed: at least one trial has losses.
        """
        kept = representatives(front_first(observed), self.max_points)
        pending = self.embedding(running)
        scores = [self._scores(observed.Y[:, j], kept, self.warp) for j in range(observed.Y.shape[1])]
        normals = [rng.standard_normal((_NUM_FANTASIES, len(running))) for _ in scores]
        models = [
            Fantasies.of(self._posterior(f"goal {j}", observed, one, partial(_goal, j, self.warp)), pending, draws)
            for j, (one, draws) in enumerate(zip(scores, normals, strict=True))
        ]
        bounds = self._bounds(observed, kept, pending)
        is_candidate = is_feasible(observed)[scores[0].rows]
        if not is_candidate.any():
            return FrontAcquisition(models, (), bounds)
        believed = np.ones(len(running), dtype=bool)
        for bound in bounds:
            believed &= bound.predictor.predict(pending)[0] <= bound.limit
        means = np.stack([model.means for model in models], axis=2)[:, np.concatenate([is_candidate, believed])]
        turn = len(observed) + len(running)
        reference = self._reference(np.column_stack([one.y for one in scores])[is_candidate], scores, turn)
        if len(scores) <= MOST_BOXED:
            improvements: list[Improvement] = [HypervolumeImprovement(open_boxes(Y, reference)) for Y in means]
        else:
            improvements = self._scalarised(means, turn)
        return FrontAcquisition(models, improvements, bounds)

    # -------------------------------------------------------------------------------------------- what is modelled

    @staticmethod
    def _scores(values: Array, kept: Array, warp: Callable[[Array], Array]) -> _Scores:
        rows = kept[~np.isnan(values[kept])]
        return _Scores(rows, standardised(warp(values[rows])), values[rows])

    def _bounds(self, observed: Observed, kept: Array, pending: Array) -> list[Bound]:
        """One for each constraint that some trials keep and others break, or at least differ in; and one of success, where
        trials have failed.
        """
        metrics = [] if observed.C is None else [(f"constraint {c}", column) for c, column in enumerate(observed.C.T)]
        bounds = []
        for name, excesses in metrics:
            scores = self._scores(excesses, kept, bilog)
            if len(scores.raw) and np.ptp(scores.raw) > 0:
                posterior = self._posterior(name, observed, scores, partial(_constraint, int(name.split()[1])))
                bounds.append(Bound(posterior.fantasised(pending), scores.at(0.0)))
        failed = np.isnan(observed.Y).any(axis=1).astype(float)
        if failed[kept].any():
            scores = self._scores(failed, kept, np.asarray)
            posterior = self._posterior("failure", observed, scores, _failure)
            bounds.append(Bound(posterior.fantasised(pending), scores.at(0.5), _LEAST_SUCCESS))
        return bounds

    def _posterior(
        self, name: str, observed: Observed, scores: _Scores, of: Callable[[Observed], tuple[Array, Array]]
    ) -> Posterior:
        """Its hyperparameters are fitted to the newest prefix that is due: a function of that prefix alone."""
        due = observed.first(last_due(len(observed)))
        theta = self.memos.of[name].of(due, lambda: self.fit(*of(due), len(due)))
        return Posterior.of(theta, self.embedding(observed.X[scores.rows]), self.embedding.owner, scores.y)

    # -------------------------------------------------------------------------------------------- what is gained

    def _reference(self, Y: Array, scores: Sequence[_Scores], turn: int) -> Array:
        """Beyond which nothing counts (m,): the thresholds and, of goals without one, a point beyond the front of Y.

        A search that counts nothing beyond the front it began with never learns that there is more: the slow end, say,
        which only bad trials have seen so far. So the point begins at the worst of all of Y and draws in, turn by turn.
        """
        near = reference_of(Y[pareto_front(Y)])
        share = min(max(2 - turn / _WIDE, 0.0), 1.0)
        reference = near + share * np.maximum(Y.max(axis=0) - near, 0.0)
        for j, (goal, one) in enumerate(zip(self.goals, scores, strict=True)):
            if goal.threshold is not None:
                reference[j] = one.at(goal.loss(goal.threshold))
        return np.asarray(reference)

    def _scalarised(self, means: Array, turn: int) -> list[Improvement]:
        """Of many goals, weighed otherwise at each turn; the best is that of the means, which noise does not flatter."""
        weights = simplex_weights(turn, means.shape[2], self.seed)
        normals = np.random.default_rng(self.seed).standard_normal((_NUM_NORMALS, means.shape[2]))
        found: list[Improvement] = []
        for Y in means:
            front = Y[pareto_front(Y)]
            low, extent = front.min(axis=0), np.ptp(front, axis=0)
            extent = np.where(extent > 0, extent, 1.0)
            best = float(chebyshev((Y - low) / extent, weights).min())
            found.append(ChebyshevImprovement(low, extent, weights, best, normals))
        return found


def is_feasible(observed: Observed) -> Array:
    """Which trials (n,) have completed and keep all constraints, as far as they are known to."""
    completed = np.asarray(~np.isnan(observed.Y).any(axis=1))
    if observed.curves is not None:
        completed &= observed.curves.completed
    if observed.C is not None:
        completed &= (observed.C <= 0).all(axis=1)
    return completed


def front_first(observed: Observed) -> Array:
    """A number (n,) by which trials are ordered: 0 on the front of those that are feasible, then by the mean of their ranks
    in the goals, infeasible ones after those, and failed ones last.
    """
    Y, feasible = observed.Y, is_feasible(observed)
    known = ~np.isnan(Y).any(axis=1)
    order = np.full(len(Y), 3.0)
    ranks = np.column_stack([np.searchsorted(np.sort(column[known]), column[known]) for column in Y.T])
    order[known] = ranks.mean(axis=1) / max(int(known.sum()), 1) + ~feasible[known]
    order[np.flatnonzero(feasible)[pareto_front(Y[feasible])]] = 0.0
    return order


def bilog(excesses: Array) -> Array:
    """Excesses (n,) on a scale that tells small ones apart and on which 0 stays 0: sign(c) log(1 + |c| / median |c|).

    (Eriksson, Poloczek: Scalable Constrained Bayesian Optimization. AISTATS 2021)
    """
    sizes = np.abs(excesses)
    typical = float(np.median(sizes[sizes > 0])) if sizes.any() else 1.0
    return np.asarray(np.sign(excesses) * np.log1p(sizes / typical))


def _goal(j: int, warp: Callable[[Array], Array], due: Observed) -> tuple[Array, Array]:
    """Rows and scores of a goal; where trials were stopped, those of the highest fidelity that the prefix itself expects."""
    Y = due.Y
    if due.curves is not None and len(due.curves.steps):
        Y = expected_losses(due.curves, lambda y: standardised(half_ranked(y)))
    return _told(due.X, Y[:, j], warp)


def _constraint(c: int, due: Observed) -> tuple[Array, Array]:
    assert due.C is not None
    return _told(due.X, due.C[:, c], bilog)


def _failure(due: Observed) -> tuple[Array, Array]:
    return _told(due.X, np.isnan(due.Y).any(axis=1).astype(float), np.asarray)


def _told(X: Array, values: Array, warp: Callable[[Array], Array]) -> tuple[Array, Array]:
    told = ~np.isnan(values)
    return X[told], standardised(warp(values[told])) if told.any() else values[told]
