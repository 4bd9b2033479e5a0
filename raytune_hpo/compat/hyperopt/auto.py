"""The sampler ``auto``, for ``fmin(algo=auto.suggest)``; hyperopt has no counterpart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raytune_hpo.compat.hyperopt.suggesting import suggested


def suggest(new_ids: Sequence[int], domain: Any, trials: Any, seed: int) -> list[dict[str, Any]]:
    """Documents of the next trials."""
    return suggested({"name": "auto"}, new_ids, domain, trials, seed)
