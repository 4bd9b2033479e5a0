"""The contract of appliers: apply a configuration to a running system, read back what it runs, and measure it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from raytune_hpo.display.text import cut
from raytune_hpo.errors import HpoError

SHOWN = 300  # characters of what a program or a server has said, in messages

Measurement = tuple[Mapping[str, float], Mapping[str, float]]  # metrics, context
Bounds = Mapping[str, tuple[float, float]]  # by metric, the lowest and the highest value that few requests leave open


def numbers(what: str, said: Any, *, finite: bool = True) -> dict[str, float]:
    """What somebody says to have measured, as floats by name. None and NaN are left out: they say that there was nothing.

    Args:
        what: who says it, for the message.
        finite: whether infinity is refused, too.

    Raises:
        HpoError: something is not a number, or not a mapping of names and numbers.
    """
    if not isinstance(said, Mapping):
        raise HpoError(f"{what} gives numbers by name, got {said!r}")
    found = {}
    for name, value in said.items():
        if value is None:
            continue
        is_number = isinstance(value, (Real, Decimal)) or getattr(value, "ndim", None) == 0  # arrays without axes, too
        if not is_number or (finite and math.isinf(value)):
            raise HpoError(f"{what} gives {'finite ' if finite else ''}numbers, got {name}={value!r}")
        if not math.isnan(value):
            found[name] = float(value)
    return found


def json_said(who: str, text: str) -> dict[str, Any]:
    """The JSON object that a program or a server has said.

    Args:
        who: who says it and how, for the message, like "read prints".

    Raises:
        HpoError: it is something else.
    """
    with suppress(ValueError):
        if isinstance(said := json.loads(text), dict):
            return said
    raise HpoError(f"{who} a JSON object, got {cut(text.strip(), SHOWN)!r}")


def is_running(read: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether what a group reports is a configuration, judged by that configuration's parameters.

    Reports come from files, programs and other hosts: a tuple comes back as a list, and a float may lose its last digits.
    """
    return all(name in read and is_same_value(read[name], value) for name, value in config.items())


def is_same_value(read: Any, value: Any) -> bool:
    """Whether a value that was read back is the one that was applied."""
    if isinstance(value, float) and isinstance(read, (int, float)):
        return math.isclose(read, value, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(value, (list, tuple)) and isinstance(read, (list, tuple)):
        return len(read) == len(value) and all(map(is_same_value, read, value))
    return bool(read == value)


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
        """The metrics of a group and the context, from ``start`` to ``end`` in epoch seconds; all are numbers.

        They must account for failures: requests without an answer have no latency, so a mean latency hides them. What could
        not be measured is left out, or None.
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
