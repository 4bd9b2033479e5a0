"""The median stopping rule.

Golovin, Solnik, Moitra, Kochanski, Karro, Sculley: Google Vizier: A Service for Black-Box Optimization. KDD 2017,
section 3.2.2. The paper compares with completed trials; here every trial that reported at the same step counts, so that
the rule applies before the first trials have completed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import add
from typing import ClassVar

from raytune_hpo.facts import Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.ranking import ONE_LOSS, Criteria, Losses, Ranking, ranking
from raytune_hpo.trial import Report, Trial

_MEDIAN = 0.5


@dataclass(frozen=True, slots=True)
class _Curve:
    """The number of a trial's reports that have been read, and the sum of their losses."""

    attempt: int
    num_read: int = 0
    num_scored: int = 0
    total: Losses = ()
    best: Losses = ()

    def then(self, report: Report) -> _Curve:
        losses, total, best = report.losses, self.total, self.best
        if losses is not None:
            total = tuple(map(add, total, losses)) if total else losses
            best = tuple(map(min, best, losses)) if best else losses
        return _Curve(self.attempt, self.num_read + 1, self.num_scored + (losses is not None), total, best)

    @property
    def mean(self) -> Losses:
        # Rounding may put the mean of equal losses below them, and a tie would stop a trial.
        return tuple(max(total / self.num_scored, best) for total, best in zip(self.total, self.best, strict=True))


class Median:
    """Stops a trial whose best loss so far is worse than the median of the others' running averages.

    With several metrics, it stops a trial whose best losses so far are in a later Pareto front than most of these averages.

    A trial at step s is compared with the others that reported at step s, each by the mean of its losses up to that step.
    Those that break an outcome constraint at step s are behind all others.

    Args:
        grace_steps: no trial is stopped before this step.
        min_trials: how many others must have reported at a step before any trial is stopped there.

    Raises:
        SpecError: grace_steps < 1 or min_trials < 1.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(self, *, grace_steps: int = 1, min_trials: int = 5) -> None:
        self.grace_steps = integer_option("median", "grace_steps", grace_steps, least=1)
        self.min_trials = integer_option("median", "min_trials", min_trials, least=1)
        self._curves: dict[int, _Curve] = {}
        self._criteria = ONE_LOSS
        self._means: defaultdict[int, Ranking] = defaultdict(partial(ranking, self._criteria))  # by step

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> Median:
        """A fresh Median for one study."""
        bound = Median(grace_steps=self.grace_steps, min_trials=self.min_trials)
        bound._criteria = Criteria(len(goals), constraints)
        bound._means = defaultdict(partial(ranking, bound._criteria))
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """STOP if the best loss so far is strictly worse than the median at the newest report's step."""
        if not trial.reports or trial.reports[-1].losses is None:
            return Verdict.CONTINUE
        step = trial.reports[-1].step
        means = self._means.get(step)
        if step < self.grace_steps or means is None or means.num_others(trial.number) < self.min_trials:
            return Verdict.CONTINUE
        curve = self._start(trial)  # continue where ``observe`` stopped reading
        for index in range(curve.num_read, len(trial.reports)):
            curve = curve.then(trial.reports[index])
        best = self._criteria.row(trial.reports[-1], curve.best)
        return Verdict.STOP if means.is_behind(trial.number, best, _MEDIAN) else Verdict.CONTINUE

    def observe(self, trial: Trial) -> None:
        """Add the reports not read yet. If a trial starts over, its new curve replaces the old one."""
        curve = self._start(trial)
        for index in range(curve.num_read, len(trial.reports)):
            report = trial.reports[index]
            curve = curve.then(report)
            if report.losses is not None:
                self._means[report.step].put(trial.number, self._criteria.row(report, curve.mean))
        self._curves[trial.number] = curve

    def next_step(self, trial: Trial) -> int | None:
        """The next step, or the end of the grace period."""
        return max(self.grace_steps, trial.reports[-1].step + 1) if trial.reports else self.grace_steps

    def _start(self, trial: Trial) -> _Curve:
        known = self._curves.get(trial.number)
        if known is None or known.attempt != trial.attempt or known.num_read > len(trial.reports):
            return _Curve(trial.attempt)
        return known
