"""Schedulers whose trials run on after the last rung, for ``stop_last_trials=False``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from raytune_hpo.facts import Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.schedulers.asha import ASHA
from raytune_hpo.schedulers.hyperband import Hyperband
from raytune_hpo.trial import Trial


class RunningOn:
    """``asha``, or ``hyperband`` with several brackets, with rungs up to a step at which no trial ends.

    Args:
        rungs_below: the step below which the rungs lie.
        min_steps: the first rung.
        eta: one trial in eta survives a rung.
        brackets: whether there are several.
    """

    version: ClassVar[int] = 1

    def __init__(self, *, rungs_below: int, min_steps: int = 1, eta: int = 3, brackets: bool = False) -> None:
        self.rungs_below, self.min_steps, self.eta, self.brackets = rungs_below, min_steps, eta, brackets
        kind = Hyperband if brackets else ASHA
        self._inner: Hyperband | ASHA = kind(eta=eta, min_steps=min_steps, max_steps=rungs_below)

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> RunningOn:
        """A fresh scheduler for one study."""
        bound = RunningOn(rungs_below=self.rungs_below, min_steps=self.min_steps, eta=self.eta, brackets=self.brackets)
        bound._inner = self._inner.bind(goals, constraints=constraints)
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """STOP if the newest report enters a rung and is not among its best 1/eta."""
        return self._inner.judge(trial)

    def observe(self, trial: Trial) -> None:
        """Enter the newest report into the rung that it reaches."""
        self._inner.observe(trial)

    def next_step(self, trial: Trial) -> int | None:
        """The first rung above the newest report."""
        return self._inner.next_step(trial)
