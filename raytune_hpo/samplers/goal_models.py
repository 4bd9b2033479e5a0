"""Gaussian processes of several goals and of outcome constraints, and the acquisition function over all of them.

Each goal and each constraint has its own posterior over a shared embedding of the space. Failed trials are the data of
a further posterior, of whether trials succeed. A trial's acquisition value is the hypervolume that it is expected to add
to the front, times the probability that it is feasible.

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
from raytune_hpo.numerics.weighting import Success
from raytune_hpo.samplers.failure_model import FailureModel, Fit
from raytune_hpo.samplers.history import Memo, Observed, last_due, representatives

MOST_BOXED = 4  # goals; with more there are too many boxes, and weights that change with each turn are used instead
_NUM_FANTASIES = 8
_WIDE = 30  # trials for which the reference point is the worst of all; over as many more it moves to the front
_FARTHEST = 1e3  # standard deviations at which a threshold is put
_NUM_NORMALS = 64  # samples for an expectation without a closed form


@dataclass(frozen=True)
class ThetaMemos:
    """The hyperparameters of each model by its name, fitted to the newest prefix that was due."""

    of: defaultdict[str, Memo[Array]] = field(default_factory=partial(defaultdict, Memo))


class _Scores(NamedTuple):
    """The values of one metric as a model sees them.

    Attributes:
        rows: (k,) positions of the trials that have the metric.
        y: (k,) values, warped and standardised.
        raw: (k,) values as they were.
    """

    rows: Array
    y: Array
    raw: Array

    def at(self, value: float) -> float:
        """A raw value as the model would see it, by linear interpolation and, beyond the observed ones, extrapolation.

        At most a thousand standard deviations away: farther off, acquisition functions lose their digits.
        """
        raw, first = np.unique(self.raw, return_index=True)
        y = self.y[first]
        if len(raw) < 2:
            seen = y[0] + value - raw[0]
        else:
            i = int(np.clip(np.searchsorted(raw, value), 1, len(raw) - 1))
            half = raw / 2  # the difference of two of 1e308 is infinite
            with np.errstate(over="ignore"):
                seen = y[i - 1] + (value / 2 - half[i - 1]) / (half[i] - half[i - 1]) * (y[i] - y[i - 1])
        return float(np.clip(seen, -_FARTHEST, _FARTHEST))


@dataclass(frozen=True)
class GoalModels:
    """The models of one study.

    Attributes:
        embedding: of the space's rows.
        goals: the goals that are optimised; the thresholds of those that have one are part of the reference point.
        warp: the transform of losses before they are standardised.
        fit: the function that fits hyperparameters.
        max_points: how many trials the models are trained on.
        seed: of the study.
        memos: of the hyperparameters; samplers that fit the same models may share them.
    """

    embedding: Embedding
    goals: Sequence[Goal]
    warp: Callable[[Array], Array]
    fit: Fit
    max_points: int
    seed: int
    memos: ThetaMemos

    def acquisition(self, observed: Observed, running: Array, rng: np.random.Generator) -> FrontAcquisition:
        """The acquisition function, given what was observed and the rows (p, d) that run.

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

    def success(self, observed: Observed, running: Array) -> Success | None:
        """The probability that a trial succeeds, given the rows (p, d) that run; None if no trial has failed."""
        return self._failures.success(observed, representatives(front_first(observed), self.max_points), running)

    # -------------------------------------------------------------------------------------------- what is modelled

    @staticmethod
    def _scores(values: Array, kept: Array, warp: Callable[[Array], Array]) -> _Scores:
        rows = kept[~np.isnan(values[kept])]
        return _Scores(rows, standardised(warp(values[rows])), values[rows])

    def _bounds(self, observed: Observed, kept: Array, pending: Array) -> list[Bound]:
        """A bound for each constraint in which trials differ, and one on the model of failure if trials have failed."""
        bounds = []
        for c, excesses in enumerate(() if observed.C is None else observed.C.T):
            known = excesses[kept][~np.isnan(excesses[kept])]
            if len(known) and np.ptp(known) > 0:
                scores = self._scores(excesses, kept, bilog)
                posterior = self._posterior(f"constraint {c}", observed, scores, partial(_constraint, c))
                bounds.append(Bound(posterior.fantasised(pending), scores.at(0.0)))
        if (on_failure := self._failures.bound(observed, kept, pending)) is not None:
            bounds.append(on_failure)
        return bounds

    @property
    def _failures(self) -> FailureModel:
        return FailureModel(self.embedding, self.fit, self.memos.of["failure"])

    def _posterior(
        self, name: str, observed: Observed, scores: _Scores, of: Callable[[Observed], tuple[Array, Array]]
    ) -> Posterior:
        """The posterior of a metric. Its hyperparameters depend on the newest prefix that is due, and on nothing else."""
        due = observed.first(last_due(len(observed)))
        theta = self.memos.of[name].of(due, lambda: self.fit(*of(due), len(due)))
        return Posterior.of(theta, self.embedding(observed.X[scores.rows]), self.embedding.owner, scores.y)

    # -------------------------------------------------------------------------------------------- what is gained

    def _reference(self, Y: Array, scores: Sequence[_Scores], turn: int) -> Array:
        """The reference point (m,) of the hypervolume: the thresholds and, of goals without one, a point beyond the front.

        If hypervolume beyond the first front never counted, the search would never find that the front extends further,
        for instance to a slow end that only bad trials have reached so far. So the point begins at the worst of all of Y,
        and moves towards the front, turn by turn.
        """
        near = reference_of(Y[pareto_front(Y)])
        share = min(max(2 - turn / _WIDE, 0.0), 1.0)
        reference = near + share * np.maximum(Y.max(axis=0) - near, 0.0)
        for j, (goal, one) in enumerate(zip(self.goals, scores, strict=True)):
            if goal.threshold is not None:
                reference[j] = one.at(goal.loss(goal.threshold))
        return np.asarray(reference)

    def _scalarised(self, means: Array, turn: int) -> list[Improvement]:
        """The improvements of many goals by weights that change with each turn, over the best of the posterior means.

        Unlike the best measured values, those means are not biased by lucky noise.
        """
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
    """Which trials (n,) have completed and are known to keep all constraints."""
    completed = np.asarray(~np.isnan(observed.Y).any(axis=1))
    if observed.curves is not None:
        completed &= observed.curves.completed
    if observed.C is not None:
        completed &= (observed.C <= 0).all(axis=1)
    return completed


def front_first(observed: Observed) -> Array:
    """A sort key (n,) of trials: 0 on the front of the feasible ones, then by the mean of their ranks in the goals.

    Infeasible ones come after those, and failed ones last.
    """
    Y, feasible = observed.Y, is_feasible(observed)
    known = ~np.isnan(Y).any(axis=1)
    order = np.full(len(Y), 3.0)
    ranks = np.column_stack([np.searchsorted(np.sort(column[known]), column[known]) for column in Y.T])
    order[known] = ranks.mean(axis=1) / max(int(known.sum()), 1) + ~feasible[known]
    order[np.flatnonzero(feasible)[pareto_front(Y[feasible])]] = 0.0
    return order


def bilog(excesses: Array) -> Array:
    """Excesses (n,) on a scale that separates small ones and on which 0 stays 0: sign(c) log(1 + |c| / median |c|).

    (Eriksson, Poloczek: Scalable Constrained Bayesian Optimization. AISTATS 2021)
    """
    sizes = np.minimum(np.abs(excesses), np.finfo(np.float64).max / 2)  # the median of two of 1e308 would be infinite
    typical = float(np.median(sizes[sizes > 0])) if sizes.any() else 1.0
    return np.asarray(np.sign(excesses) * np.log1p(sizes / typical))


def _goal(j: int, warp: Callable[[Array], Array], due: Observed) -> tuple[Array, Array]:
    """Rows and scores of a goal; if trials were stopped, as this prefix expects them at its highest fidelity."""
    Y = due.Y
    if due.curves is not None and len(due.curves.steps):
        Y = expected_losses(due.curves, lambda y: standardised(half_ranked(y)))
    return _told(due.X, Y[:, j], warp)


def _constraint(c: int, due: Observed) -> tuple[Array, Array]:
    assert due.C is not None
    return _told(due.X, due.C[:, c], bilog)


def _told(X: Array, values: Array, warp: Callable[[Array], Array]) -> tuple[Array, Array]:
    told = ~np.isnan(values)
    return X[told], standardised(warp(values[told])) if told.any() else values[told]
