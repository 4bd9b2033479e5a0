"""Progress bars: hyperopt's own."""

from __future__ import annotations

from hyperopt.progress import (
    default_callback,
    no_progress_callback,
    tqdm_progress_callback,
)

__all__ = [
    "default_callback",
    "no_progress_callback",
    "tqdm_progress_callback",
]
