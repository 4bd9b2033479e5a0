"""The arms of a portfolio: what they are called, and what they get to see.

X  (n, d)  rows of the unit cube; NaN where a parameter is not active
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raytune_hpo import registry
from raytune_hpo.arrays import Array
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Sampler
from raytune_hpo.samplers.history import Observed
from raytune_hpo.trial import Trial

ARM, OWN = "arm", "own"  # keys in ``meta``: whose suggestion it is, and what that sampler put there itself

SIX_ARMS: tuple[Mapping[str, Any], ...] = tuple(
    {"name": name, "acquisition": acquisition, "transform": "hybrid_log_error", **more}
    for name, more in (("gp", {}), ("rf", {"random_share": 0.0}))
    for acquisition in ("ei", "pi", "ucb")
)


@dataclass(frozen=True)
class Told:
    """A told trial: its arm, if one had a hand in it, and its seconds; NaN where they are not known or not whole."""

    arm: int | None
    took_s: float
    completed_in_s: float

    @classmethod
    def of(cls, trial: Trial, arm: int | None) -> Told:
        took = np.nan if trial.duration_s is None else trial.duration_s
        return cls(arm, took, took if trial.status is Status.COMPLETED else np.nan)


@dataclass(frozen=True)
class Scene:
    """What arms look at, as the failover has it.

    Attributes:
        observed: what they learn from.
        running: (p, d) what they are told is running.
        told: (n, d) rows of the finished trials.
        avoided: (q, d) rows of the pending trials.
    """

    observed: Observed
    running: Array
    told: Array
    avoided: Array

    @classmethod
    def of(
        cls,
        failover: str,
        told: Observed,
        pending: Sequence[Trial],
        known: Array,
        encode: Callable[[Sequence[Trial]], Array],
    ) -> Scene:
        avoided = known[len(told) :]
        if failover != "premature":
            return cls(told, avoided[:0], told.X, avoided)
        interim = [trial.last_losses for trial in pending]
        said = np.array([losses is not None and not np.isnan(losses).any() for losses in interim], dtype=bool)
        if not said.any():
            return cls(told, avoided, told.X, avoided)
        Y = np.array([losses for losses, has in zip(interim, said, strict=True) if has])
        both = Observed(np.concatenate([told.X, avoided[said]]), np.concatenate([told.Y, Y]))
        return cls(both, avoided[~said], told.X, avoided)

    @property
    def known(self) -> Array:
        return np.concatenate([self.told, self.avoided])


def seen_by(arm: int, labels: Sequence[str], trial: Trial) -> Trial:
    """A trial with the meta that one arm gave it; with none, if another one suggested it."""
    return replace(trial, meta=trial.meta.get(OWN, {}) if trial.meta.get(ARM) == labels[arm] else {})


def labels_of(given: Sequence[Any], arms: Sequence[Sampler]) -> tuple[str, ...]:
    """What arms are called: name and acquisition, and a number where that is not enough."""
    parts = [registry.describe("sampler", arm) for arm in arms]
    names = ["-".join(str(word) for word in (part.name, part.options.get("acquisition")) if word) for part in parts]
    return tuple(
        name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)
    )
