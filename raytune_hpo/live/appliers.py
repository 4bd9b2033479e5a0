"""The contract of appliers: apply a configuration to a running system, read back what it runs, and measure it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from raytune_hpo.errors import HpoError

Measurement = tuple[Mapping[str, float], Mapping[str, float]]  # metrics, context
Bounds = Mapping[str, tuple[float, float]]  # by metric, the lowest and the highest value that few requests leave open


class StaleChange(HpoError):
    """A change was refused because the applier has seen a newer one: there are two controllers, or a message was late."""


class Applier(Protocol):
    """Changes and measures a running system. Groups are ``"control"`` and ``"canary"``.

    If a method raises, the state of the system is unknown, so the study rolls back and freezes.
    """

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        """Make a group run a configuration, and return when it does. Idempotent.

        Args:
            seq: grows with every decision. A change older than the newest one must be refused.

        Raises:
            StaleChange: a newer change has been seen.
        """
        ...

    def read(self, group: str) -> Mapping[str, Any]:
        """The configuration that a group reports to run; parameters that are not tuned may be missing."""
        ...

    def measure(self, group: str, start: float, end: float) -> Measurement:
        """The metrics of a group and the context, from ``start`` to ``end`` in epoch seconds.

        They must account for failures: requests without an answer have no latency, so a mean latency hides them.
        """
        ...


@runtime_checkable
class Splitter(Protocol):
    """An applier that can change the canary group's share of the traffic."""

    def split(self, share: float, seq: int) -> None:
        """Give the canary group this share. Raises StaleChange, as ``apply`` does."""
        ...


@runtime_checkable
class Bounding(Protocol):
    """An applier that knows how much its measurements of a short time can say."""

    def bounds(self, group: str, start: float, end: float, level: float) -> Bounds:
        """Confidence bounds of metrics: the true value is below the lower one, or above the upper one, with a probability
        of at most ``level`` each. Metrics that are left out count as exact.
        """
        ...


@runtime_checkable
class Sitter(Protocol):
    """An applier that keeps files in the folder of its live study."""

    def sit(self, folder: Path) -> None:
        """Use this folder; called before all other methods."""
        ...
