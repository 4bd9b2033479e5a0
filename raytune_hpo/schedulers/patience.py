"""Patience: stops a trial that no longer improves.

Prechelt: Early Stopping - But When? Neural Networks: Tricks of the Trade, 1998 (the class of stopping criteria).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from raytune_hpo.facts import Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option, number_option
from raytune_hpo.registry import shown
from raytune_hpo.trial import Trial


class Patience:
    """Stops a trial whose last reports brought no improvement. A trial is compared only with itself.

    With several metrics, a report is an improvement if one of them improves.

    Args:
        patience: how many reports in a row may bring no improvement.
        min_delta: by how much a report must be better to count as an improvement, in the metric's units.
        min_steps: no trial is stopped before this step.

    Raises:
        SpecError: patience < 1, min_steps < 1, or min_delta < 0.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(self, *, patience: int = 5, min_delta: float = 0.0, min_steps: int = 1) -> None:
        self.patience = integer_option("patience", "patience", patience, least=1)
        self.min_delta = number_option("patience", "min_delta", min_delta, least=0)
        self.min_steps = integer_option("patience", "min_steps", min_steps, least=1)

    def bind(self, goals: Sequence[Goal]) -> Patience:
        """A fresh Patience for one study."""
        return Patience(patience=self.patience, min_delta=self.min_delta, min_steps=self.min_steps)

    def judge(self, trial: Trial) -> Verdict:
        """STOP if the newest ``patience`` reports brought no improvement."""
        rows = [report.losses for report in trial.reports if report.losses is not None]
        if not rows or trial.reports[-1].losses is None or trial.reports[-1].step < self.min_steps:
            return Verdict.CONTINUE
        earlier, newest = rows[: -self.patience], rows[-self.patience :]
        if not earlier:
            return Verdict.CONTINUE
        best = [min(column) for column in zip(*earlier, strict=True)]
        better = any(loss < least - self.min_delta for row in newest for loss, least in zip(row, best, strict=True))
        return Verdict.CONTINUE if better else Verdict.STOP

    def observe(self, trial: Trial) -> None:
        """Remember nothing: a trial is judged by its own reports alone."""

    def next_step(self, trial: Trial) -> int | None:
        """The next step, or the first at which a trial may be stopped."""
        return max(self.min_steps, trial.reports[-1].step + 1) if trial.reports else self.min_steps
