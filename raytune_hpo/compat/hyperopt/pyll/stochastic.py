"""Draws from expressions: hyperopt's own."""

from __future__ import annotations

from hyperopt.pyll.stochastic import recursive_set_rng_kwarg, rng_from_seed, sample

__all__ = ["recursive_set_rng_kwarg", "rng_from_seed", "sample"]
