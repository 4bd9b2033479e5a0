"""Search spaces: domains, conditions, constraints, and the mapping between configurations and the unit cube."""

from raytune_hpo.space.choices import Choice, Ordinal
from raytune_hpo.space.constructors import (
    choice,
    cores,
    fibonacci,
    grid_search,
    lograndint,
    loguniform,
    ordinal,
    powers,
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
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.numeric import Float, Int, Normal
from raytune_hpo.space.rounded import Quantised
from raytune_hpo.space.space import Space
from raytune_hpo.space.tree import Column

__all__ = [
    "Choice",
    "Column",
    "Domain",
    "Float",
    "Int",
    "Normal",
    "Ordinal",
    "Quantised",
    "Space",
    "choice",
    "cores",
    "fibonacci",
    "grid_search",
    "lograndint",
    "loguniform",
    "ordinal",
    "powers",
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
