"""Samplers, which decide what to try next: each connects trials to numerics; one method, one file."""

from __future__ import annotations

from typing import Any

from raytune_hpo.display.foreign_words import SAMPLERS, no_attribute
from raytune_hpo.samplers.auto import Auto
from raytune_hpo.samplers.bohb import BOHB
from raytune_hpo.samplers.cmaes import CMAES
from raytune_hpo.samplers.de import DE
from raytune_hpo.samplers.evolution import Evolution
from raytune_hpo.samplers.freeze_thaw import FreezeThaw
from raytune_hpo.samplers.gp import GP
from raytune_hpo.samplers.grid import Grid
from raytune_hpo.samplers.hyperopt import Hyperopt
from raytune_hpo.samplers.hypertune import HyperTune
from raytune_hpo.samplers.live import Live
from raytune_hpo.samplers.nsga2 import NSGA2
from raytune_hpo.samplers.nsga3 import NSGA3
from raytune_hpo.samplers.pb2 import PB2
from raytune_hpo.samplers.pbt import PBT
from raytune_hpo.samplers.portfolio import Portfolio
from raytune_hpo.samplers.random import Random
from raytune_hpo.samplers.rf import RF
from raytune_hpo.samplers.schedule import Schedule
from raytune_hpo.samplers.sobol import Sobol
from raytune_hpo.samplers.tpe import TPE

__all__ = [
    "BOHB",
    "CMAES",
    "DE",
    "GP",
    "NSGA2",
    "NSGA3",
    "PB2",
    "PBT",
    "RF",
    "TPE",
    "Auto",
    "Evolution",
    "FreezeThaw",
    "Grid",
    "HyperTune",
    "Hyperopt",
    "Live",
    "Portfolio",
    "Random",
    "Schedule",
    "Sobol",
]


def __getattr__(name: str) -> Any:
    raise no_attribute(f"module {__name__!r}", name, SAMPLERS, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
