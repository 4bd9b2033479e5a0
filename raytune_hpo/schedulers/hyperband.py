"""Asynchronous Hyperband: several ASHA brackets that begin to judge at different steps.

Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar: Hyperband. JMLR 18(185), 2018 (the brackets). Li et al.: A System for
Massively Parallel Hyperparameter Tuning. MLSys 2020, section 3 (asynchronous halving, also in brackets).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import budget_options, flag_option
from raytune_hpo.protocols import Continue
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.asha import ASHA
from raytune_hpo.schedulers.ranking import ONE_LOSS, Criteria
from raytune_hpo.schedulers.rungs import Ended
from raytune_hpo.trial import Trial


class Hyperband:
    """Spreads trials over brackets, some of which stop trials early and others late (asynchronous Hyperband).

    Bracket s is an ASHA whose first rung is at min_steps * eta**s; the last bracket stops no trial. With ``promote``, the
    brackets pause and promote. Trials are compared within their bracket. Trials go to brackets by their number, in
    proportions that give each bracket about the same budget. A sampler may choose the bracket instead: ``bracket`` in the
    trial's ``meta``, from 0 for the one that stops earliest.

    Args:
        max_steps: the last step of a trial, which is completed there.
        min_steps: the first rung of the first bracket.
        eta: one trial in eta survives a rung.
        promote: pause and promote trials instead of stopping them; see ASHA.
        delay: promote later; see ASHA. It needs ``promote``.

    Raises:
        SpecError: no max_steps, or not above min_steps; min_steps < 1; eta < 2; ``delay`` without ``promote``.
    """

    version: ClassVar[int] = 1
    kept_as: ClassVar[Mapping[str, str]] = {"promote": "promotes"}
    __repr__ = shown

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        min_steps: int = 1,
        eta: int = 3,
        promote: bool = False,
        delay: bool = False,
    ) -> None:
        self.max_steps, self.min_steps, self.eta = budget_options("hyperband", max_steps, min_steps, eta)
        self.promotes = flag_option("hyperband", "promote", promote)
        self.delay = flag_option("hyperband", "delay", delay)
        if delay and not promote:
            raise SpecError(f"hyperband needs promote=True for delay=True, got {promote=}")
        self._ended = Ended(ONE_LOSS)
        self._brackets = self._made()
        self._deal = _Deal([bracket_size(s, len(self._brackets), eta) for s in range(len(self._brackets))])

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> Hyperband:
        """A fresh Hyperband for one study."""
        bound = Hyperband(
            max_steps=self.max_steps,
            min_steps=self.min_steps,
            eta=self.eta,
            promote=self.promotes,
            delay=self.delay,
        )
        ended = bound._ended = Ended(Criteria(len(goals), constraints))
        bound._brackets = [
            bracket.bind(goals, constraints=constraints).as_bracket(ended) for bracket in bound._brackets
        ]
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """The verdict of the trial's bracket."""
        return self._bracket(trial).judge(trial)

    def observe(self, trial: Trial) -> None:
        """Pass the trial to its bracket."""
        self._ended.observe(trial)
        self._bracket(trial).observe(trial)

    def next_step(self, trial: Trial) -> int | None:
        """The next rung of the trial's bracket."""
        return self._bracket(trial).next_step(trial)

    def promote(self, *, final: bool) -> Continue | None:
        """The promotion of the first bracket that has one.

        At the end, the best paused trial of a rung resumes, from the highest rung of all brackets on, if no better trial has
        been promoted from there, or has completed in any bracket.
        """
        chosen = (bracket.promote(final=False) for bracket in self._brackets)
        due = next((choice for choice in chosen if choice is not None), None)
        if due is not None or not final:
            return due
        last = [choice for bracket in self._brackets if (choice := bracket.promote(final=True)) is not None]
        return max(last, key=lambda choice: choice.until or 0, default=None)

    def keeps(self, trial: Trial) -> bool:
        """Whether the trial's bracket may still promote it."""
        return self._bracket(trial).keeps(trial)

    def _bracket(self, trial: Trial) -> ASHA:
        said = trial.meta.get("bracket")
        if isinstance(said, int) and 0 <= said < len(self._brackets):
            return self._brackets[said]
        return self._brackets[self._deal.bracket_of(trial.number)]

    def _made(self) -> list[ASHA]:
        """The brackets, the one that stops earliest first."""
        assert self.max_steps is not None
        brackets, first = [], self.min_steps
        while first < self.max_steps:
            brackets.append(
                ASHA(eta=self.eta, min_steps=first, max_steps=self.max_steps, promote=self.promotes, delay=self.delay)
            )
            first *= self.eta
        return [*brackets, _Everyone(eta=self.eta)]


class _Everyone(ASHA):
    """The last bracket: its trials run to their last step."""

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> ASHA:
        return self  # it keeps nothing

    def judge(self, trial: Trial) -> Verdict:
        return Verdict.CONTINUE

    def observe(self, trial: Trial) -> None:
        pass

    def next_step(self, trial: Trial) -> int | None:
        return None


def bracket_size(s: int, num_brackets: int, eta: int) -> int:
    """The number of trials of bracket s in one round: ceil((s_max + 1) / (k + 1) eta^k) with k = s_max - s halvings.

    (Li et al. 2018, algorithm 1, whose brackets count down)
    """
    halvings = num_brackets - 1 - s
    return math.ceil(num_brackets * float(eta) ** halvings / (halvings + 1))


class _Deal:
    """The brackets of trials: in each round a bracket gets its share, spread evenly from the beginning.

    Args:
        sizes: the number of trials of each bracket in a round. A round may be longer than any study, so that only as much
            of it is dealt as has been asked for.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes, self._round = sizes, sum(sizes)
        self._dealt: list[int] = []
        self._counts = [0] * len(sizes)

    def bracket_of(self, number: int) -> int:
        """The bracket of a trial."""
        place = number % self._round
        while len(self._dealt) <= place:
            num = len(self._dealt) + 1
            shares = [num * size / self._round - count for size, count in zip(self._sizes, self._counts, strict=True)]
            behind = shares.index(max(shares))
            self._counts[behind] += 1
            self._dealt.append(behind)
        return self._dealt[place]
