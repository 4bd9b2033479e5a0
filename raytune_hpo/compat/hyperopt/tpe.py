"""The tree-structured Parzen estimator, by this package's ``tpe``, over all parameters jointly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raytune_hpo.compat.hyperopt.suggesting import suggested

_CANDIDATES = 24  # hyperopt's defaults; options left at them get this package's own defaults
_GAMMA = 0.25


def suggest(
    new_ids: Sequence[int],
    domain: Any,
    trials: Any,
    seed: int,
    prior_weight: float = 1.0,
    n_startup_jobs: int = 20,
    n_EI_candidates: int = _CANDIDATES,
    gamma: float = _GAMMA,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Documents of the next trials.

    Args:
        n_startup_jobs: trials of an even design before the first estimate.
        n_EI_candidates: how many candidates are drawn for a suggestion; by default as in ``tpe``.
        gamma: the best gamma * sqrt(n) of n trials count as good; by default as in ``tpe``.
    """
    part: dict[str, Any] = {"name": "tpe", "n_initial": max(1, n_startup_jobs), "prior_weight": prior_weight}
    if n_EI_candidates != _CANDIDATES:
        part["n_candidates"] = n_EI_candidates
    if gamma != _GAMMA:
        part["gamma"] = gamma
    return suggested(part, new_ids, domain, trials, seed)
