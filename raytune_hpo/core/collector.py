"""Fewer garbage collections, while objects are created that form no cycles."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_THRESHOLDS = (100_000, 20, 100)


@contextlib.contextmanager
def rarely_collected() -> Iterator[None]:
    """Context manager in which Python collects rarely: facts and trials form no cycles, and scanning them takes long."""
    before = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
