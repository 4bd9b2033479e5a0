"""ResourceChangingScheduler: resources do not change while a trial runs here; only the base scheduler has an effect."""

from __future__ import annotations

import warnings
from typing import Any

from raytune_hpo.compat.ray_tune.schedulers.trial_scheduler import FIFOScheduler, Rule, TrialScheduler


class DistributeResources:
    """Would give free resources to running trials; accepted, without effect."""

    def __init__(self, add_bundles: bool = False, **options: Any) -> None:
        self.add_bundles, self.options = add_bundles, options


class DistributeResourcesToTopJob(DistributeResources):
    """Would give free resources to the best trial; accepted, without effect."""


class ResourceChangingScheduler(TrialScheduler):
    """Its base scheduler, with constant resources and a warning that says so.

    Args:
        base_scheduler: decides about trials.
        resources_allocation_function: is not called.
    """

    def __init__(self, base_scheduler: TrialScheduler | None = None, resources_allocation_function: Any = None) -> None:
        self._base = base_scheduler or FIFOScheduler()
        self.metric, self.mode = self._base.metric, self._base.mode

    def rule(self) -> Rule:
        """The rule of the base scheduler."""
        warnings.warn(
            "ResourceChangingScheduler: trials keep the resources that they begin with here, and "
            "resources_allocation_function is not called; the base scheduler decides as it is",
            stacklevel=2,
        )
        return self._base.rule()
