"""``ray.tune.suggest``: the name of ``ray.tune.search`` before Ray 2, with all its modules."""

from __future__ import annotations

import importlib
import pkgutil
import sys

from raytune_hpo.compat.ray_tune import search
from raytune_hpo.compat.ray_tune.search import (
    BasicVariantGenerator,
    ConcurrencyLimiter,
    Repeater,
    Searcher,
    create_searcher,
)

__all__ = ["BasicVariantGenerator", "ConcurrencyLimiter", "Repeater", "Searcher", "create_searcher"]

__path__: list[str] = []  # its modules are those of ``search``, not copies of them
for _each in pkgutil.iter_modules(search.__path__):
    sys.modules[f"{__name__}.{_each.name}"] = importlib.import_module(f"{search.__name__}.{_each.name}")
