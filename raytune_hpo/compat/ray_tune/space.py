"""Domains by Ray Tune's names, and ``sample_from`` with Ray Tune's conventions for its functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raytune_hpo.space import (
    choice,
    grid_search,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    uniform,
)
from raytune_hpo.space.dialects.ray_tune import TuneFunction
from raytune_hpo.space.functions import SampleFrom

__all__ = [
    "choice",
    "grid_search",
    "lograndint",
    "loguniform",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "sample_from",
    "uniform",
]


def sample_from(func: Callable[..., Any]) -> SampleFrom:
    """A value derived by a function without arguments, of the configuration, or of a spec that has ``.config``."""
    return SampleFrom(TuneFunction(func))
