"""The ladder of rungs at geometrically growing steps, and the position of a trial on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from raytune_hpo.schedulers.ranking import ONE_LOSS, Criteria, Row, newest_scored
from raytune_hpo.trial import Trial


class Entry(NamedTuple):
    """A trial's entry into a rung: the rung's step, and what the trial is ranked by there."""

    step: int
    row: Row


@dataclass(frozen=True)
class Ladder:
    """Rungs at the steps min_steps, min_steps * eta, min_steps * eta**2 ..., all below max_steps, if there is one."""

    eta: int
    min_steps: int
    max_steps: int | None = None
    criteria: Criteria = ONE_LOSS

    def entry(self, trial: Trial) -> Entry | None:
        """The highest rung that the trial first reaches with its newest report; None if there is none, or no losses."""
        newest = trial.reports[-1] if trial.reports else None
        if newest is None or newest.losses is None:
            return None
        before = newest_scored(trial, before=len(trial.reports) - 1)
        rung = self.reached(newest.step)
        if rung is None or (before is not None and before.step >= rung):
            return None
        return Entry(rung, self.criteria.row(newest))

    def next_step(self, trial: Trial) -> int | None:
        """The first rung above the newest report; the next step if that report has no losses and so entered no rung."""
        if not trial.reports:
            return self.min_steps
        scored = newest_scored(trial)
        rung = self.min_steps if scored is None else self.above(scored.step)
        return None if rung is None else max(rung, trial.reports[-1].step + 1)

    def reached(self, step: int) -> int | None:
        """The highest rung at or below a step; None below the first."""
        if step < self.min_steps:
            return None
        rung = self.min_steps
        while rung * self.eta <= step and not self._is_over(rung * self.eta):
            rung *= self.eta
        return rung

    def above(self, step: int) -> int | None:
        """The lowest rung above a step; None above the last one."""
        reached = self.reached(step)
        rung = self.min_steps if reached is None else reached * self.eta
        return None if reached is not None and self._is_over(rung) else rung

    def stop_after(self, rung: int) -> int | None:
        """The step up to which a trial promoted from a rung runs: the next rung, or its last step."""
        following = self.above(rung)
        return self.max_steps if following is None else following

    def rungs(self) -> Iterator[int]:
        """All rungs, the lowest first; endless without max_steps."""
        rung: int | None = self.min_steps
        while rung is not None:
            yield rung
            rung = self.above(rung)

    def _is_over(self, step: int) -> bool:
        return self.max_steps is not None and step >= self.max_steps
