"""Automatic choice of an early-stopping rule, made from the learning curves of the first trials.

The rule is asynchronous successive halving (Li et al. 2020, see ``asha``). How early a trial can be judged is taken from
complete learning curves, as in Domhan, Springenberg, Hutter: Speeding up Automatic Hyperparameter Optimization of Deep
Neural Networks by Extrapolation of Learning Curves. IJCAI 2015, section 4, but by ranks instead of a model.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil
from typing import ClassVar, NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Status, Verdict, changed
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option
from raytune_hpo.protocols import Continue, Promoter
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.asha import ASHA
from raytune_hpo.schedulers.race import Race
from raytune_hpo.schedulers.ranking import Losses
from raytune_hpo.trial import INSTANCE, NO_REPORTS, Report, Trial

_FEWEST = 4  # complete curves needed for a decision
_SPARED = 1 / 3  # until then, the share of all steps that is spent on trials that no rule judges
_AGREEMENT = 2 / 3  # share of the pairs of trials whose order at a rung is that of their results
_MOST_RUNGS = 3  # below the last step
_MOST_COMPARED = 500  # the newest complete curves
_GROWTH = 4 / 3  # by which a complete trial must be longer than all before it to change the rule


class _Rule(NamedTuple):
    """The parameters of successive halving; ``first`` is the first rung."""

    last: int
    first: int
    promotes: bool


class Auto:
    """Chooses an early-stopping rule from the learning curves that it sees, or stops no trial.

    Trials go through asynchronous successive halving (``asha``), whose last step is ``max_steps`` or else the length of
    the longest complete trial. The complete curves of trials that no rule has judged show how early a trial can be judged.
    The first rung is at 1/eta**3, 1/eta**2 or 1/eta of the last step: the earliest at which two pairs of trials in three
    are in the order of their results. If none of these qualifies, early values are misleading, and all trials that begin
    from then on run to their end. Until four such curves are complete, the first rung is at 1/eta**3, and a third of all
    steps goes to trials that no rule judges; without ``max_steps``, no trial is judged until then.

    Trials that save checkpoints are paused at the rungs and promoted; others are stopped there. Trials over several
    instances are raced (``race``). If an objective reports nothing before its result, all its trials run to their end.

    Args:
        max_steps: the last step of a trial, which is completed there. None: trials end by themselves.
        eta: one trial in eta survives a rung.

    Raises:
        SpecError: eta < 2, or max_steps < 2.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(self, *, max_steps: int | None = None, eta: int = 3) -> None:
        self.max_steps = None if max_steps is None else integer_option("auto", "max_steps", max_steps, least=2)
        self.eta = integer_option("auto", "eta", eta, least=2)
        self._goals: Sequence[Goal] = ()
        self._constraints: Sequence[Goal] = ()
        self._trials: dict[int, Trial] = {}  # those that have reported
        self._yardsticks: dict[int, Trial] = {}  # completed in one attempt that no rule judged
        self._num_spared = 0  # attempts that no rule judged, although there was one
        self._num_judged_steps = 0  # of the other attempts
        self._longest = 0  # steps of a complete trial
        self._saves = False
        self._misleads = False  # early values
        self._decided_at = 0  # how many yardsticks there were when the rule was chosen
        self._rule: _Rule | None = None
        self._is_race = False
        self._parts: list[Promoter] = []  # the schedulers made from the rules, the newest last
        self._judged_by: dict[int, tuple[int, Promoter | None]] = {}  # a trial's attempt, and the rule when it began

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> Auto:
        """A fresh Auto for one study."""
        bound = Auto(max_steps=self.max_steps, eta=self.eta)
        bound._goals, bound._constraints = tuple(goals), tuple(constraints)
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """The verdict of the rule that was in force when this attempt began."""
        part = self._part_of(trial)
        return Verdict.CONTINUE if part is None else part.judge(trial)

    def observe(self, trial: Trial) -> None:
        """Record the trial, and choose a rule again if the choice depends on it."""
        number = trial.number
        if self.max_steps is not None and not self._parts:
            self._take_halving(_Rule(self.max_steps, self._rungs(self.max_steps)[0], promotes=False))
        if number not in self._judged_by or self._judged_by[number][0] != trial.attempt:
            is_spared = self._spares()
            self._num_spared += is_spared
            self._judged_by[number] = trial.attempt, None if is_spared else self._parts[-1]
        if trial.reports:
            if self._judged_by[number][1] is not None:
                self._num_judged_steps += _num_new_steps(trial, self._trials.get(number))
            self._trials[number] = trial
        for part in self._parts:
            part.observe(trial)
        if trial.saves and not self._saves:
            self._saves = True
            if self._rule is not None:
                self._take_halving(self._rule._replace(promotes=True))
        if trial.status is Status.COMPLETED and trial.losses is not None and len(trial.reports) > 1:
            self._longest = max(self._longest, trial.reports[-1].step)
            if trial.attempt == 1 and self._part_of(trial) is None:
                self._yardsticks[number] = trial
            self._choose()
        elif trial.reports and INSTANCE in trial.reports[-1].own and not self._is_race:
            self._is_race, self._rule = True, None
            self._take(Race())
        if trial.status.is_finished:
            del self._judged_by[number]

    def next_step(self, trial: Trial) -> int | None:
        """The next step at which the rule in force when this attempt began may stop or pause the trial."""
        part = self._part_of(trial)
        return None if part is None else part.next_step(trial)

    def promote(self, *, final: bool) -> Continue | None:
        """The promotion by the current rule."""
        return self._parts[-1].promote(final=final) if self._parts else None

    def keeps(self, trial: Trial) -> bool:
        """Whether the current rule may still resume the trial."""
        return bool(self._parts) and self._parts[-1].keeps(trial)

    def _spares(self) -> bool:
        """Whether an attempt that begins now is not judged.

        The share is one of steps, not of trials: judged trials end so soon that, with one trial in three not judged, those
        would soon occupy all workers.
        """
        if not self._parts or self._misleads:
            return True
        if self._decided_at or self.max_steps is None:
            return False
        spared = (self._num_spared + 1) * self.max_steps
        return spared <= _SPARED * (spared + self._num_judged_steps)

    def _part_of(self, trial: Trial) -> Promoter | None:
        attempt, part = self._judged_by.get(trial.number, (0, None))
        return part if attempt == trial.attempt else None

    def _choose(self) -> None:
        """Choose a rule for attempts that begin from now on, if there are more complete curves or a longer one."""
        if self._is_race:
            return
        num, last = len(self._yardsticks), self.max_steps or self._longest
        has_more = num >= max(_FEWEST, 2 * self._decided_at)
        is_longer = self._decided_at > 0 and self._rule is not None and last >= _GROWTH * self._rule.last
        if has_more or is_longer:
            self._decided_at = max(num, self._decided_at)
            first = self._first_rung(last)
            self._misleads = first is None
            if first is not None and self._rule != (rule := _Rule(last, first, self._saves)):
                self._take_halving(rule)

    def _rungs(self, last: int) -> list[int]:
        """The candidates for the first rung, below the last step."""
        steps = {ceil(last * float(self.eta) ** -k) for k in range(1, _MOST_RUNGS + 1)}
        return sorted(step for step in steps if step < last)

    def _first_rung(self, last: int) -> int | None:
        """The first rung at which the order of the yardsticks agrees well enough with that of their results; or None."""
        yardsticks = list(self._yardsticks.values())[-_MOST_COMPARED:]
        results = np.array([trial.losses for trial in yardsticks])
        for rung in self._rungs(last):
            early = np.array([_losses_at(trial, rung) for trial in yardsticks])
            if _agreement(early, results) >= _AGREEMENT:
                return rung
        return None

    def _take_halving(self, rule: _Rule) -> None:
        """Apply successive halving to attempts from now on."""
        self._rule = rule
        self._take(ASHA(eta=self.eta, min_steps=rule.first, max_steps=rule.last, promote=rule.promotes))

    def _take(self, unbound: ASHA | Race) -> None:
        """Adopt a rule, after showing it all trials so far at its rungs."""
        part = unbound.bind(self._goals, constraints=self._constraints)
        for trial in self._trials.values():
            view = changed(trial, reports=NO_REPORTS, status=Status.RUNNING)
            while (step := part.next_step(view)) is not None and step <= trial.reports[-1].step:
                view = changed(view, reports=trial.reports.up_to(_first_from(trial, step).step))
                part.observe(view)
            part.observe(trial)
        self._parts.append(part)


def _num_new_steps(trial: Trial, before: Trial | None) -> int:
    """The number of steps by which a trial's newest report goes beyond the newest one seen before."""
    known = 0 if before is None else before.reports[-1].step
    return max(0, trial.reports[-1].step - known)


def _first_from(trial: Trial, step: int) -> Report:
    """The first report at this step or beyond; the trial has one."""
    return trial.reports[bisect_left(trial.reports, step, key=lambda report: report.step)]


def _losses_at(trial: Trial, rung: int) -> Losses:
    """The losses with which a complete trial would have entered a rung; those of its result if it ended below."""
    assert trial.losses is not None
    if trial.reports[-1].step < rung:
        return trial.losses
    losses = _first_from(trial, rung).losses
    return trial.losses if losses is None else losses


def _agreement(early: Array, results: Array) -> float:
    """The share of pairs with different results in which the better trial was better early on too; ties count half.

    Args:
        early, results: (n, goals) losses. With several goals, "better" means dominating.
    """
    final = _better(results)
    if not final.any():
        return 1.0  # all results are equal: early values cannot mislead
    then = _better(early)
    return float(0.5 + 0.5 * (then[final].mean() - then.T[final].mean()))


def _better(Y: Array) -> Array:
    """Which row dominates which, (n, n) of bool."""
    at_most = (Y[:, None] <= Y[None]).all(axis=2)
    better: Array = np.greater(at_most, np.transpose(at_most))
    return better
