"""``ray.tune.search.sample``: the functions that make domains, and the domains' own names."""

from raytune_hpo.compat.ray_tune.not_carried import stand_ins
from raytune_hpo.compat.ray_tune.space import (
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
    sample_from,
    uniform,
)
from raytune_hpo.space import Choice as Categorical
from raytune_hpo.space import Float
from raytune_hpo.space import Int as Integer
from raytune_hpo.space.domain import Domain

__all__ = [
    "Categorical",
    "Domain",
    "Float",
    "Integer",
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

__getattr__ = stand_ins("ray.tune.search.sample", "domains here are one object each, such as tune.loguniform(1e-4, 1)")
