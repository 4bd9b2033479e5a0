"""Freeze-thaw Bayesian optimisation: decides after every stretch whether to resume a trial, and which, or to begin one.

Swersky, Snoek, Adams: Freeze-Thaw Bayesian Optimization. arXiv 1406.3896, 2014.
Rakotoarison, Adriaensen, Mallik, Garibov, Bergman, Hutter: In-Context Freeze-Thaw Bayesian Optimization for Hyperparameter
Optimization. ICML 2024, section 3.2 (MFPI-random).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, partial
from typing import ClassVar, NamedTuple

import numpy as np

from raytune_hpo import registry
from raytune_hpo.arrays import Array
from raytune_hpo.numerics import freeze_thaw as model
from raytune_hpo.numerics import gaussian
from raytune_hpo.numerics.acquisition import log_expected_improvement, log_probability_of_improvement
from raytune_hpo.numerics.axes import row_keys
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.numerics.neighbours import Neighbourhoods, crowded
from raytune_hpo.numerics.optimise import filled, perturbed
from raytune_hpo.numerics.transforms import squashed
from raytune_hpo.options import budget_options, integer_option, named_option, number_option
from raytune_hpo.protocols import Continue, Scheduler, Signal, Suggestion, Traits
from raytune_hpo.samplers.base import BaseSampler
from raytune_hpo.samplers.failure_model import FailureModel
from raytune_hpo.samplers.history import Memo, Observed, last_due, representatives
from raytune_hpo.trial import Trial

_ACQUISITIONS = ("mfpi", "ei")
_MOST_POINTS = 20  # of a curve
_DRAWN, _NEAR = 100, 200  # candidates from the prior, and near the best trials
_PARENTS = 3
_WORTH_GOING_ON = 0.05  # the least probability of beating the best completed trial with which a paused one is resumed
_LEAST_GAIN = 0.01  # by which it must be beaten, in units of squashed losses; equals differ by the noise of the model


class _Seen(NamedTuple):
    """The curves from which the model learns.

    Attributes:
        rows: (k,) the trials' rows in the history.
        X: (k, d) the trials' rows in the unit cube.
        t, y: (k, 20) steps in units of the last one, and squashed losses; NaN where there are fewer points.
    """

    rows: Array
    X: Array
    t: Array
    y: Array


class FreezeThaw(BaseSampler):
    """Resumes the trial with the most promising curve, or begins a new one: one model of all curves compares both.

    Trials run in stretches: up to ``min_steps``, then each time half as far again. At the end of a stretch a trial is
    paused, and its worker asks for the next one. In the model, Swersky's, curves are mixtures of exponential decays
    towards asymptotes that are a Gaussian process over configurations. Once no new trial may begin, the most promising
    ones are resumed until a trial has completed and no paused one beats it, by more than noise, with a probability above
    0.05. The sampler brings ``stretches``, a scheduler that only pauses trials, and needs an objective that reports its
    steps and saves checkpoints: one that does not save starts over each time.

    Args:
        max_steps: the last step of a trial.
        min_steps: how far a new trial runs at first.
        stretch: the factor by which a resumed trial runs farther than before; at least one step farther.
        acquisition: "mfpi", the probability of improving by a random margin after a random number of steps, or "ei", the
            expected improvement at the last step.
        old_share: share of the decisions that consider only trials that have begun. New ones are so much more uncertain
            that they might nearly always be the better bet, and no trial would ever be trained to its end.
        n_initial: trials of the even design that run their first stretch before the model is used; None for a number
            that suits the space.
        max_curves: curves from which the model learns: the best, the newest, and some from all over the study.

    Raises:
        SpecError: no max_steps, or not above min_steps; min_steps < 1; stretch not above 1; an unknown acquisition;
            old_share outside [0, 1); n_initial < 1; max_curves < 16.
    """

    traits: ClassVar[Traits] = Traits(reads_reports=True, continues=True, needs=("scipy",), version=6)

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        min_steps: int = 1,
        stretch: float = 1.5,
        acquisition: str = "ei",
        old_share: float = 0.5,
        n_initial: int | None = None,
        max_curves: int = 150,
    ) -> None:
        self.max_steps, self.min_steps, _ = budget_options("freeze_thaw", max_steps, min_steps, 2)
        self.stretch = number_option("freeze_thaw", "stretch", stretch, above=1)
        self.acquisition = named_option("freeze_thaw", "acquisition", acquisition, _ACQUISITIONS)
        self.old_share = number_option("freeze_thaw", "old_share", old_share, least=0, below=1)
        self.n_initial = None if n_initial is None else integer_option("freeze_thaw", "n_initial", n_initial, least=1)
        self.max_curves = integer_option("freeze_thaw", "max_curves", max_curves, least=16)
        self._paused: dict[int, int] = {}  # the steps at which trials have paused, by trial number
        self._events: list[tuple[int, int]] = []  # the row of each trial that paused or ended, and its last step then
        self._thetas: Memo[Array] = Memo()

    def brings(self) -> Scheduler:
        """The scheduler that pauses trials at the ends of their stretches."""
        scheduler: Scheduler = registry.make("scheduler", {"name": "stretches", "max_steps": self.max_steps})
        return scheduler

    # -------------------------------------------------------------------------------------------- learning

    def observe(self, trial: Trial) -> None:
        """Note a trial that has paused: it may be resumed."""
        self._note(trial)
        if trial.last_step is not None and trial.last_losses is not None:
            self._paused[trial.number] = trial.last_step

    def tell(self, trial: Trial) -> None:
        """Note a trial that has ended."""
        self._note(trial)
        self._paused.pop(trial.number, None)

    def _note(self, trial: Trial) -> None:
        self._history.tell(trial)
        self._events.append((self._history.row(trial.number), trial.last_step or 0))

    # -------------------------------------------------------------------------------------------- asking

    def ask(
        self, number: int | None, pending: Sequence[Trial], rng: np.random.Generator
    ) -> Suggestion | Continue | Signal:
        """The next point of the even design or, after it, the new or paused trial that the model ranks highest."""
        cube = self._cube
        busy = {trial.number for trial in pending}
        paused = [other for other in self._paused if other not in busy]
        if number is None and not paused:
            return Signal.WAIT if busy else Signal.EXHAUSTED
        silent = [trial for trial in pending if trial.last_losses is None and trial.number not in self._history]
        observed = self._history.read_curves([trial for trial in pending if trial.last_losses is not None])
        if number is None:
            return self._finishing(observed, paused, bool(busy))
        if not cube.axes:
            return self._begun(np.empty(0))
        running, begun = cube.encode(silent), len(observed) + len(silent)
        known = np.concatenate([observed.X, running])
        if begun < self._num_initial or np.isnan(observed.Y[:, 0]).all():
            return self._begun(cube.first_new(cube.spread(begun, self._seed, rng, observed), known, rng))
        posterior, seen = self._posterior(observed)
        candidates = self._candidates(posterior, seen, known, running, rng)
        old = self._among(seen, paused)
        of_new, of_old = self._values(posterior, seen, candidates, old, rng)
        kept = representatives(np.nan_to_num(observed.Y[:, 0], nan=np.inf), self.max_curves)
        if (success := self._failures.success(observed, kept, running)) is not None:
            of_new = of_new + success.log(candidates)
        if len(old) and (rng.random() < self.old_share or of_old.max() >= of_new.max(initial=-math.inf)):
            return self._continued(self._history.number(int(seen.rows[old[int(of_old.argmax())]])))
        ranked = candidates[np.argsort(-of_new, kind="stable")]
        return self._begun(cube.first_new(ranked, known, rng))

    def _begun(self, x: Array) -> Suggestion:
        return Suggestion(self._cube.config(x), until=self.min_steps)

    def _continued(self, number: int) -> Continue:
        """The trial resumed, to run ``stretch`` times as far as it came."""
        step = self._paused[number]
        return Continue(number, min(max(step + 1, math.ceil(step * self.stretch)), self.max_steps))

    def _finishing(self, observed: Observed, paused: Sequence[int], is_busy: bool) -> Continue | Signal:
        """When no new trial may begin: the paused trial that is most likely to beat the best completed one.

        If no trial has completed, the one with the lowest expected loss at the last step.
        """
        if np.isnan(observed.Y[:, 0]).all():
            return self._continued(min(paused))
        posterior, seen = self._posterior(observed, paused)
        old = self._among(seen, paused)
        mean, sd = posterior.continued(old, np.ones(len(old)))
        ends = np.array([self._history.number(int(row)) for row in seen.rows[old]])
        assert observed.curves is not None
        completed = observed.curves.completed[seen.rows]
        if not completed.any():
            return self._continued(int(ends[int(mean.argmin())]))
        final = seen.y[completed, (~np.isnan(seen.y[completed])).sum(axis=1) - 1]
        chances = log_probability_of_improvement(mean, sd, float(final.min()) - _LEAST_GAIN)
        if chances.max() > math.log(_WORTH_GOING_ON):
            return self._continued(int(ends[int(chances.argmax())]))
        return Signal.WAIT if is_busy else Signal.EXHAUSTED

    @property
    def _num_initial(self) -> int:
        return min(2 + self._cube.space.num_columns // 2, 10) if self.n_initial is None else self.n_initial

    # -------------------------------------------------------------------------------------------- the acquisition

    def _values(
        self, posterior: model.FreezeThaw, seen: _Seen, candidates: Array, old: Array, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Acquisition values of new configurations (k, d), and of resuming curves.

        MFPI: the probability of being below a target after a horizon, both drawn at random, so that near gains and far
        ones are weighed in different ways. (Rakotoarison et al. 2024, eq. 2)
        """
        best = float(np.nanmin(seen.y))
        if self.acquisition == "ei":
            best = float(posterior.continued(np.arange(len(seen.rows)), np.ones(len(seen.rows)))[0].min())
        reached = np.nanmax(seen.t[old], axis=1) if len(old) else np.empty(0)
        horizon = int(rng.integers(1, self.max_steps + 1)) / self.max_steps if self.acquisition == "mfpi" else 1.0
        margin = 10.0 ** rng.uniform(-4.0, -1.0) if self.acquisition == "mfpi" else 0.0
        typical = float(np.median(seen.y[:, 0]))
        target = best - margin * max(typical - best, 1e-6)
        value = log_probability_of_improvement if self.acquisition == "mfpi" else log_expected_improvement
        of_new = posterior.begun(self._embedding(candidates), np.full(len(candidates), horizon))
        of_old = posterior.continued(old, np.minimum(reached + horizon, 1.0))
        return value(*of_new, target), value(*of_old, target)

    def _candidates(
        self, posterior: model.FreezeThaw, seen: _Seen, known: Array, running: Array, rng: np.random.Generator
    ) -> Array:
        """New proper rows, from the prior and near the configurations whose curves are expected to end lowest."""
        cube = self._cube
        if (listed := cube.listed) is not None:
            return listed[cube.untried(known)]
        parents = filled(seen.X[np.argsort(posterior.ends, kind="stable")[:_PARENTS]], rng)
        rows = np.concatenate([cube.scattered(_DRAWN, rng), cube.proper(perturbed(parents, _NEAR, cube.axes, rng))])
        tried = set(row_keys(known))
        is_new = np.array([key not in tried for key in row_keys(rows)], dtype=bool)
        if len(running):
            is_new &= ~crowded(cube.axes, rows, Neighbourhoods(running))
        return rows[is_new] if is_new.any() else rows

    # -------------------------------------------------------------------------------------------- the model

    def _posterior(self, observed: Observed, needed: Sequence[int] = ()) -> tuple[model.FreezeThaw, _Seen]:
        """The posterior given what was observed, with hyperparameters fitted at the newest number of events that was due.

        Args:
            needed: numbers of trials whose curves must be among those from which the model learns.
        """
        must = np.array([self._history.row(number) for number in needed], dtype=np.intp)
        seen = self._seen(observed, np.full(len(observed), np.iinfo(np.int64).max), must)
        events = np.array(self._events[: last_due(len(self._events))], dtype=np.int64).reshape(-1, 2)
        up_to = np.full(len(observed), -1)
        np.maximum.at(up_to, events[:, 0], events[:, 1])
        due = self._seen(observed, up_to, must[:0])
        theta = self._thetas.of(Observed(due.X, np.hstack([due.t, due.y])), partial(self._fitted, due))
        return model.FreezeThaw.of(theta, self._data(seen)), seen

    def _fitted(self, due: _Seen) -> Array:
        prior = model.curve_prior(len(self._cube.axes))
        return model.fit(self._data(due), prior) if len(due.rows) else prior.mean

    def _data(self, seen: _Seen) -> model.CurveData:
        return model.CurveData(self._embedding(seen.X), self._embedding.owner, seen.t, seen.y)

    def _seen(self, observed: Observed, up_to: Array, must: Array) -> _Seen:
        """The curves up to these steps (n,), of trials that have any points by then."""
        assert observed.curves is not None
        steps, losses = observed.curves.thinned(_MOST_POINTS, up_to)
        last = np.where(np.isnan(observed.curves.final[:, 0]) | (up_to < self.max_steps), np.nan, self.max_steps)
        steps, losses = _ended(steps, losses, last, observed.curves.final[:, 0])
        newest = losses[np.arange(len(losses)), np.maximum((~np.isnan(losses)).sum(axis=1) - 1, 0)]
        known = np.flatnonzero(np.isfinite(newest))
        kept = known[representatives(newest[known], self.max_curves)]
        kept = np.union1d(kept, must).astype(np.intp)
        return _Seen(kept, observed.X[kept], steps[kept] / self.max_steps, squashed(losses[kept], newest[known]))

    @cached_property
    def _failures(self) -> FailureModel:
        """The model of where trials fail; these have no part in the model of curves."""

        def fitted(X: Array, y: Array, n: int) -> Array:
            kept = representatives(y, self.max_curves)
            prior = gaussian.scaled_prior(len(self._cube.axes))
            return gaussian.fit(self._embedding(X[kept]), self._embedding.owner, y[kept], prior)

        return FailureModel(self._embedding, fitted, Memo())

    def _among(self, seen: _Seen, numbers: Sequence[int]) -> Array:
        """The positions of these trials among the curves from which the model learns."""
        rows = np.array([self._history.row(number) for number in numbers], dtype=np.intp)
        return np.flatnonzero(np.isin(seen.rows, rows))

    @cached_property
    def _embedding(self) -> Embedding:
        return Embedding(self._cube.axes)


def _ended(steps: Array, losses: Array, last: Array, final: Array) -> tuple[Array, Array]:
    """Curves (n, T) with the loss (n,) of completed trials as one more point, which replaces any report at that step.

    Args:
        last: (n,) the last step; NaN where a trial has not completed.
    """
    n = len(steps)
    steps, losses = (np.hstack([part, np.full((n, 1), np.nan)]) for part in (steps, losses))
    count = (~np.isnan(losses)).sum(axis=1)
    rows = np.flatnonzero(~np.isnan(last))
    at = count[rows] - ((count[rows] > 0) & (steps[rows, np.maximum(count[rows] - 1, 0)] >= last[rows]))
    steps[rows, at], losses[rows, at] = last[rows], final[rows]
    return steps, losses
