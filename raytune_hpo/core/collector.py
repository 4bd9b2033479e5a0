"""The garbage collector, where there is nothing for it to find."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_THRESHOLDS = (100_000, 20, 100)


@contextlib.contextmanager
def rarely_collected() -> Iterator[None]:
    """Facts and trials form no cycles and stay: walking through them at Python's own pace costs a sixth to a third."""
    before = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
