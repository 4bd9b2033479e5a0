"""Seeds from numpy's global generator, by which Ray Tune's documentation makes searches reproducible."""

from __future__ import annotations

import numpy as np


def seed_from_numpy() -> int:
    """A seed drawn from numpy's global generator: the same after the same ``np.random.seed``."""
    return int(np.random.randint(2**31))
