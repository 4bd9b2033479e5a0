"""Random search, by this package's ``random``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raytune_hpo.compat.hyperopt.suggesting import suggested


def suggest(new_ids: Sequence[int], domain: Any, trials: Any, seed: int) -> list[dict[str, Any]]:
    """Documents of the next trials."""
    return suggested({"name": "random"}, new_ids, domain, trials, seed)
