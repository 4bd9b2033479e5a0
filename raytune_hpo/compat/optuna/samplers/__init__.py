"""Samplers, under Optuna's names."""

from __future__ import annotations

from raytune_hpo.compat.optuna.samplers import nsgaii
from raytune_hpo.compat.optuna.samplers.base import BaseSampler
from raytune_hpo.compat.optuna.samplers.ours import (
    OURS,
    AutoSampler,
    BaseGASampler,
    CmaEsSampler,
    GPSampler,
    MOTPESampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from raytune_hpo.compat.optuna.samplers.walking import BruteForceSampler, GridSampler, PartialFixedSampler
from raytune_hpo.compat.optuna.search_space import IntersectionSearchSpace, intersection_search_space
from raytune_hpo.spec import StudySpec

__all__ = [
    "AutoSampler",
    "BaseGASampler",
    "BaseSampler",
    "BruteForceSampler",
    "CmaEsSampler",
    "GPSampler",
    "GridSampler",
    "IntersectionSearchSpace",
    "MOTPESampler",
    "NSGAIIISampler",
    "NSGAIISampler",
    "PartialFixedSampler",
    "QMCSampler",
    "RandomSampler",
    "TPESampler",
    "intersection_search_space",
    "nsgaii",
    "sampler_of",
]


def sampler_of(spec: StudySpec) -> BaseSampler:
    """The sampler, under Optuna's name, of a stored study."""
    return OURS.get(spec.sampler.name, AutoSampler)(seed=spec.seed)
