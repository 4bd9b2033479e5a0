"""Resources that change while a trial runs: there are none here; the base scheduler is kept."""

from __future__ import annotations

import warnings
from typing import Any

from raytune_hpo.compat.ray_tune.schedulers.trial_scheduler import FIFOScheduler, Rule, TrialScheduler


class DistributeResources:
    """Would give free resources to running trials; accepted, and idle."""

    def __init__(self, add_bundles: bool = False, **options: Any) -> None:
        self.add_bundles, self.options = add_bundles, options


class DistributeResourcesToTopJob(DistributeResources):
    """Would give free resources to the best trial; accepted, and idle."""


class ResourceChangingScheduler(TrialScheduler):
    """Its base scheduler, while resources stay what they are: a warning says so.

    Args:
        base_scheduler: which decides about trials.
        resources_allocation_function: is not called.
    """

    def __init__(self, base_scheduler: TrialScheduler | None = None, resources_allocation_function: Any = None) -> None:
        self._base = base_scheduler or FIFOScheduler()
        self.metric, self.mode = self._base.metric, self._base.mode

    def rule(self) -> Rule:
        """That of the base scheduler."""
        warnings.warn(
            "ResourceChangingScheduler: trials keep the resources that they begin with here, and "
            "resources_allocation_function is not called; the base scheduler decides as it is",
            stacklevel=2,
        )
        return self._base.rule()
