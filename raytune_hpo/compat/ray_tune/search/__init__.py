"""Searchers by Ray Tune's names, each implemented by a sampler of this package."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.ray_tune.not_carried import built
from raytune_hpo.compat.ray_tune.search.ax import AxSearch
from raytune_hpo.compat.ray_tune.search.basic_variant import BasicVariantGenerator
from raytune_hpo.compat.ray_tune.search.bayesopt import BayesOptSearch
from raytune_hpo.compat.ray_tune.search.bohb import TuneBOHB
from raytune_hpo.compat.ray_tune.search.hyperopt import HyperOptSearch
from raytune_hpo.compat.ray_tune.search.nevergrad import NevergradSearch
from raytune_hpo.compat.ray_tune.search.optuna import OptunaSearch
from raytune_hpo.compat.ray_tune.search.others import HEBOSearch, ZOOptSearch
from raytune_hpo.compat.ray_tune.search.searcher import ConcurrencyLimiter, Repeater, Searcher
from raytune_hpo.compat.ray_tune.space import grid_search
from raytune_hpo.errors import nearest

NAMES: dict[str, type[Searcher]] = {
    "variant_generator": BasicVariantGenerator,
    "random": BasicVariantGenerator,
    "ax": AxSearch,
    "bayesopt": BayesOptSearch,
    "bohb": TuneBOHB,
    "hebo": HEBOSearch,
    "hyperopt": HyperOptSearch,
    "nevergrad": NevergradSearch,
    "optuna": OptunaSearch,
    "zoopt": ZOOptSearch,
}

__all__ = ["BasicVariantGenerator", "ConcurrencyLimiter", "Repeater", "Searcher", "create_searcher", "grid_search"]


def create_searcher(search_alg: str, **options: Any) -> Searcher:
    """A searcher by its name, such as "optuna" or "random", with those of the options that it takes.

    Raises:
        ValueError: there is no searcher of that name.
    """
    if search_alg.lower() not in NAMES:
        raise ValueError(f"unknown searcher {search_alg!r}; {nearest(search_alg, NAMES)}")
    return built(NAMES[search_alg.lower()], options)
