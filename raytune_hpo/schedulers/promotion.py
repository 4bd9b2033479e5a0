"""Asynchronous promotion over the rungs of a ladder: a free worker resumes the best trial that may be promoted now."""

from __future__ import annotations

import math

from raytune_hpo.facts import Status, Verdict
from raytune_hpo.protocols import Continue
from raytune_hpo.schedulers.ladder import Entry, Ladder
from raytune_hpo.schedulers.ranking import newest_scored
from raytune_hpo.schedulers.rungs import Ended, Rung
from raytune_hpo.trial import Trial

_DEVIATIONS = 3.0  # standard deviations by which a paused trial may still rise among those promoted


class Promotion:
    """Pauses every trial at every rung, and promotes the best 1/eta of those that reached it.

    Args:
        delay: see ASHA.

    Attributes:
        ended: the trials that have ended; those of the whole study, if it has other rungs besides these.
        top: no trial is promoted from this rung or a higher one; None: there is no such limit.
    """

    def __init__(self, ladder: Ladder, *, delay: bool = False) -> None:
        self._ladder, self._delay = ladder, delay
        self.ended = Ended(ladder.criteria)
        self._rungs: dict[int, Rung] = {}  # by step
        self._steps: list[int] = []  # of the rungs, the highest first
        self._paused_at: dict[int, int] = {}  # the rung at which a trial has paused
        self.top: int | None = None

    def judge(self, trial: Trial) -> Verdict:
        """PAUSE if the newest report enters a rung, unless the trial was promoted from there or would be at once."""
        entry = self._ladder.entry(trial)
        if entry is None:
            return Verdict.CONTINUE
        rung = self._rungs.get(entry.step)
        if rung is not None and trial.number in rung.promoted:
            return Verdict.CONTINUE
        return Verdict.CONTINUE if self._would_be_next(trial.number, entry) else Verdict.PAUSE

    def observe(self, trial: Trial) -> None:
        """Enter the newest report into its rung, and keep track of pauses, resumes and ends."""
        number = trial.number
        self.ended.observe(trial)
        if trial.status is Status.PAUSED:
            scored = newest_scored(trial)
            step = None if scored is None else self._ladder.reached(scored.step)
            if step is not None and step in self._rungs:
                self._paused_at[number] = step
                self._rungs[step].pause(number)
            return
        if number in self._paused_at:  # it was resumed, or stopped by a user
            self._rungs[self._paused_at.pop(number)].leave(number, promoted=trial.status is Status.RUNNING)
        entry = self._ladder.entry(trial)
        if trial.status is Status.RUNNING and entry is not None:
            rung = self._rung(entry.step)
            rung.put(number, entry.row)
            newest = trial.reports[-1]
            # If a worker is lost between the verdict and the pause, its trial is resumed from there without a promotion.
            if newest.verdict is Verdict.CONTINUE or newest.step == trial.from_step:
                rung.promoted.add(number)
        elif trial.status is Status.COMPLETED and trial.losses is not None:
            self._enter_above(trial)

    def next_step(self, trial: Trial) -> int | None:
        """The first rung above the newest report from which the trial has not been promoted; a trial that starts over
        skips the rungs from which it has been.
        """
        step = self._ladder.next_step(trial)
        rung = None if step is None else self._rungs.get(step)
        while step is not None and rung is not None and trial.number in rung.promoted:
            step = self._ladder.above(step)
            rung = None if step is None else self._rungs.get(step)
        return step

    def promote(self, *, final: bool) -> Continue | None:
        """The best paused trial of the highest rung that allows a promotion.

        At the end, the best paused trial of a rung resumes, from the highest rung on, if it is unrivalled: no better trial
        has been promoted from there, or has completed.
        """
        for step in self._steps:
            best = self._rungs[step].best_paused()
            if best is not None and self._is_due(step, self._rungs[step].num_before(best)):
                return Continue(best, self._ladder.stop_after(step))
        for step in self._steps if final else ():
            if (best := self.ended.unrivalled(self._rungs[step])) is not None:
                return Continue(best, self._ladder.stop_after(step))
        return None

    def keeps(self, trial: Trial) -> bool:
        """Whether a paused trial is close enough to the promoted ones to be promoted later, or is the best paused trial.

        New entries raise the number of promotions, but some rank before the trial. At the threshold the two cancel on
        average and below it the trial loses ground, so only random deviations can still lift it.
        """
        step = self._paused_at.get(trial.number)
        if step is None:
            return False
        rung = self._rungs[step]
        share = len(rung) / self._ladder.eta
        return rung.best_paused() == trial.number or rung.num_before(trial.number) < share + 1.0 + (
            _DEVIATIONS * math.sqrt(share)
        )

    def _rung(self, step: int) -> Rung:
        if step not in self._rungs:
            self._rungs[step] = Rung(self._ladder.criteria)
            self._steps = sorted(self._rungs, reverse=True)
        return self._rungs[step]

    def _would_be_next(self, number: int, entry: Entry) -> bool:
        """Whether a trial that enters a rung now would be the next to be promoted."""
        for step in self._steps:
            if step <= entry.step:
                break
            best = self._rungs[step].best_paused()
            if best is not None and self._is_due(step, self._rungs[step].num_before(best)):
                return False
        rung = self._rungs.get(entry.step)
        if rung is None:  # a trial alone in its rung is never promoted
            return False
        num_before = rung.place_if_next(number, entry.row)
        return num_before is not None and self._is_due(entry.step, num_before, newcomer=number not in rung)

    def _is_due(self, step: int, num_before: int, *, newcomer: bool = False) -> bool:
        """Whether a trial with ``num_before`` others before it may be promoted from the rung at a step."""
        if self.top is not None and step >= self.top:
            return False
        rung, eta = self._rungs[step], self._ladder.eta
        num_entries = len(rung) + newcomer
        if num_before >= num_entries // eta:
            return False
        return not self._delay or ((len(rung.promoted) + 1) * eta <= num_entries and num_entries >= self._needed(step))

    def _needed(self, step: int) -> int:
        """The number of trials that must have reached a rung to fill all rungs above: max_steps / step."""
        assert self._ladder.max_steps is not None
        return self._ladder.max_steps // step

    def _enter_above(self, trial: Trial) -> None:
        """Enter a trial that ended below its next rung there with its result; it is never promoted."""
        scored = newest_scored(trial)
        step = self._ladder.min_steps if scored is None else self._ladder.above(scored.step)
        if step is not None:
            self._rung(step).put(trial.number, self._ladder.criteria.row(trial))
