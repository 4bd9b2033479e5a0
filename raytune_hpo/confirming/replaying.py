"""Replay of the schedule of settings that led to a trial."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from raytune_hpo.analysis.lineage import schedule_of
from raytune_hpo.cluster import WithParameters
from raytune_hpo.confirming.running import as_searched, run_named
from raytune_hpo.errors import SpecError
from raytune_hpo.rng import derive
from raytune_hpo.runtime.repeats import seed_keyword
from raytune_hpo.samplers.schedule import Schedule

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_STREAM = "replay"


def replay(
    results: Results,
    number: int,
    objective: Any = None,
    *,
    seed: int | None = None,
    name: str | None = None,
    runtime: str | None = None,
    **given: Any,
) -> Results:
    """The replay of a trial's schedule; see ``Results.replay``. Other settings that are not None are for its Tuner."""
    if objective is None and results.plan is not None:
        objective = results.plan.objective
    if objective is None:
        raise SpecError(
            f"a replay runs the objective again, and these results of study {results.name!r} are without one; "
            f"give it: results.replay({number}, objective=...)"
        )
    space = results.spec.space
    segments = [(space.pack(trial.config), step) for trial, step in schedule_of(results.trials, number)]
    seed = int(derive(results.spec.seed, _STREAM, number).integers(2**31)) if seed is None else seed
    settings = as_searched(results, runtime) | {key: value for key, value in given.items() if value is not None}
    settings |= {"num_trials": len(segments), "seed": seed, "sampler": Schedule(segments=segments), "scheduler": None}
    return run_named(_seeded(objective, seed), space, results.name, f"-replay-{number}", name, **settings)


def _seeded(objective: Any, seed: int) -> Any:
    """The objective with this seed, if it takes one as a keyword."""
    inner, parameters = objective, {}
    if isinstance(objective, WithParameters):
        inner, parameters = objective.objective, objective.parameters
    keyword, _ = seed_keyword(inner)
    if keyword is None:
        return objective
    if parameters:
        return WithParameters(inner, {**parameters, keyword: seed})
    seeded = functools.partial(inner, **{keyword: seed})
    functools.update_wrapper(seeded, inner)
    return seeded
