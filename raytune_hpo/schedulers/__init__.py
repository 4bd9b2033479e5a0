"""Schedulers, which decide which trials continue: early-stopping rules, one per file."""

from __future__ import annotations

from typing import Any

from raytune_hpo.display.foreign_words import SCHEDULERS, no_attribute
from raytune_hpo.schedulers.asha import ASHA
from raytune_hpo.schedulers.auto import Auto
from raytune_hpo.schedulers.extrapolation import Extrapolation
from raytune_hpo.schedulers.hyperband import Hyperband
from raytune_hpo.schedulers.median import Median
from raytune_hpo.schedulers.pasha import PASHA
from raytune_hpo.schedulers.patience import Patience
from raytune_hpo.schedulers.race import Race
from raytune_hpo.schedulers.segments import Segments
from raytune_hpo.schedulers.stretches import Stretches
from raytune_hpo.schedulers.successive_halving import SuccessiveHalving
from raytune_hpo.schedulers.tercet import Tercet
from raytune_hpo.schedulers.threshold import Threshold

__all__ = [
    "ASHA",
    "PASHA",
    "Auto",
    "Extrapolation",
    "Hyperband",
    "Median",
    "Patience",
    "Race",
    "Segments",
    "Stretches",
    "SuccessiveHalving",
    "Tercet",
    "Threshold",
]


def __getattr__(name: str) -> Any:
    raise no_attribute(f"module {__name__!r}", name, SCHEDULERS, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
