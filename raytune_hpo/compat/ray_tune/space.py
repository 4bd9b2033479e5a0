"""Domains by Ray Tune's names, and ``sample_from`` with Ray Tune's conventions for its functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from raytune_hpo import space
from raytune_hpo.space import (
    choice,
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


def grid_search(values: Iterable[Any]) -> dict[str, list[Any]]:
    """An axis of the grid, in the form that scripts of Ray Tune also write and read: ``{"grid_search": [...]}``.

    Raises:
        SpaceError: the values are not listed, or one of them is listed twice.
    """
    return {"grid_search": list(space.grid_search(values).options)}


def sample_from(func: Callable[..., Any]) -> SampleFrom:
    """A value derived by a function without arguments, of the configuration, or of a spec that has ``.config``."""
    return SampleFrom(TuneFunction(func))
