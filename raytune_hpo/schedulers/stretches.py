"""Stretches: a trial pauses at the step at which its sampler decides again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option
from raytune_hpo.protocols import Continue
from raytune_hpo.registry import shown
from raytune_hpo.trial import Trial


class Stretches:
    """Pauses a trial at the step that its sampler set; the sampler decides which trial is resumed.

    It compares nothing. Samplers that continue trials, such as ``freeze_thaw``, use it as their scheduler. A trial whose
    sampler set no step runs to its end.

    Args:
        max_steps: the last step of a trial, which is completed there; None: the objective decides.

    Raises:
        SpecError: max_steps < 1.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(self, *, max_steps: int | None = None) -> None:
        self.max_steps = None if max_steps is None else integer_option("stretches", "max_steps", max_steps, least=1)

    def bind(self, goals: Sequence[Goal]) -> Stretches:
        """A fresh Stretches for one study."""
        return Stretches(max_steps=self.max_steps)

    def judge(self, trial: Trial) -> Verdict:
        """PAUSE at the step that the sampler set, or beyond."""
        has_come = trial.until is not None and trial.reports and trial.reports[-1].step >= trial.until
        return Verdict.PAUSE if has_come else Verdict.CONTINUE

    def observe(self, trial: Trial) -> None:
        """Remember nothing: the trial itself holds the step that its sampler set."""

    def next_step(self, trial: Trial) -> int | None:
        """The step that the sampler set; the next step if the trial is beyond it."""
        if trial.until is None or not trial.reports:
            return trial.until
        return max(trial.until, trial.reports[-1].step + 1)

    def promote(self, *, final: bool) -> Continue | None:
        """None: the sampler decides which trial is resumed."""
        return None

    def keeps(self, trial: Trial) -> bool:
        """Whether the trial is paused, since any paused trial may be resumed."""
        return trial.status is Status.PAUSED
