"""Numbers that are not finite, for which JSON has no word: over HTTP they are ``{"$float": "nan"}``, "inf" or "-inf"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_WORDS = ("nan", "inf", "-inf")


def written(value: Any) -> Any:
    """A copy of the value in which JSON can hold every number."""
    if isinstance(value, Mapping):
        return {key: written(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [written(child) for child in value]
    return {"$float": repr(float(value))} if isinstance(value, float) and not math.isfinite(value) else value


def read(value: Any) -> Any:
    """The value that was ``written``; an object with any other word stays as it is."""
    if isinstance(value, dict):
        word = value.get("$float") if len(value) == 1 else None
        if isinstance(word, str) and word in _WORDS:
            return float(word)
        return {key: read(child) for key, child in value.items()}
    return [read(child) for child in value] if isinstance(value, list) else value


def read_metrics(metrics: Any) -> Any:
    """Metrics by name, each of whose values was ``written``."""
    return {name: read(value) for name, value in metrics.items()} if isinstance(metrics, dict) else metrics
