"""ASHA: asynchronous successive halving, in its stopping variant.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar: A System for Massively Parallel Hyperparameter
Tuning. MLSys 2020, section 3 and algorithm 2. The paper pauses trials at a rung and promotes the best 1/eta of them;
the stopping variant, which needs no checkpoints, lets a trial run on and stops it where it is not among that share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option
from raytune_hpo.schedulers.ranking import Losses, Ranking, newest_scored, ranking
from raytune_hpo.trial import Trial


class ASHA:
    """Stops a trial that is not in the best 1/eta at a rung (asynchronous successive halving).

    Rungs stand at the steps min_steps, min_steps * eta, min_steps * eta**2 ... A trial's first report at a rung's step
    or beyond enters that rung; where one report passes several rungs, it enters the highest: in the lower ones it would
    be held against trials that had fewer steps. The trial is stopped if, of the n entries with its own, at least
    n // eta others are strictly better: with several metrics, in an earlier Pareto front. Among fewer than eta entries
    nobody is stopped, nor are equals told apart.

    Args:
        eta: one trial in eta survives a rung.
        min_steps: the first rung: no trial is stopped before.
        max_steps: the last step of a trial, which is completed there; there is no rung at this step or above. None: rungs
            without end.

    Raises:
        SpecError: eta < 2, min_steps < 1, or max_steps not above min_steps.
    """

    version: ClassVar[int] = 1

    def __init__(self, *, eta: int = 3, min_steps: int = 1, max_steps: int | None = None) -> None:
        self.eta = integer_option("asha", "eta", eta, least=2)
        self.min_steps = integer_option("asha", "min_steps", min_steps, least=1)
        self.max_steps = None if max_steps is None else integer_option("asha", "max_steps", max_steps, least=1)
        if self.max_steps is not None and self.max_steps <= self.min_steps:
            raise SpecError(f"asha needs max_steps > min_steps, got max_steps={max_steps}, min_steps={min_steps}")
        self._rungs: defaultdict[int, Ranking] = defaultdict(partial(ranking, 1))  # by the rung's step

    def bind(self, goals: Sequence[Goal]) -> ASHA:
        """A fresh ASHA for one study."""
        bound = ASHA(eta=self.eta, min_steps=self.min_steps, max_steps=self.max_steps)
        bound._rungs = defaultdict(partial(ranking, len(goals)))
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """STOP where the newest report enters a rung and is not among its best 1/eta."""
        entry = self._entry(trial)
        rung = None if entry is None else self._rungs.get(entry[0])
        if entry is None or rung is None:
            return Verdict.CONTINUE
        num_entries = rung.num_others(trial.number) + 1
        if num_entries < self.eta or rung.num_better(trial.number, entry[1]) < num_entries // self.eta:
            return Verdict.CONTINUE
        return Verdict.STOP

    def observe(self, trial: Trial) -> None:
        """Enter the newest report into the rung that it reaches; a trial that starts over replaces what it left."""
        entry = self._entry(trial)
        if entry is not None:
            step, losses = entry
            self._rungs[step].put(trial.number, losses)

    def next_step(self, trial: Trial) -> int | None:
        """The first rung above the newest report; the next step where that report, lacking losses, entered none."""
        if not trial.reports:
            return self.min_steps
        scored = newest_scored(trial)
        reached = None if scored is None else self._reached(scored.step)
        rung = self.min_steps if reached is None else reached * self.eta
        return None if scored is not None and self._is_over(rung) else max(rung, trial.reports[-1].step + 1)

    def _entry(self, trial: Trial) -> tuple[int, Losses] | None:
        """The rung that the newest report is the trial's first to reach, and its losses there."""
        newest = trial.reports[-1] if trial.reports else None
        if newest is None or newest.losses is None:
            return None
        before = newest_scored(trial, before=len(trial.reports) - 1)
        rung = self._reached(newest.step)
        if rung is None or (before is not None and before.step >= rung):
            return None
        return rung, newest.losses

    def _reached(self, step: int) -> int | None:
        """The highest rung at or below the step."""
        if step < self.min_steps:
            return None
        rung = self.min_steps
        while rung * self.eta <= step and not self._is_over(rung * self.eta):
            rung *= self.eta
        return rung

    def _is_over(self, step: int) -> bool:
        return self.max_steps is not None and step >= self.max_steps
