"""Synchronous successive halving: a rung must be complete before its best trials are promoted.

Karnin, Koren, Somekh: Almost Optimal Exploration in Multi-Armed Bandits. ICML 2013. Jamieson, Talwalkar: Non-stochastic
Best Arm Identification and Hyperparameter Optimization. AISTATS 2016. A worker that is free while a rung is open begins
the next bracket, as in Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar: Hyperband. JMLR 18(185), 2018, section 3.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import budget_options
from raytune_hpo.protocols import Continue
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.ladder import Ladder
from raytune_hpo.schedulers.ranking import Criteria, Row, newest_scored
from raytune_hpo.schedulers.rungs import Ended, Rung
from raytune_hpo.trial import Trial


class SuccessiveHalving:
    """Pauses all trials of a bracket at each rung, and promotes the best 1/eta of them once all have reached it.

    The rungs are at the steps min_steps, min_steps * eta, min_steps * eta**2 ... below max_steps. With r rungs, a bracket
    has eta**r trials with consecutive numbers, of which one runs to max_steps. A trial enters a rung with its first report
    at the rung's step or beyond. A rung is closed when all its trials have reached it: those that failed or were stopped
    by the user count as its worst; one that completed earlier counts with its result, and is not promoted. Then the best
    n // eta of n are promoted, in the order of their losses or, with several metrics, of their Pareto fronts; trials that
    break an outcome constraint come last. No worker waits for a rung to close: it begins the next bracket.

    At the end of a study, a bracket that cannot be filled any more is treated as full. Then the best trial that is paused
    at a rung resumes, from the highest rung on, if no better trial has been promoted from there, or has completed.

    The comparison is fairer than ASHA's, which promotes on the results known at the moment, but the first full runs come
    later. The objective must save checkpoints: without them, a trial starts over at each rung.

    Args:
        max_steps: the last step of a trial, which is completed there.
        min_steps: the first rung.
        eta: one trial in eta survives a rung.

    Raises:
        SpecError: no max_steps, or not above min_steps; min_steps < 1; eta < 2.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(self, *, max_steps: int | None = None, min_steps: int = 1, eta: int = 3) -> None:
        self.max_steps, self.min_steps, self.eta = budget_options("successive_halving", max_steps, min_steps, eta)
        self._ladder = Ladder(self.eta, self.min_steps, self.max_steps)
        self._steps = tuple(self._ladder.rungs())
        self._brackets: list[_Bracket] = []
        self._due: list[int] = []  # the brackets that have a trial to promote, in order
        self._heading_for: dict[int, int] = {}  # by trial, the rung that it runs towards or is paused at; else 0
        self._ended = Ended(self._ladder.criteria)

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> SuccessiveHalving:
        """A fresh SuccessiveHalving for one study."""
        bound = SuccessiveHalving(max_steps=self.max_steps, min_steps=self.min_steps, eta=self.eta)
        criteria = Criteria(len(goals), constraints)
        bound._ladder, bound._ended = replace(bound._ladder, criteria=criteria), Ended(criteria)
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """PAUSE if the newest report, with losses, reaches the rung that the trial is heading for."""
        newest, rung = trial.reports[-1], self._rung_of(trial)
        if rung == len(self._steps) or newest.losses is None or newest.step < self._steps[rung]:
            return Verdict.CONTINUE
        return Verdict.PAUSE

    def observe(self, trial: Trial) -> None:
        """Keep track of pauses, resumes and ends; reports between rungs do not count."""
        number, rung = trial.number, self._rung_of(trial)
        self._ended.observe(trial)
        if rung == len(self._steps):
            return
        bracket = self._bracket_of(number)
        if trial.status is Status.PAUSED:
            scored = newest_scored(trial)
            bracket.enter(rung, number, None if scored is None else self._ladder.criteria.row(scored), paused=True)
        elif trial.status is Status.COMPLETED and trial.losses is not None:
            bracket.enter(rung, number, self._ladder.criteria.row(trial), paused=False)
        elif trial.status.is_finished:
            bracket.enter(rung, number, None, paused=False)
        elif trial.status is Status.RUNNING and bracket.is_paused(rung, number):
            bracket.go_on(rung, number)
            self._heading_for[number] = rung + 1
        else:
            return
        self._list_if_due(number // self._size)

    def next_step(self, trial: Trial) -> int | None:
        """The rung that the trial is heading for; the next step if that rung was passed without losses."""
        rung = self._rung_of(trial)
        if rung == len(self._steps):
            return None
        return max(self._steps[rung], trial.reports[-1].step + 1) if trial.reports else self._steps[rung]

    def promote(self, *, final: bool) -> Continue | None:
        """The best trial still to be promoted from a closed rung, of the first bracket that has one.

        At the end, a bracket that is not full is treated as full; then the best paused trial of a rung resumes, from the
        highest rung on, if no better trial has been promoted from there, or has completed.
        """
        if self._due:
            return self._continued(self._brackets[self._due[0]].next())
        if not final:
            return None
        for bracket in self._brackets:
            if (chosen := bracket.next(cut_short=True)) is not None:
                return self._continued(chosen)
        return self._continued(self._unrivalled())

    def keeps(self, trial: Trial) -> bool:
        """Whether a paused trial may yet be promoted from its rung, or resumed at the end for want of a better one."""
        number, rung = trial.number, self._rung_of(trial)
        if trial.status is not Status.PAUSED or rung == len(self._steps):
            return False
        bracket = self._bracket_of(number)
        return bracket.keeps(rung, number) or self._ended.may_be_unrivalled(bracket.rungs[rung], number)

    @property
    def _size(self) -> int:
        """The number of trials of a full bracket."""
        return int(self.eta ** len(self._steps))

    def _rung_of(self, trial: Trial) -> int:
        return self._heading_for.get(trial.number, 0)

    def _bracket_of(self, number: int) -> _Bracket:
        while len(self._brackets) <= number // self._size:
            self._brackets.append(_Bracket(self._size, self.eta, len(self._steps), self._ladder.criteria))
        return self._brackets[number // self._size]

    def _list_if_due(self, index: int) -> None:
        place = bisect_left(self._due, index)
        is_listed = self._due[place : place + 1] == [index]
        is_due = self._brackets[index].next() is not None
        if is_due and not is_listed:
            insort(self._due, index)
        elif is_listed and not is_due:
            del self._due[place]

    def _unrivalled(self) -> tuple[int, int] | None:
        """The highest rung with unrivalled trials, and the best of these in any bracket."""
        for rung in reversed(range(len(self._steps))):
            together = Rung(self._ladder.criteria)
            for bracket in self._brackets:
                if (best := self._ended.unrivalled(bracket.rungs[rung])) is not None:
                    together.put(best, bracket.rungs[rung].row_of(best))
                    together.pause(best)
            if (best := together.best_paused()) is not None:
                return rung, best
        return None

    def _continued(self, chosen: tuple[int, int] | None) -> Continue | None:
        if chosen is None:
            return None
        rung, number = chosen
        return Continue(number, self._ladder.stop_after(self._steps[rung]))


class _Bracket:
    """The trials of one bracket on their way through its rungs.

    Args:
        size: the number of trials of the full bracket.
    """

    def __init__(self, size: int, eta: int, num_rungs: int, criteria: Criteria) -> None:
        self._size, self._eta = size, eta
        self.rungs = [Rung(criteria) for _ in range(num_rungs)]
        self._lost: list[set[int]] = [set() for _ in range(num_rungs)]  # trials without a result, by rung
        self._is_cut_short = False

    def enter(self, rung: int, number: int, row: Row | None, *, paused: bool) -> None:
        """Enter a trial that has reached a rung; without a row it counts as the worst there."""
        if row is None:
            self.rungs[rung].drop(number)
            self._lost[rung].add(number)
            return
        self.rungs[rung].put(number, row)
        if paused:
            self.rungs[rung].pause(number)

    def is_paused(self, rung: int, number: int) -> bool:
        return self.rungs[rung].is_paused(number)

    def go_on(self, rung: int, number: int) -> None:
        """Mark a trial as resumed from a rung. If the bracket is not full yet, it never will be."""
        self._is_cut_short |= rung == 0 and self._num_arrived(0) < self._size
        self.rungs[rung].leave(number, promoted=True)

    def next(self, *, cut_short: bool = False) -> tuple[int, int] | None:
        """The rung from which a trial is to be promoted now, and the trial's number; None if there is none."""
        cut_short |= self._is_cut_short
        expected = self._num_arrived(0) if cut_short else self._size
        num_promoted = expected // self._eta
        for index, rung in enumerate(self.rungs):
            if self._num_arrived(index) < expected:
                return None
            best = rung.best_paused()
            if best is not None and len(rung.promoted) < num_promoted and rung.num_before(best) < num_promoted:
                return index, best
            expected, num_promoted = len(rung.promoted), num_promoted // self._eta
        return None

    def keeps(self, rung: int, number: int) -> bool:
        """Whether a trial that has paused at a rung may still be promoted from there, also if its study is extended."""
        num_promoted = self._size // self._eta ** (rung + 1)
        here = self.rungs[rung]
        return here.is_paused(number) and len(here.promoted) < num_promoted and here.num_before(number) < num_promoted

    def _num_arrived(self, rung: int) -> int:
        return len(self.rungs[rung]) + len(self._lost[rung])
