"""Optuna's distributions."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from raytune_hpo.space.choices import Choice
from raytune_hpo.space.numeric import Float, Int
from raytune_hpo.space.rounded import Binned


def translate(thing: Any) -> Any:
    """The translation of an Optuna distribution; any other Optuna object is a constant."""
    distributions: Any = import_module("optuna.distributions")

    if isinstance(thing, distributions.CategoricalDistribution):
        return Choice(thing.choices)
    if isinstance(thing, distributions.IntDistribution):
        return _translate_int(thing.low, thing.high, thing.log, thing.step)
    if isinstance(thing, distributions.FloatDistribution):
        step = thing.step if thing.step is not None and thing.step <= thing.high - thing.low else None
        return Float(thing.low, thing.high, log=thing.log, step=step)
    return thing


def _translate_int(low: int, high: int, log: bool, step: int) -> Any:
    if log and low < high:
        # Optuna rounds a log-uniform float; our log Int truncates it, as Ray does.
        return Binned(Float(low - 0.5, high + 0.5, log=True), low, high - low + 1)
    return Int(low, high, step=step if step <= high - low else None)
