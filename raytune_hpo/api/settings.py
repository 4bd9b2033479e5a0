"""From the keywords a user types to a checked study: the door of ``Tuner`` and ``Study``."""

from __future__ import annotations

import math
import numbers
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from raytune_hpo import registry
from raytune_hpo.errors import SpecError
from raytune_hpo.goals import Goal, make_goals
from raytune_hpo.options import positive as positive
from raytune_hpo.options import whole as whole
from raytune_hpo.protocols import Sampler, Scheduler
from raytune_hpo.rng import fresh_seed
from raytune_hpo.space import Space
from raytune_hpo.spec import Limits, StudySpec

MAX_NAME = 200
AUTO, AUTO_OF_SEVERAL = "auto", "nsga2"  # what sampler="auto" stands for with one goal, and with several


def make_parts(
    sampler: str | Mapping[str, Any] | object, scheduler: str | Mapping[str, Any] | object | None, goals: Sequence[Goal]
) -> tuple[Sampler, Scheduler | None]:
    """The sampler and scheduler a user asked for."""
    if sampler == "auto":
        sampler = AUTO if len(goals) == 1 else AUTO_OF_SEVERAL
    return registry.make("sampler", sampler), None if scheduler is None else registry.make("scheduler", scheduler)


def make_spec(
    space: Any,
    *,
    metric: str | Sequence[str],
    mode: str | Sequence[str],
    valid_range: Any,
    sampler: Any,
    scheduler: Any,
    limits: Limits,
    max_retries: int,
    seed: int | None,
    name: str,
    settings: Mapping[str, Any],
) -> tuple[StudySpec, Sampler, Scheduler | None]:
    """A checked spec and its live parts; parts and space have been tried on each other.

    Raises:
        SpecError, SpaceError: naming the rule, what came, and the way out.
    """
    goals = make_goals(metric, mode, valid_range)
    sampler, scheduler = make_parts(sampler, scheduler, goals)
    spec = StudySpec(
        name=_checked_name(name),
        space=Space.of(space),
        goals=goals,
        sampler=registry.describe("sampler", sampler),
        scheduler=None if scheduler is None else registry.describe("scheduler", scheduler),
        seed=fresh_seed() if seed is None else _checked_seed(seed),
        max_retries=whole("max_retries", max_retries, least=0),
        limits=_checked_limits(limits, len(goals)),
        settings=settings,
    )
    registry.check_pairing(spec, sampler)
    sampler.bind(spec.space, goals, spec.seed)
    if scheduler is not None:
        scheduler.bind(goals)
    return spec, sampler, scheduler


def checked_points(points: Iterable[Mapping[str, Any]], space: Space) -> tuple[Mapping[str, Any], ...]:
    """Points to evaluate first, each inside the space."""
    checked = tuple(points)
    for point in checked:
        space.check(point)
    return checked


def default_name(objective: object) -> str:
    """The objective's name and the time, to the millisecond: good enough to tell studies apart in a list."""
    inner = getattr(objective, "func", objective)
    label = getattr(inner, "__name__", type(inner).__name__).strip("<>")
    now = time.time()
    return f"{label}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(now * 1000) % 1000:03d}"


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise SpecError(f"a study's name is printable text of 1 to {MAX_NAME} characters, got {name!r}")
    return name


def _checked_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise SpecError(f"seed is a whole number of at least 0, or None to have one drawn, got {seed!r}")
    return int(seed)


def _checked_limits(limits: Limits, num_goals: int) -> Limits:
    if limits.num_trials is not None:
        whole("num_trials", limits.num_trials, least=1)
    if limits.time_budget_s is not None:
        positive("time_budget_s", limits.time_budget_s)
    if limits.target is not None:
        if num_goals > 1:
            raise SpecError("target ends a study of one metric; with several, use num_trials or time_budget_s")
        if isinstance(limits.target, bool) or not isinstance(limits.target, numbers.Real) or math.isnan(limits.target):
            raise SpecError(f"target is a value of the metric, got {limits.target!r}")
    return limits
