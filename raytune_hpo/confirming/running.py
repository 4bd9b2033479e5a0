"""Studies that rerun parts of a search with the same settings, under a new name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raytune_hpo.api.tuner import RUNTIMES, Tuner
from raytune_hpo.errors import SpecError, SpecMismatch
from raytune_hpo.runtime.settings import MAX_NAME
from raytune_hpo.runtime.simulated import COST

if TYPE_CHECKING:
    from raytune_hpo.results import Results


def as_searched(results: Results, runtime: str | None) -> dict[str, Any]:
    """The settings that another study inherits from a search, including those of its runtime if the runtime is the same.

    Raises:
        SpecError: the objective defined the space, so it cannot be called with a configuration.
    """
    if results.spec.grows:
        raise SpecError(
            f"the objective of study {results.name!r} makes its own space, and repeats are called with a configuration; "
            f"tune its best parameters as a space of constants, with an objective of a dict"
        )
    plan, before = results.plan, results.spec.settings.get("runtime")
    # It may have been driven by hand; and of a virtual clock, the name of its metric is not recorded.
    can_run_so = before in RUNTIMES and (before != "simulated" or any(COST in trial.metrics for trial in results))
    ranges = {goal.metric: goal.valid_range for goal in results.goals if goal.valid_range is not None}
    settings = {
        "metric": [goal.metric for goal in results.goals],
        "mode": [goal.mode for goal in results.goals],
        "valid_range": {**ranges, **results.spec.valid_ranges} or None,
        "outcome_constraints": [str(constraint) for constraint in results.spec.constraints],
        "thresholds": {goal.metric: goal.threshold for goal in results.goals if goal.threshold is not None} or None,
        "max_retries": results.spec.max_retries,
        "storage": results.storage,
        "runtime": runtime or (before if can_run_so else "local"),
    }
    if plan is None or settings["runtime"] != before:
        return settings
    names = ("max_concurrent", "resources", "isolation", "trial_timeout_s", "checkpoints", "checkpoint_every_s")
    return {**settings, **{name: getattr(plan.settings, name) for name in names}}


def run_named(objective: Any, space: Any, search: str, suffix: str, name: str | None, **settings: Any) -> Results:
    """Begin or continue a study of that name; without a name, under the first suitable name derived from the search."""
    attempt = 1
    while True:
        ending = suffix if attempt == 1 else f"{suffix}-{attempt}"
        own = name or f"{search[: MAX_NAME - len(ending)]}{ending}"
        try:
            return Tuner(objective, space, name=own, **settings).fit()
        except SpecMismatch:  # another study has this name, say from before the search was continued
            if name is not None:
                raise
            attempt += 1
