"""Confirming the winner of a search: the best configurations are run again, as a separate study.

The best value of a search is too optimistic: the best of many noisy values is a lucky one (the winner's curse). Fresh
repeats of the few best configurations show their true values, and which of them is best.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raytune_hpo.cluster import WithParameters
from raytune_hpo.confirming.choosing import Chosen, chosen
from raytune_hpo.confirming.confirmation import Confirmation, ConfirmedCandidate, Optimism
from raytune_hpo.confirming.estimating import confirmation_of
from raytune_hpo.confirming.replaying import replay
from raytune_hpo.confirming.running import as_searched, run_named
from raytune_hpo.errors import SpecError
from raytune_hpo.options import whole
from raytune_hpo.rng import derive
from raytune_hpo.runtime.repeats import REPEAT, TRIAL, Repeated, seed_keyword
from raytune_hpo.space import choice, randint

if TYPE_CHECKING:
    from raytune_hpo.results import Results

__all__ = ["Confirmation", "ConfirmedCandidate", "Optimism", "confirm", "replay"]

MAX_REPEATS = 1_000_000
_STREAM = "confirm"
_SUFFIX = "-confirm"


def confirm(
    results: Results,
    top: int,
    repeats: int,
    objective: Any = None,
    *,
    also: Sequence[int] = (),
    seed: int | None = None,
    name: str | None = None,
    runtime: str | None = None,
    **given: Any,
) -> Confirmation:
    """The confirmation of a search; see ``Results.confirm``. Other settings that are not None are for the repeats' Tuner.

    With a ``sampler`` and ``num_trials``, the sampler decides what is repeated how often.
    """
    top, repeats = whole("top", top, least=1), whole("repeats", repeats, least=1)
    if repeats > MAX_REPEATS:
        raise SpecError(f"repeats is at most {MAX_REPEATS:,}, got {repeats:,}")
    if objective is None and results.spec.instances:
        raise SpecError(
            f"study {results.name!r} measures each configuration on {len(results.spec.instances)} instances, which are its "
            f"repeats; tune on more of them under another name, with points_to_evaluate=[results.best_config], or give an "
            f"objective of a configuration: results.confirm(objective=...)"
        )
    if objective is None and results.plan is not None:
        objective = results.plan.objective
    if objective is None:
        raise SpecError(
            f"confirming runs the objective again, and these results of study {results.name!r} are without one; "
            f"give it: results.confirm(objective=...)"
        )
    candidates = chosen(results, top, also)
    seed = int(derive(results.spec.seed, _STREAM).integers(2**31)) if seed is None else seed
    repeated, keyword = _repeated(objective, candidates, seed)
    settings = {"sampler": "grid", "num_trials": repeats * len(candidates)} | as_searched(results, runtime)
    settings |= {key: value for key, value in given.items() if value is not None} | {"seed": seed}
    outcome = _run(results.name, name, repeated, candidates, settings)
    return confirmation_of(results, candidates, outcome, keyword)


def _repeated(objective: Any, candidates: Sequence[Chosen], seed: int) -> tuple[Any, str | None]:
    """The objective of the repeats, over (trial, repeat), and the keyword under which the objective takes its seed."""
    inner, parameters = objective, {}
    if isinstance(objective, WithParameters):  # on Ray, large arguments go through the object store
        inner, parameters = objective.objective, objective.parameters
    if not callable(inner):
        raise SpecError(f"an objective is a function of a configuration, got {objective!r}")
    keyword, default = seed_keyword(inner)
    avoid = default if keyword is None else parameters.get(keyword, default)
    configs = {candidate.number: candidate.config for candidate in candidates}
    repeated = Repeated(inner, configs, keyword=keyword, seed=seed, avoid=avoid)
    return (WithParameters(repeated, parameters) if parameters else repeated), keyword


def _run(
    search: str, name: str | None, repeated: Any, candidates: Sequence[Chosen], settings: dict[str, Any]
) -> Results:
    """Begin or continue the study of repeats."""
    # The grid's last parameter varies fastest: every candidate gets its first repeat before any gets its second, and a
    # larger number of repeats simply extends the study.
    grid = {
        REPEAT: randint(0, MAX_REPEATS),
        TRIAL: choice([candidate.number for candidate in candidates]),
    }
    return run_named(repeated, grid, search, _SUFFIX, name, **settings)
