"""PASHA: promotion over rungs, of which a higher one opens only while the ranking of the trials still changes.

Bohdal, Balles, Wistuba, Ermis, Archambeau, Zappella: PASHA: Efficient HPO and NAS with Progressive Resource Allocation.
ICLR 2023, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import budget_options
from raytune_hpo.protocols import Continue
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.ladder import Ladder
from raytune_hpo.schedulers.promotion import Promotion
from raytune_hpo.schedulers.ranking import Criteria
from raytune_hpo.schedulers.soft_ranking import SoftRanking
from raytune_hpo.trial import Trial


class PASHA:
    """Promotes like ASHA, but only up to the rung at which the ranking of the trials has become stable.

    At first only the rungs at min_steps and min_steps * eta exist, and trials stay paused at the upper one. The order of
    the trials that reached it is compared between both rungs. If it differs, the next rung opens: the best third (with
    eta = 3) of the trials at the top are promoted to it, and it becomes the top, which is compared with the rung below.
    If the order settles early, only one trial runs to max_steps: the best, at the end of the study. So the study needs
    num_trials: where time or steps end it, it may have no result.

    Two trials are out of order if one was better at the lower rung by more than a tolerance, and is worse at the upper
    one. The tolerance is the noise of the curves: the 90th percentile of the differences at the top between trials whose
    curves have crossed twice. This needs a report at every step; if an objective reports less often, the tolerance is 0
    and rungs open sooner. With several metrics, "better" means better in all of them. Outcome
    constraints play no part in this, only in who is promoted.

    The rule sees only the steps up to the top. If trials keep their order for long and change it late, it stops too soon,
    and ASHA is the better choice.

    Args:
        max_steps: the last step of a trial, which is completed there.
        min_steps: the first rung.
        eta: one trial in eta is promoted from a rung.

    Raises:
        SpecError: no max_steps, or not above min_steps; min_steps < 1; eta < 2.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(self, *, max_steps: int | None = None, min_steps: int = 1, eta: int = 3) -> None:
        self.max_steps, self.min_steps, self.eta = budget_options("pasha", max_steps, min_steps, eta)
        self._ladder = Ladder(self.eta, self.min_steps, self.max_steps)
        self._promotion = Promotion(self._ladder)
        self._ranking = SoftRanking()
        self._promotion.top = self._ladder.above(self.min_steps)

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> PASHA:
        """A fresh PASHA for one study."""
        bound = PASHA(max_steps=self.max_steps, min_steps=self.min_steps, eta=self.eta)
        bound._ladder = replace(bound._ladder, criteria=Criteria(len(goals), constraints))
        bound._promotion = Promotion(bound._ladder)
        bound._promotion.top = bound._ladder.above(bound.min_steps)
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """PAUSE if the newest report enters a rung, unless the trial was promoted from there or would be at once."""
        return self._promotion.judge(trial)

    def observe(self, trial: Trial) -> None:
        """Keep track of entries, pauses, resumes and ends; open the next rung if the order at the top has changed."""
        self._promotion.observe(trial)
        entry, top = self._ladder.entry(trial), self._promotion.top
        if trial.status is not Status.RUNNING or entry is None or top is None or entry.step < top:
            return
        below = next(
            (r for r in trial.reports if r.losses is not None and self._is_just_below(r.step, entry.step)), None
        )
        if below is None:  # its reports skipped the rung below, so there is nothing to compare with
            self._open_above(entry.step)
        elif entry.step == top:
            assert below.losses is not None
            curve = np.full((top + 1, len(below.losses)), np.nan)
            for report in trial.reports:
                if report.losses is not None:
                    curve[min(report.step, top)] = report.losses
            self._ranking.put(trial.number, np.array(below.losses), curve)
            if self._ranking.has_changed():
                self._open_above(top)

    def next_step(self, trial: Trial) -> int | None:
        """The first rung above the newest report; the next step if that report has no losses and so entered no rung."""
        return self._promotion.next_step(trial)

    def promote(self, *, final: bool) -> Continue | None:
        """The best paused trial of the highest rung below the top that allows a promotion.

        At the end, the best paused trial of a rung resumes, from the highest rung on, if no better trial has been promoted
        from there or has completed.
        """
        return self._promotion.promote(final=final)

    def keeps(self, trial: Trial) -> bool:
        """Whether a paused trial is still close enough to the best 1/eta of its rung to become one of them."""
        return self._promotion.keeps(trial)

    def _is_just_below(self, step: int, rung: int) -> bool:
        """Whether a report at the step belongs to the rung just below this one."""
        return step < rung and self._ladder.reached(step) == rung // self.eta

    def _open_above(self, rung: int) -> None:
        self._promotion.top = self._ladder.above(rung)
        self._ranking = SoftRanking()
