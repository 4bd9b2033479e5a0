"""The density of the standard normal distribution."""

from __future__ import annotations

import math

from raytune_hpo.arrays import Array

LOG_SQRT_2PI = math.log(2 * math.pi) / 2


def log_density(u: Array) -> Array:
    return -(u**2) / 2 - LOG_SQRT_2PI
