"""The arms of a portfolio: their names, their input, and the records of their trials.

X  (n, d)  rows of the unit cube; NaN where a parameter is not active
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raytune_hpo import registry
from raytune_hpo.arrays import Array
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Sampler
from raytune_hpo.samplers.history import Observed
from raytune_hpo.trial import Trial

ARM, OWN = "arm", "own"  # keys in ``meta``: the arm that made the suggestion, and the arm's own ``meta``

SIX_ARMS: tuple[Mapping[str, Any], ...] = tuple(
    {"name": name, "acquisition": acquisition, "transform": "hybrid_log_error", **more}
    for name, more in (("gp", {}), ("rf", {"random_share": 0.0}))
    for acquisition in ("ei", "pi", "ucb")
)


@dataclass(frozen=True)
class ArmRecord:
    """A portfolio's record of a finished trial: its arm, if one suggested it, and its seconds; NaN if not known."""

    arm: int | None
    took_s: float
    completed_in_s: float  # NaN for trials that were stopped or failed, too

    @classmethod
    def of(cls, trial: Trial, arm: int | None) -> ArmRecord:
        took = np.nan if trial.duration_s is None else trial.duration_s
        return cls(arm, took, took if trial.status is Status.COMPLETED else np.nan)


@dataclass(frozen=True)
class ArmInput:
    """The input of arms, depending on the failover.

    Attributes:
        observed: the trials that the arms learn from.
        running: (p, d) the rows that the arms treat as running.
        finished: (n, d) rows of the finished trials.
        pending: (q, d) rows of the pending trials.
    """

    observed: Observed
    running: Array
    finished: Array
    pending: Array

    @classmethod
    def of(cls, failover: str, finished: Observed, pending: Sequence[Trial], rows: Array) -> ArmInput:
        """With "premature", trials that have reported count as finished with their last report.

        Args:
            rows: (q, d) of the pending trials.
        """
        if failover != "premature":
            return cls(finished, rows[:0], finished.X, rows)
        interim = [trial.last_losses for trial in pending]
        reported = np.array([losses is not None and not any(map(math.isnan, losses)) for losses in interim], dtype=bool)
        if not reported.any():
            return cls(finished, rows, finished.X, rows)
        Y = np.array([losses for losses, has in zip(interim, reported, strict=True) if has], dtype=np.float64)
        both = Observed(np.concatenate([finished.X, rows[reported]]), np.concatenate([finished.Y, Y]))
        return cls(both, rows[~reported], finished.X, rows)

    @property
    def known(self) -> Array:
        return np.concatenate([self.finished, self.pending])


def with_own_meta(arm: int, labels: Sequence[str], trial: Trial) -> Trial:
    """A trial with the meta that this arm gave it; with empty meta, if another arm suggested it."""
    return replace(trial, meta=trial.meta.get(OWN, {}) if trial.meta.get(ARM) == labels[arm] else {})


def labels_of(arms: Sequence[Sampler]) -> tuple[str, ...]:
    """The labels of arms: name and acquisition, with a number where these are not unique."""
    parts = [registry.describe("sampler", arm) for arm in arms]
    names = ["-".join(str(word) for word in (part.name, part.options.get("acquisition")) if word) for part in parts]
    return tuple(
        name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)
    )
