"""Penalties for candidates that will take long.

s  (k,)  scores of the candidates, larger is better      t (k,)  seconds that they are expected to take, >= 0

Scores come in different units, some as logarithms, so they are scaled to [0, 1] first.

Cho et al., IEEE Access 8, 2020. Snoek, Larochelle, Adams: Practical Bayesian Optimization of Machine Learning
Algorithms. NeurIPS 2012, section 3.2 (expected improvement per second).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from raytune_hpo.arrays import Array

_HEAD_START_S = 10.0  # seconds added to all durations, or the shortest would always win


def linear(s: Array, t: Array, alpha: float) -> Array:
    """s - alpha t, both scaled to [0, 1]."""
    return np.asarray(_scaled(s) - alpha * _scaled(t))


def top_k(s: Array, t: Array, k: float) -> Array:
    """The quickest of the k best first, then the others as they were."""
    best = np.argsort(-s, kind="stable")[: int(k)]
    penalised = _scaled(s) - 2.0
    penalised[best] = 1.0 - _scaled(t[best])
    return penalised


def per_second(s: Array, t: Array, head_start_s: float) -> Array:
    """s / (t + head start)."""
    return np.asarray(_scaled(s) / (t + head_start_s))


def per_log_second(s: Array, t: Array, head_start_s: float) -> Array:
    """s / ln(t + head start)."""
    return np.asarray(_scaled(s) / np.log(t + head_start_s))


PENALTIES: Mapping[str, tuple[Callable[[Array, Array, float], Array], float]] = {
    "linear": (linear, 0.1),
    "top_k": (top_k, 10.0),
    "per_second": (per_second, _HEAD_START_S),
    "per_log_second": (per_log_second, _HEAD_START_S),
}


def _scaled(v: Array) -> Array:
    finite = v[np.isfinite(v)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    return np.clip((v - low) / (high - low), 0.0, 1.0) if high > low else np.zeros_like(v)
