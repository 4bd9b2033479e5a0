"""Conversion of Ray Tune's settings: the space, the sampler, the scheduler and the goals of an experiment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raytune_hpo import registry
from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.compat.ray_tune.result import DEFAULT_METRIC, TRAINING_ITERATION
from raytune_hpo.compat.ray_tune.schedulers import NAMES as SCHEDULERS
from raytune_hpo.compat.ray_tune.schedulers import HyperBandForBOHB, create_scheduler
from raytune_hpo.compat.ray_tune.schedulers.mutations import widened
from raytune_hpo.compat.ray_tune.schedulers.pbt import PopulationScheduler
from raytune_hpo.compat.ray_tune.schedulers.trial_scheduler import FIFOScheduler, Rule, TrialScheduler
from raytune_hpo.compat.ray_tune.search import NAMES as SEARCHERS
from raytune_hpo.compat.ray_tune.search import BasicVariantGenerator, create_searcher
from raytune_hpo.compat.ray_tune.search.bohb import TuneBOHB
from raytune_hpo.compat.ray_tune.search.define_by_run import Defined
from raytune_hpo.compat.ray_tune.search.searcher import Searcher, innermost
from raytune_hpo.compat.ray_tune.seeding import seed_from_numpy
from raytune_hpo.compat.ray_tune.trial_folder import flattened
from raytune_hpo.compat.ray_tune.trials import BY_RESULTS, Steps
from raytune_hpo.compat.ray_tune.tune_config import TuneConfig
from raytune_hpo.goals import make_goals
from raytune_hpo.rng import derive
from raytune_hpo.samplers.grid import Grid
from raytune_hpo.space import Space
from raytune_hpo.space.reader import holds_derived, holds_domains
from raytune_hpo.space.values import is_plain, tidy

ENDLESS = 2**31  # the number of trials of an experiment without a limit of trials
PLACEHOLDER = "no_parameters"  # the only parameter of a space whose configurations are empty
_LEARNS_NOTHING = ("random", "grid", "sobol")  # samplers that need no metric


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """The search of an experiment, in the terms of ``hpo.Tuner``; for the rest, see ``Experiment``.

    Attributes:
        num_samples: the number of trials as Ray Tune counts them; -1: without limit.
        is_named: whether the script has named a metric; otherwise the metric here is a placeholder that no part uses.
    """

    space: Space
    sampler: Any
    scheduler: Any = None
    metric: str | list[str] = TRAINING_ITERATION
    mode: str | list[str] = "max"
    num_trials: int | None = None
    num_samples: int = 1
    points: Sequence[Mapping[str, Any]] = ()
    seed: int = 0
    max_concurrent: int | None = None
    outcome_constraints: Sequence[str] = ()
    steps: Steps = BY_RESULTS
    stop: Mapping[str, Any] = field(default_factory=dict)
    known: tuple[Mapping[str, float], ...] = ()
    transform: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    explore: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    population: int | None = None
    last_step: int | None = None
    pauses: bool = False
    is_named: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,) if isinstance(self.metric, str) else tuple(self.metric)


@dataclass(frozen=True)
class Unwrapped:
    """Replaces a configuration with only the placeholder by an empty one."""

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in config.items() if key != PLACEHOLDER}


@dataclass(frozen=True)
class AsDefined:
    """Replaces values for all parameters by the configuration that a define-by-run function makes of them."""

    defined: Defined
    names: frozenset[str]

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        around = {key: value for key, value in config.items() if key not in self.names}
        return {**around, **self.defined.config({key: config[key] for key in self.names})}


@dataclass(frozen=True)
class Around:
    """Adds constants that a journal cannot store: objects, which may differ when an experiment is restored.

    Attributes:
        inner: converts the rest of the configuration; None: it stays as it was suggested.
    """

    constants: dict[str, Any]
    inner: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        return {**(config if self.inner is None else self.inner(config)), **self.constants}


def plan_of(param_space: Any, config: TuneConfig, stop: Mapping[str, Any]) -> SearchPlan:
    """The plan of an experiment.

    Raises:
        ValueError: settings contradict each other.
        SpaceError, SpecError: the space, or a sampler or scheduler of this package, is not valid.
        NotCarried: a searcher or scheduler is the user's own.
    """
    searcher, scheduler = _searcher(config.search_alg), _scheduler(config.scheduler)
    seed = config.seed if config.seed is not None else searcher.seed
    seed = seed_from_numpy() if seed is None else seed
    whole, transform = _whole(param_space, searcher.space)
    limit = [n for n in (config.max_concurrent_trials, searcher.max_concurrent) if n]
    common: dict[str, Any] = {"seed": seed, "max_concurrent": min(limit, default=None), "transform": transform}
    metric, mode = _goals(config, searcher, scheduler)
    if isinstance(scheduler, PopulationScheduler):
        common |= _named(metric, mode)
        planned = _population(whole, config, scheduler, stop, seed)
        if planned is not None:
            return SearchPlan(**common, **planned)
        scheduler = FIFOScheduler()
    space = Space(whole, constraints=searcher.constraints) if isinstance(whole, Mapping) else Space.of(whole)
    goals = 1 if metric is None or isinstance(metric, str) else len(metric)
    rule, sampler = scheduler.rule(), searcher.sampler(goals)
    pauses = False
    if isinstance(innermost(searcher), TuneBOHB) and isinstance(scheduler, HyperBandForBOHB):
        sampler = {"name": "bohb", "max_steps": max(2, scheduler.last_step), "eta": scheduler.eta}
        rule, pauses = Rule(None, rule.steps, rule.stop), True
        warn_of_idle("HyperBandForBOHB with TuneBOHB", stop_last_trials=(scheduler.stops_last, True))
    size = 1
    if sampler == "random" and _grid_axes(space):
        size = _grid_size(space)
        sampler = Grid(samples=config.num_samples if config.num_samples > 0 else max(1, ENDLESS // size))
    name = registry.describe("sampler", registry.make("sampler", sampler)).name
    learns = rule.scheduler is not None or name not in _LEARNS_NOTHING or bool(searcher.outcome_constraints)
    if learns or (metric is not None and mode is not None):
        common |= _named(metric, mode)
    points, known = _points(space, searcher, seed, common.get("metric", TRAINING_ITERATION))
    num_samples = config.num_samples
    if num_samples > 0 and isinstance(searcher, BasicVariantGenerator):
        num_samples = len(points) + max(0, num_samples - len(searcher.points_to_evaluate)) * size
    elif num_samples > 0:
        num_samples *= size
    ends_otherwise = isinstance(sampler, Grid) and not points
    ends_otherwise |= num_samples < 0 and config.time_budget_s is not None
    return SearchPlan(
        **common,
        space=space,
        sampler=sampler,
        scheduler=rule.scheduler,
        num_trials=None if ends_otherwise else ENDLESS if num_samples < 0 else num_samples + len(known),
        num_samples=num_samples,
        points=points,
        known=known,
        outcome_constraints=searcher.outcome_constraints,
        steps=rule.steps,
        stop=rule.stop,
        pauses=pauses,
    )


class OurSampler(Searcher):
    """A searcher around a sampler of this package, as ``hpo.Tuner`` takes it."""

    def __init__(self, wanted: Any) -> None:
        super().__init__()
        self._wanted = wanted

    def sampler(self, num_goals: int) -> Any:
        """Itself."""
        return self._wanted


class OurScheduler(TrialScheduler):
    """A Ray Tune scheduler around one of this package, as ``hpo.Tuner`` takes it; steps are the count of results."""

    def __init__(self, wanted: Any) -> None:
        self._wanted = wanted

    def rule(self) -> Rule:
        """Itself."""
        return Rule(self._wanted)


def _searcher(given: Any) -> Searcher:
    if given is None:
        return BasicVariantGenerator()
    if isinstance(given, Searcher):
        return given
    if isinstance(given, str) and given.lower() in SEARCHERS:
        return create_searcher(given)
    registry.make("sampler", given)  # raises if it is not valid
    return OurSampler(given)


def _scheduler(given: Any) -> TrialScheduler:
    if given is None:
        return FIFOScheduler()
    if isinstance(given, TrialScheduler):
        return given
    if isinstance(given, str) and given.lower() in SCHEDULERS:
        return create_scheduler(given)
    registry.make("scheduler", given)
    return OurScheduler(given)


def _goals(config: TuneConfig, searcher: Searcher, scheduler: TrialScheduler) -> tuple[Any, Any]:
    """The metric and the mode, from the first of TuneConfig, searcher and scheduler that has them.

    Raises:
        ValueError: the scheduler has others.
    """
    sources = (config, innermost(searcher), searcher, scheduler)
    metric = next((source.metric for source in sources if source.metric is not None), None)
    mode = next((source.mode for source in sources if source.mode is not None), None)
    if metric is not None and mode is not None:
        goals = {goal.metric: goal.mode for goal in make_goals(metric, mode)}
        judged = list(goals) if scheduler.metric is None else [scheduler.metric]
        if any(name not in goals or scheduler.mode not in (None, goals[name]) for name in judged):
            raise ValueError(
                f"a scheduler judges by what is searched for, {metric=} with {mode=}, got a scheduler with "
                f"metric={scheduler.metric!r}, mode={scheduler.mode!r}; give metric and mode in TuneConfig alone"
            )
    return metric, mode


def _named(metric: Any, mode: Any) -> dict[str, Any]:
    if mode is None:
        raise ValueError(
            f"an experiment that learns, or stops trials, needs a mode, 'min' or 'max', got {metric=}, {mode=}; give both "
            f"in TuneConfig"
        )
    return {"metric": DEFAULT_METRIC if metric is None else metric, "mode": mode, "is_named": True}


# ------------------------------------------------------------------------------------------------ spaces


def _whole(param_space: Any, searched: Any) -> tuple[Any, Any]:
    """The space of whole configurations, and the function that converts one for the trainable (None for none)."""
    around = dict(param_space or {}) if isinstance(param_space, Mapping) or param_space is None else param_space
    if isinstance(searched, Defined):
        domains = searched.domains()
        return {**around, **domains}, AsDefined(searched, frozenset(domains))
    if searched is None:
        whole: Any = around
    elif isinstance(searched, Mapping):
        whole = {**around, **searched}
    else:
        whole = searched
    if not isinstance(whole, Mapping):
        return whole, None
    objects = {} if holds_derived(whole) else {key: value for key, value in whole.items() if _is_object(value)}
    whole = {key: value for key, value in whole.items() if key not in objects}
    transform = None if whole else Unwrapped()
    return whole or {PLACEHOLDER: 0}, Around(objects, transform) if objects else transform


def _is_object(value: Any) -> bool:
    """Whether a value is a constant that JSON cannot represent."""
    return not is_plain(tidy(value)) and not holds_domains(value)


def _grid_axes(space: Space) -> list[int]:
    return [j for j, column in enumerate(space.columns) if getattr(column.domain, "is_grid_axis", False)]


def _grid_size(space: Space) -> int:
    """The number of points in the grid of ``grid_search``."""
    return math.prod(space.columns[j].domain.size or 1 for j in _grid_axes(space))


def _variants(
    space: Space, samples: int, rng: np.random.Generator, given: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The grid of ``grid_search``, ``samples`` times, with all other parameters drawn each time.

    Args:
        given: values in place of those drawn; the grid is that of the axes that they leave out.
    """
    given = given or {}
    names = tuple(f"{name}/" for name in flattened(given))
    axes = [j for j in _grid_axes(space) if not f"{space.columns[j].name}/".startswith(names)]
    sizes = [space.columns[j].domain.size or 1 for j in axes]
    num = samples * math.prod(sizes)
    rows = rng.random((num, space.num_columns))
    if axes:
        cells = np.array(np.unravel_index(np.arange(num) % math.prod(sizes), sizes)).T
        rows[:, axes] = (cells + 0.5) / sizes
    return [_overlaid(space.drawn(config, rng), given) for config in space.decode(rows)]


def _points(
    space: Space, searcher: Searcher, seed: int, metric: Any
) -> tuple[list[dict[str, Any]], tuple[Mapping[str, float], ...]]:
    """The points to try first, completed by draws and the grid, and the results of those that are known."""
    rewards = searcher.evaluated_rewards
    if rewards and not isinstance(metric, str):
        raise ValueError(f"evaluated_rewards are values of one metric, the experiment has {metric}")
    given, rng = searcher.points_to_evaluate, derive(seed, "points")
    if isinstance(searcher, BasicVariantGenerator):
        points = [variant for point in given for variant in _variants(space, 1, rng, point)]
    else:
        points = [_overlaid(drawn, point) for drawn, point in zip(space.sample(len(given), rng), given, strict=True)]
    return points, tuple({metric: float(reward)} for reward in rewards)


def _overlaid(base: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the values of a point in place of its own."""
    made = dict(base)
    for key, value in point.items():
        inner = base.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping) and inner.keys() >= value.keys():
            value = _overlaid(inner, value)
        made[key] = value
    return made


# ------------------------------------------------------------------------------------------------ populations


def _population(
    param_space: Mapping[str, Any],
    config: TuneConfig,
    scheduler: PopulationScheduler,
    stop: Mapping[str, Any],
    seed: int,
) -> dict[str, Any] | None:
    """The plan of a population; None if it would have a single member, which has no other to copy."""
    if config.num_samples < 1:
        raise ValueError(f"a population has as many members as num_samples says, got {config.num_samples}")
    begin = Space(param_space or {PLACEHOLDER: 0})
    founders = _variants(begin, config.num_samples, derive(seed, "variants"))
    if len(founders) < 2:
        return None
    domains = scheduler.space(param_space)
    for founder in founders:
        domains = widened(domains, founder, scheduler.changes)
    space, last_step = Space(domains), scheduler.last_step(stop)
    drawn = space.sample(len(founders), derive(seed, "founders"))
    return {
        "space": space,
        "sampler": scheduler.sampler(len(founders), last_step),
        "num_samples": len(founders),
        "points": [_overlaid(base, founder) for base, founder in zip(drawn, founders, strict=True)],
        "steps": scheduler.steps,
        "explore": scheduler.explore,
        "population": len(founders),
        "last_step": last_step,
    }
