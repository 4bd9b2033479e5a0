"""The last call of a session: before it stops, running trials may save what they have done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.facts import Status

LAST_CALL_S = 3.0  # how long a study that stops waits for running trials to save


@dataclass(frozen=True)
class LastCall:
    """What a session waits for before it stops.

    Attributes:
        reason: why it stops.
        until: epoch seconds; it waits no longer.
        steps: the running trials that could save what they have reported: the step of each one's newest report, by number.
    """

    reason: str
    until: float
    steps: Mapping[int, int]

    @classmethod
    def of(cls, ledger: Ledger, reason: str, until: float) -> LastCall:
        return cls(reason, until, {trial.number: trial.last_step or 0 for trial in ledger.running() if trial.saves})

    def is_waited_for(self, ledger: Ledger, at: float) -> bool:
        """Whether there is time left, and one of the trials still runs and has no checkpoint of its step."""
        trials = (ledger.trials[number] for number in self.steps)
        return at < self.until and any(
            trial.status is Status.RUNNING and max(trial.checkpoints, default=-1) < self.steps[trial.number]
            for trial in trials
        )
