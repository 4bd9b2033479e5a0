"""``ray.tune.search.concurrency_limiter``: ConcurrencyLimiter."""

from raytune_hpo.compat.ray_tune.search.searcher import ConcurrencyLimiter

__all__ = ["ConcurrencyLimiter"]
