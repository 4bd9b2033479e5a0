"""The scheduler that Ray Tune's BOHB needs; with ``TuneBOHB``, the sampler ``bohb`` implements both."""

from __future__ import annotations

from raytune_hpo.compat.ray_tune.schedulers.hyperband import HyperBandScheduler


class HyperBandForBOHB(HyperBandScheduler):
    """HyperBand for ``TuneBOHB``: trials are paused at rungs, and the best promoted. With another searcher, HyperBand."""
