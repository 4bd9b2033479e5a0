"""Extrapolation of learning curves.

Domhan, Springenberg, Hutter: Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation
of Learning Curves. IJCAI 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import Goal, excesses_of
from raytune_hpo.numerics.curve_extrapolation import probability_below
from raytune_hpo.options import integer_option, share_option
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.ranking import LAST_STEP, Losses
from raytune_hpo.trial import Trial

_MOST_POINTS = 100  # of a curve that are used, evenly spread


class Extrapolation:
    """Stops a trial that is unlikely to end better than the best other trial already is.

    The trial's losses are extrapolated to its last step by a mixture of power laws. It is stopped if the probability that
    it ends below the best of the others is less than ``probability``; with several metrics, if there is another trial
    that it is that unlikely to beat in any of them. The others are the completed trials with their final
    losses, and the running trials with their newest ones, so that the rule works before the first trial has completed. One
    that breaks an outcome constraint does not count.

    Args:
        max_steps: the last step of a trial.
        probability: see above.
        min_reports: how many reports a curve needs before it is extrapolated.
        every: steps between two extrapolations, which take a fraction of a millisecond; None: a twentieth of max_steps.

    Raises:
        SpecError: no max_steps, or below 2; probability outside (0, 1); min_reports < 3 or every < 1.
    """

    version: ClassVar[int] = 2
    __repr__ = shown

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        probability: float = 0.05,
        min_reports: int = 4,
        every: int | None = None,
    ) -> None:
        if max_steps is None:
            raise SpecError(
                'extrapolation needs max_steps, the last step of a trial: {"name": "extrapolation", "max_steps": 50}'
            )
        self.max_steps = integer_option("extrapolation", "max_steps", max_steps, least=2, way_out=LAST_STEP)
        self.probability = share_option("extrapolation", "probability", probability)
        self.min_reports = integer_option("extrapolation", "min_reports", min_reports, least=3)
        self.every = None if every is None else integer_option("extrapolation", "every", every, least=1)
        self._constraints: Sequence[Goal] = ()
        self._completed: dict[int, Losses] = {}  # those that no other trial beats
        self._running: dict[int, Losses] = {}  # by their newest reports

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> Extrapolation:
        """A fresh Extrapolation for one study."""
        bound = Extrapolation(
            max_steps=self.max_steps, probability=self.probability, min_reports=self.min_reports, every=self.every
        )
        bound._constraints = tuple(constraints)
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """STOP if an extrapolation is due and the trial is unlikely to beat the best other one."""
        if not trial.reports or trial.reports[-1].losses is None:
            return Verdict.CONTINUE
        rows = [(report.step, report.losses) for report in trial.reports if report.losses is not None]
        before = rows[-2][0] if len(rows) > 1 else -1
        if len(rows) < self.min_reports or rows[-1][0] // self._pace == before // self._pace:
            return Verdict.CONTINUE
        if rows[-1][0] >= self._end:
            return Verdict.CONTINUE
        known = (*self._completed.items(), *self._running.items())
        others = _unbeaten([losses for number, losses in known if number != trial.number])
        hopeless = any(all(self._hardly_below(rows, i, loss) for i, loss in enumerate(end)) for end in others)
        return Verdict.STOP if hopeless else Verdict.CONTINUE

    def observe(self, trial: Trial) -> None:
        """Keep the newest losses of a running trial, and the final ones of a completed trial that no other beats."""
        self._running.pop(trial.number, None)
        if any(excess > 0 for excess in excesses_of(trial.metrics, self._constraints)):
            return
        if trial.status is Status.RUNNING and trial.reports and trial.reports[-1].losses is not None:
            self._running[trial.number] = trial.reports[-1].losses
        losses = trial.losses
        if trial.status is not Status.COMPLETED or losses is None:
            return
        if not any(_beats(other, losses) for other in self._completed.values()):
            self._completed = {n: other for n, other in self._completed.items() if not _beats(losses, other)}
            self._completed[trial.number] = losses

    def next_step(self, trial: Trial) -> int | None:
        """The next multiple of ``every``."""
        last = trial.reports[-1].step if trial.reports else -1
        due = (last // self._pace + 1) * self._pace
        return due if due < self._end else None

    @property
    def _end(self) -> int:
        return self.max_steps

    @property
    def _pace(self) -> int:
        return self.every or max(1, self._end // 20)

    def _hardly_below(self, rows: Sequence[tuple[int, Losses]], goal: int, value: float) -> bool:
        """Whether one loss of the curve is unlikely to end below a value."""
        kept = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_POINTS)).astype(int))
        t = np.array([rows[i][0] for i in kept], dtype=float) + (rows[0][0] <= 0)  # shapes begin after step 0
        y = np.array([rows[i][1][goal] for i in kept])
        return probability_below(t, y, float(self._end), value) < self.probability


def _unbeaten(rows: Sequence[Losses]) -> list[Losses]:
    """The rows that no other row beats; of equal rows, the first."""
    kept: list[Losses] = []
    for row in rows:
        if not any(_beats(other, row) for other in kept):
            kept = [*(other for other in kept if not _beats(row, other)), row]
    return kept


def _beats(a: Losses, b: Losses) -> bool:
    """Whether a is no worse anywhere, and better somewhere; or the same, and came first."""
    return all(x <= y for x, y in zip(a, b, strict=True))
