"""Racing: trials are compared on the inputs they share, and those that are significantly worse are eliminated.

Birattari, Stuetzle, Paquete, Varrentrapp: A Racing Algorithm for Configuring Metaheuristics. GECCO 2002 (the test).
Lopez-Ibanez, Dubois-Lacoste, Perez Caceres, Birattari, Stuetzle: The irace package. Operations Research Perspectives 3,
2016, section 3.1 (the first test after five inputs). Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for
General Algorithm Configuration. LION 5, 2011, section 3 (a challenger gets more inputs only while it is not worse).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import Goal, to_losses
from raytune_hpo.numerics.paired_tests import behind_best
from raytune_hpo.numerics.pareto import fronts
from raytune_hpo.options import integer_option, share_option
from raytune_hpo.protocols import Continue
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.ladder import Entry
from raytune_hpo.schedulers.ranking import ONE_LOSS, Criteria, newest_scored
from raytune_hpo.schedulers.rungs import Ended, Rung
from raytune_hpo.trial import Trial

_ETA = 3  # while new trials begin, one trial in this many continues after a block
_MOST_COMPARED = 500  # the number of newest trials that are compared


class Race:
    """Tries each configuration on a few inputs, and on more only if it is not significantly worse than the best.

    Step k of a trial is the k-th of its inputs, seeds or folds, in an order that is the same for all trials; the trial
    reports the mean so far. After each block of ``first`` inputs a trial pauses and is compared with all others that have
    finished the block and are still in the race, on the inputs that they share. How hard an input is does not matter,
    since all have had the same inputs. A trial that is significantly worse than the best is eliminated: by a Friedman test
    with post-hoc comparisons among three or more trials, by a paired t-test between two. With several metrics, trials are
    ranked on each input by their Pareto fronts. A trial whose means break an outcome constraint eliminates none that keeps
    them, and is the last to continue.

    While new trials begin, the best third of those that have finished a block continue with the next one. When no new
    trial may begin, all that are still in the race continue, block by block, until they are eliminated or have had all
    inputs. At the end, if no trial has completed, the best of those with the most inputs resumes until one completes.
    Results that break an outcome constraint do not count there, as long as a trial is paused that is not known to break any.

    Args:
        first: the number of inputs before trials are compared for the first time, and between two comparisons.
        alpha: the significance level: how often a comparison may find a difference where there is none.
        max_steps: the number of inputs; a trial is completed with the last one. None: as many as the objective has.

    Raises:
        SpecError: first < 2; alpha outside (0, 1); max_steps not above ``first``.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(self, *, first: int = 5, alpha: float = 0.05, max_steps: int | None = None) -> None:
        self.first = integer_option("race", "first", first, least=2)
        self.alpha = share_option("race", "alpha", alpha)
        self.max_steps = None if max_steps is None else integer_option("race", "max_steps", max_steps, least=2)
        if self.max_steps is not None and self.max_steps <= self.first:
            raise SpecError(
                f"race needs max_steps > first, or there is nothing to compare before the end, got max_steps={max_steps}, "
                f"first={first}"
            )
        self._goals: Sequence[Goal] = ()
        self._criteria = ONE_LOSS
        self._blocks: dict[int, Rung] = {}  # by the last step of each block
        self._values: dict[int, Array] = {}  # by trial in the race, on each input of the blocks that it has finished
        self._breaking: set[int] = set()  # trials whose newest means break an outcome constraint
        self._out: set[int] = set()
        self._paused_at: dict[int, int] = {}
        self._is_winding_down = False  # whether trials continue that would not while new ones begin
        self._ended = Ended(self._criteria)

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> Race:
        """A fresh Race for one study."""
        bound = Race(first=self.first, alpha=self.alpha, max_steps=self.max_steps)
        bound._goals, bound._criteria = tuple(goals), Criteria(len(goals), constraints)
        bound._ended = Ended(bound._criteria)
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """PAUSE if the newest report ends a block, unless the trial has been resumed from there before."""
        entry = self._entry(trial)
        if entry is None or (entry.step in self._blocks and trial.number in self._blocks[entry.step].promoted):
            return Verdict.CONTINUE
        return Verdict.PAUSE

    def observe(self, trial: Trial) -> None:
        """Compare a trial that has finished a block with the others, and keep track of starts, pauses, resumes and ends."""
        number = trial.number
        self._ended.observe(trial)
        if trial.status is Status.PAUSED:
            scored = newest_scored(trial)
            if scored is not None and (block := self._last_end(scored.step)) in self._blocks:
                self._paused_at[number] = block
                if number not in self._out:
                    self._blocks[block].pause(number)
        elif trial.status is Status.RUNNING:
            if number in self._paused_at:
                self._go_on(number)
            self._is_winding_down &= trial.attempt > 1 or bool(trial.reports)
            if (entry := self._entry(trial)) is not None:
                self._enter(trial, entry)
        elif trial.status.is_finished and trial.status is not Status.COMPLETED:
            self._leave(number)
            self._paused_at.pop(number, None)

    def next_step(self, trial: Trial) -> int | None:
        """The end of the trial's current block; the next step if that end was passed without losses."""
        scored = newest_scored(trial)
        end = self.first if scored is None else self._last_end(scored.step) + self.first
        if self.max_steps is not None and end >= self.max_steps:
            return None
        return max(end, trial.reports[-1].step + 1) if trial.reports else end

    def promote(self, *, final: bool) -> Continue | None:
        """The best trial in the race that may be resumed.

        While new trials begin, those with the most inputs come first; afterwards block by block, so that no trial gets
        more inputs if it may still be eliminated by trials that have yet to finish its block.
        """
        everyone = final or self._is_winding_down
        for end in sorted(self._blocks, reverse=not everyone):
            best = self._blocks[end].best_paused()
            if best is not None and (everyone or self._has_room(end)):
                return self._continued(best, end)
        if final and (last := self._last_hope()) is not None:
            return self._continued(last, self._paused_at[last])
        return None

    def keeps(self, trial: Trial) -> bool:
        """Whether a paused trial is still in the race, or the last hope for a result."""
        if trial.number not in self._paused_at:
            return False
        return trial.number not in self._out or trial.number == self._last_hope()

    # -------------------------------------------------------------------------------------------- blocks

    def _last_end(self, step: int) -> int:
        """The end of the last block that is finished at a step; 0 before the first."""
        end = step // self.first * self.first
        return (
            end if self.max_steps is None or end < self.max_steps else (self.max_steps - 1) // self.first * self.first
        )

    def _entry(self, trial: Trial) -> Entry | None:
        """The block that the newest report ends, and its losses; None if it ends none or has no losses."""
        newest = trial.reports[-1] if trial.reports else None
        if newest is None or newest.losses is None or newest.step == trial.from_step:
            return None
        before = newest_scored(trial, before=len(trial.reports) - 1)
        end = self._last_end(newest.step)
        return (
            None if end == 0 or (before is not None and before.step >= end) else Entry(end, self._criteria.row(newest))
        )

    def _has_room(self, end: int) -> bool:
        return len(self._blocks[end].promoted) < len(self._blocks[end]) // _ETA

    def _continued(self, number: int, end: int) -> Continue:
        until = end + self.first
        return Continue(number, until if self.max_steps is None else min(until, self.max_steps))

    def _last_hope(self) -> int | None:
        """The paused trial to finish if no result counts, in the race or not; None if there is none, or a result counts.

        Those that are not known to break a constraint come first, then those with the most inputs, then the best of these.
        """
        if not self._paused_at:
            return None

        def place(number: int) -> tuple[bool, int, int]:
            end = self._paused_at[number]
            block = self._blocks[end]
            return self._criteria.is_broken(block.row_of(number)), -end, block.num_before(number)

        last = min(self._paused_at, key=place)
        row = self._blocks[self._paused_at[last]].row_of(last)
        return None if self._ended.has_rival_of(row) else last

    # -------------------------------------------------------------------------------------------- the race

    def _enter(self, trial: Trial, entry: Entry) -> None:
        """Enter a trial that has finished a block, and eliminate those that are now significantly worse than the best."""
        number, end = trial.number, entry.step
        block = self._blocks.setdefault(end, Rung(self._criteria))
        block.put(number, entry.row)
        if trial.reports[-1].verdict is Verdict.CONTINUE:
            block.promoted.add(number)
        if number in self._out:
            return
        self._values[number] = values_by_step(trial, self._goals)
        (self._breaking.add if self._criteria.is_broken(entry.row) else self._breaking.discard)(number)
        field = sorted(other for other, values in self._values.items() if len(values) > end)[-_MOST_COMPARED:]
        behind = self._behind([other for other in field if other not in self._breaking], end)
        if self._breaking:
            behind |= self._behind(field, end) & self._breaking
        for other in behind:
            self._leave(other)

    def _behind(self, field: Sequence[int], end: int) -> set[int]:
        """The trials that are significantly worse than the best of these, on the inputs of the blocks up to an end."""
        if not field:
            return set()
        V = np.array([self._values[other][: end + 1] for other in field])
        shared = ~np.isnan(V).any(axis=(0, 2))
        worse = behind_best(self._ranked(V[:, shared]), self.alpha)
        return {other for other, is_worse in zip(field, worse, strict=True) if is_worse}

    def _ranked(self, V: Array) -> Array:
        """One number for each trial and input: its loss or, with several goals, its Pareto front."""
        ranked: Array
        if V.shape[2] == 1:
            ranked = V[:, :, 0]
            return ranked
        by_input = [fronts(V[:, column]) for column in range(V.shape[1])]
        ranked = np.array(by_input, dtype=float).reshape(-1, len(V)).T
        return ranked

    def _go_on(self, number: int) -> None:
        end = self._paused_at.pop(number)
        self._is_winding_down |= not self._has_room(end)
        self._blocks[end].leave(number, promoted=True)

    def _leave(self, number: int) -> None:
        """Take a trial out of the race."""
        self._out.add(number)
        self._values.pop(number, None)
        if number in self._paused_at:
            self._blocks[self._paused_at[number]].leave(number, promoted=False)


def values_by_step(trial: Trial, goals: Sequence[Goal]) -> Array:
    """A trial's losses on each of its inputs (steps, goals), step 0 included; NaN where it has none.

    If a report does not give the step's own values, they are computed from the means before and after it; steps that were
    not reported are merged into the next reported one.
    """
    values = np.full(((trial.last_step or 0) + 1, len(goals)), np.nan)
    last_step, last_mean = 0, np.zeros(len(goals))
    for report in trial.reports:
        if report.losses is None:
            continue
        mean, own = np.array(report.losses), to_losses(report.own, goals) if report.own else None
        if own is not None:
            values[report.step] = own
        elif report.step > last_step:
            values[report.step] = _own_value(report.step, mean, last_step, last_mean)
        last_step, last_mean = report.step, mean
    return values


def _own_value(step: int, mean: Array, last_step: int, last_mean: Array) -> Array:
    """The mean of the inputs after the last step, from the means of all up to there and of all up to this step."""
    # Divided by a power of two, which changes no other digit: many times 1e308 is infinite.
    _, exponent = np.frexp(np.maximum(np.abs(mean), np.abs(last_mean)))
    own = (step * np.ldexp(mean, -exponent) - last_step * np.ldexp(last_mean, -exponent)) / (step - last_step)
    with np.errstate(over="ignore"):
        most = np.finfo(np.float64).max
        return np.asarray(np.clip(np.ldexp(own, exponent), -most, most))
