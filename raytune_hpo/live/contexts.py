"""Classes of context: windows of one class are alike enough to share a promoted configuration."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

PREFIX = "context/"  # prefix of context columns among a window's metrics


def class_of(context: Mapping[str, float], columns: Mapping[str, tuple[float, ...] | None]) -> str:
    """The class of a context, as text: ``"rps=8"`` is the octave around 2 to the power of 8 requests a second.

    Args:
        columns: the edges of each column's classes; None for octaves.
    """
    return ",".join(f"{name}={_place(context[name], edges)}" for name, edges in columns.items() if name in context)


def _place(value: float, edges: tuple[float, ...] | None) -> int:
    if edges is not None:
        return bisect_right(edges, value)
    return round(math.log2(value)) if value > 0 else -1_000


def measured_context(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The context that was measured in a window, by column."""
    return {name.removeprefix(PREFIX): value for name, value in metrics.items() if name.startswith(PREFIX)}


def with_context(metrics: Mapping[str, float], context: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a window's trial: its measurements, and its context under prefixed names."""
    return {**metrics, **{f"{PREFIX}{name}": value for name, value in context.items()}}
