"""Seeds from numpy's global generator: Ray Tune's documentation has scripts repeat a search by ``np.random.seed``."""

from __future__ import annotations

import numpy as np


def seed_from_numpy() -> int:
    """A seed that is the same whenever a script has called ``np.random.seed`` with the same number before."""
    return int(np.random.randint(2**31))
