"""The median stopping rule.

Golovin, Solnik, Moitra, Kochanski, Karro, Sculley: Google Vizier: A Service for Black-Box Optimization. KDD 2017,
section 3.2.2. The paper compares with completed trials; here every trial that reported at the same step counts, so that
the rule has something to say before the first ones are through.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from raytune_hpo.goals import Goal
from raytune_hpo.schedulers.ranking import Ranking, require_at_least, require_one_goal
from raytune_hpo.trial import Report, Trial, Verdict


@dataclass(frozen=True, slots=True)
class _Curve:
    """How far a trial's reports have been read, and what they add up to."""

    attempt: int
    num_read: int = 0
    num_scored: int = 0
    total: float = 0.0
    best: float = float("inf")

    def then(self, report: Report) -> _Curve:
        if report.losses is None:
            return _Curve(self.attempt, self.num_read + 1, self.num_scored, self.total, self.best)
        loss = report.losses[0]
        return _Curve(self.attempt, self.num_read + 1, self.num_scored + 1, self.total + loss, min(self.best, loss))

    @property
    def mean(self) -> float:
        return self.total / self.num_scored


class Median:
    """Stops a trial whose best loss so far is worse than the median of the others' running averages.

    A trial at step s is compared with the others that reported at step s, each by the mean of its losses up to there.

    Args:
        grace_steps: no trial is stopped before this step.
        min_trials: how many others must have reported at a step before anybody is stopped there.

    Raises:
        SpecError: grace_steps < 1 or min_trials < 1.
    """

    version: ClassVar[int] = 1

    def __init__(self, *, grace_steps: int = 1, min_trials: int = 5) -> None:
        require_at_least("median", "grace_steps", grace_steps, 1)
        require_at_least("median", "min_trials", min_trials, 1)
        self.grace_steps = grace_steps
        self.min_trials = min_trials
        self._curves: dict[int, _Curve] = {}
        self._means: defaultdict[int, Ranking] = defaultdict(Ranking)  # by step

    def bind(self, goals: Sequence[Goal]) -> Median:
        """A fresh Median for one study.

        Raises:
            SpecError: several goals.
        """
        require_one_goal("median", goals)
        return Median(grace_steps=self.grace_steps, min_trials=self.min_trials)

    def judge(self, trial: Trial) -> Verdict:
        """STOP where the best loss so far is strictly worse than the median at the newest report's step."""
        if not trial.reports or trial.reports[-1].losses is None:
            return Verdict.CONTINUE
        step = trial.reports[-1].step
        means = self._means.get(step)
        if step < self.grace_steps or means is None or means.num_others(trial.number) < self.min_trials:
            return Verdict.CONTINUE
        best = self._curve(trial).best
        return Verdict.STOP if best > means.median(trial.number) else Verdict.CONTINUE

    def observe(self, trial: Trial) -> None:
        """Add the reports not read yet. A trial that starts over begins a new curve, which replaces the old one."""
        curve = self._start(trial)
        for index in range(curve.num_read, len(trial.reports)):
            report = trial.reports[index]
            curve = curve.then(report)
            if report.losses is not None:
                self._means[report.step].put(trial.number, curve.mean)
        self._curves[trial.number] = curve

    def next_step(self, trial: Trial) -> int | None:
        """The next step, or the end of the grace period."""
        return max(self.grace_steps, trial.reports[-1].step + 1) if trial.reports else self.grace_steps

    def _curve(self, trial: Trial) -> _Curve:
        """The curve up to the newest report, read on from where ``observe`` left it."""
        curve = self._start(trial)
        for index in range(curve.num_read, len(trial.reports)):
            curve = curve.then(trial.reports[index])
        return curve

    def _start(self, trial: Trial) -> _Curve:
        known = self._curves.get(trial.number)
        if known is None or known.attempt != trial.attempt or known.num_read > len(trial.reports):
            return _Curve(trial.attempt)
        return known
