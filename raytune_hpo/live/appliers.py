"""What a live study needs of a running system: to apply a configuration, to read back what runs, and to measure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from raytune_hpo.errors import HpoError

Measurement = tuple[Mapping[str, float], Mapping[str, float]]  # metrics, context


class StaleChange(HpoError):
    """A change was refused because the applier has seen a newer one: there are two controllers, or a message was late."""


class Applier(Protocol):
    """Changes and measures a running system. Groups are ``"control"`` and ``"canary"``.

    Whatever a method raises is taken for what it is: nothing is known, so the study goes back and freezes.
    """

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        """Have a group run a configuration; return when it does. Applied twice, it makes no difference.

        Args:
            seq: grows with every decision. What is older than the newest that was seen has to be refused.

        Raises:
            StaleChange: a newer change has been seen.
        """
        ...

    def read(self, group: str) -> Mapping[str, Any]:
        """What a group runs, as it says itself; parameters that nobody tunes may be missing."""
        ...

    def measure(self, group: str, start: float, end: float) -> Measurement:
        """The metrics of a group and the context, from ``start`` to ``end`` in epoch seconds.

        What failed has to be among them: requests without an answer have no latency, and would be forgotten.
        """
        ...


@runtime_checkable
class Splitter(Protocol):
    """An applier that can change the canary group's share of the traffic."""

    def split(self, share: float, seq: int) -> None:
        """Give the canary group this share. Raises StaleChange, as ``apply`` does."""
        ...


@runtime_checkable
class Sitter(Protocol):
    """An applier that keeps something in the folder of its live study."""

    def sit(self, folder: Path) -> None:
        """Take this folder; called before anything else."""
        ...
