"""The settings of a study, validated: what users pass to ``Tuner`` and ``Study``."""

from __future__ import annotations

import math
import numbers
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from raytune_hpo import registry
from raytune_hpo.checkpoints.places import checked_place
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.goals import Goal, make_constraints, make_goals, ranges_of
from raytune_hpo.options import is_real, number_option, positive, whole
from raytune_hpo.protocols import bound_sampler, bound_scheduler, reads_constraints
from raytune_hpo.registry import check_bound, check_pairing, with_brought
from raytune_hpo.rng import fresh_seed
from raytune_hpo.runtime.instances import checked_instances, instance_names
from raytune_hpo.space import Space
from raytune_hpo.space.growing import empty_space
from raytune_hpo.space.jsonform import check_json_form
from raytune_hpo.spec import Limits, StudySpec

MAX_NAME = 200
RESUME = ("auto", "never")
ISOLATIONS = ("actor", "process")
_LEAST_AMOUNT = 0.0001  # of a resource: Ray counts in these
_RESOURCE_WORDS = {"cpus": "cpu", "num_cpus": "cpu", "gpus": "gpu", "num_gpus": "gpu", "CPU": "cpu", "GPU": "gpu"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a study except its objective and its space; ``Tuner`` documents each of them.

    Attributes:
        recorded: information for later readers (the objective's name, the runtime ...); never compared.

    Raises:
        SpecError: an argument breaks a rule; the message has the rule, the value, and the way out.
    """

    metric: str | Sequence[str] = "loss"
    mode: str | Sequence[str] = "min"
    valid_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None
    thresholds: Mapping[str, float] | None = None
    outcome_constraints: Sequence[str] = ()
    prior_weight: float = 1.0
    earlier: Sequence[str] = ()
    features: Any = field(default=None, repr=False)
    sampler: Any = "auto"
    scheduler: Any = None
    num_trials: int | None = None
    time_budget_s: float | None = None
    target: float | None = None
    max_failures: int | None = None
    num_steps: int | None = None
    stagnation: bool = False
    retry_failed: bool = False
    max_concurrent: int | None = None
    resources: Mapping[str, float] | Sequence[Mapping[str, float]] = field(default_factory=lambda: {"cpu": 1.0})
    isolation: str = "actor"
    max_retries: int = 2
    trial_timeout_s: float | None = None
    points_to_evaluate: Sequence[Mapping[str, Any]] = ()
    seed: int | None = None
    name: str | None = None
    storage: Any = field(default=None, repr=False)  # a URL may hold a password
    resume: str = "auto"
    instances: Any = field(default=None, repr=False)
    checkpoints: Any = None
    checkpoint_every_s: float | None = None
    keep_checkpoints: int = 1
    recorded: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = self.name
        several = len(self.goals) > 1
        if name is not None and (
            not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable()
        ):
            raise SpecError(f"a study's name is printable text of 1 to {MAX_NAME} characters, got {name!r}")
        if self.seed is not None and (
            isinstance(self.seed, bool) or not isinstance(self.seed, numbers.Integral) or self.seed < 0
        ):
            raise SpecError(f"seed is a whole number of at least 0, or None to have one drawn, got {self.seed!r}")
        if self.limits.target is not None and several:
            raise SpecError("target ends a study of one metric; with several, use num_trials or time_budget_s")
        if self.max_concurrent is not None:
            self._set("max_concurrent", whole("max_concurrent", self.max_concurrent, least=1))
        for what in ("max_retries", "keep_checkpoints"):
            self._set(what, whole(what, getattr(self, what), least=0))
        self._set("prior_weight", number_option("a study", "prior_weight", self.prior_weight, least=0))
        self._set("earlier", _checked_names(self.earlier))
        if self.trial_timeout_s is not None:
            positive("trial_timeout_s", self.trial_timeout_s)
        if self.checkpoint_every_s is not None:
            positive("checkpoint_every_s", self.checkpoint_every_s)
        if self.checkpoints is not None:
            self._set("checkpoints", checked_place(self.checkpoints))
        one_of("resume", self.resume, RESUME)
        one_of("isolation", self.isolation, ISOLATIONS)
        self._set("resources", _checked_resources(self.resources))
        self._set("points_to_evaluate", checked_points(self.points_to_evaluate))
        self._set("instances", checked_instances(self.instances))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def goals(self) -> tuple[Goal, ...]:
        return make_goals(self.metric, self.mode, self.valid_range, self.thresholds)

    @property
    def limits(self) -> Limits:
        return Limits(
            num_trials=self.num_trials,
            time_budget_s=self.time_budget_s,
            target=self.target,
            max_failures=self.max_failures,
            num_steps=self.num_steps,
            stagnation=bool(self.stagnation),
        )

    def _space(self, given: Any) -> Space:
        """The space to search; an empty one if the objective defines it."""
        space = empty_space() if given is None else Space.of(given).weighed(self.prior_weight)
        if self.features is None:
            return space
        if given is None:
            raise SpecError("features need a space whose configurations are known, got space=None; leave features out")
        if not callable(self.features):
            raise SpecError(
                f"features is a function of a configuration that gives a dict of numbers, got {self.features!r}"
            )
        return space.featured(self.features)

    def make_parts(self) -> tuple[Any, Any]:
        """The sampler and the scheduler (or None), not bound to the study yet.

        Raises:
            SpecError: one of them is unknown, or the sampler brings a scheduler, and another one was given.
        """
        sampler = registry.make("sampler", self.sampler)
        scheduler = None if self.scheduler is None else registry.make("scheduler", self.scheduler)
        return sampler, with_brought(sampler, scheduler)

    def make_spec(self, space: Any, sampler: Any, scheduler: Any, *, default_name: str) -> StudySpec:
        """The spec of a study; sampler, scheduler, space and goals are checked against each other.

        Args:
            space: whatever ``Space.of`` takes; None: the objective defines it.
            sampler, scheduler: from ``make_parts``.

        Raises:
            SpecError, SpaceError: an argument breaks a rule; the message has the rule, the value, and the way out.
        """
        if space is None and self.instances is not None:
            raise SpecError(
                "instances need a space, since each configuration meets several of them, got None; give the space, or go "
                "through the instances inside the objective"
            )
        goals = self.goals
        metrics = [goal.metric for goal in goals]
        ranges = ranges_of(self.valid_range, metrics)
        spec = StudySpec(
            name=default_name if self.name is None else self.name,
            space=self._space(space),
            grows=space is None,
            goals=goals,
            sampler=registry.describe("sampler", sampler),
            scheduler=None if scheduler is None else registry.describe("scheduler", scheduler),
            seed=fresh_seed() if self.seed is None else int(self.seed),
            max_retries=self.max_retries,
            limits=self.limits,
            valid_ranges={name: r for name, r in ranges.items() if name not in metrics},
            constraints=make_constraints(self.outcome_constraints),
            instances=() if self.instances is None else instance_names(self.instances),
            earlier=tuple(self.earlier),
            settings=self.recorded,
        )
        if spec.earlier and (not sampler.traits.recalls or len(goals) > 1):
            raise SpecError(
                f"only samplers gp and auto learn from earlier studies, with one metric; got "
                f"sampler={spec.sampler.name!r} and metrics {metrics}; leave earlier out"
            )
        if spec.name in spec.earlier:
            raise SpecError(
                f"a study learns from others, and earlier={list(spec.earlier)} names {spec.name!r} itself; leave it out, or "
                f"give this study another name"
            )
        check_pairing(spec, sampler, scheduler)
        self._warn(spec, sampler, scheduler)
        check_bound("sampler", sampler, bound_sampler(sampler, spec.space, goals, spec.seed, spec.constraints))
        if scheduler is not None:
            check_bound("scheduler", scheduler, bound_scheduler(scheduler, goals, spec.constraints))
        for column in spec.space.columns:
            check_json_form(column.domain)
        for point in self.points_to_evaluate:
            spec.packed_point(point)
        return spec

    def _warn(self, spec: StudySpec, sampler: Any, scheduler: Any) -> None:
        """Warn of settings to which the sampler or the scheduler pays no attention."""
        if self.features is not None and not sampler.traits.features:
            warnings.warn(
                f"features are inputs of Gaussian processes, and sampler {spec.sampler.name!r} has none: they do nothing",
                stacklevel=3,
            )
        if spec.constraints and self.scheduler is not None and not reads_constraints(scheduler):
            warnings.warn(
                f"scheduler {spec.scheduler and spec.scheduler.name!r} judges trials by "
                f"{', '.join(goal.metric for goal in spec.goals)} alone: trials that break "
                f"outcome_constraints={list(self.outcome_constraints)} may go on, and trials that keep them be stopped; "
                f"take another scheduler, or none, where many trials break them",
                stacklevel=3,
            )


def _checked_names(names: Any) -> tuple[str, ...]:
    """Check the names of earlier studies, and drop repeated ones."""
    if isinstance(names, (str, bytes)) or not all(isinstance(name, str) and name for name in names):
        raise SpecError(f'earlier is a list of names of studies, like ["study-a", "study-b"], got {names!r}')
    return tuple(dict.fromkeys(names))


def one_of(what: str, value: Any, known: Sequence[str]) -> str:
    """Check that a value is one of the known words, and return it."""
    if value not in known:
        raise SpecError(f"unknown {what} {value!r}; {nearest(str(value), known)}")
    return str(value)


def in_seconds(value: float | timedelta | None) -> float | None:
    """A duration in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def default_name(objective: object) -> str:
    """The default name of a study: the objective's name and the time to the millisecond."""
    inner = getattr(objective, "func", objective)
    label = getattr(inner, "__name__", type(inner).__name__).strip("<>")
    now = time.time()
    return f"{label}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(now * 1000) % 1000:03d}"


def checked_points(points: Any) -> tuple[Mapping[str, Any], ...]:
    """The configurations to try first; whether they are in the space is checked elsewhere.

    Args:
        points: any iterable of them; None: there are none.

    Raises:
        SpecError: it is a single configuration, or nothing that can be iterated over.
    """
    if isinstance(points, (str, Mapping)) or not isinstance(points, Iterable | None):
        raise SpecError(f'points_to_evaluate is a list of configurations like [{{"lr": 0.1}}], got {points!r}')
    return () if points is None else tuple(points)


def _checked_resources(resources: Any) -> Mapping[str, float] | list[Mapping[str, float]]:
    if isinstance(resources, Mapping):
        return checked_bundle(resources)
    if isinstance(resources, Sequence) and not isinstance(resources, str) and resources:
        bundles: list[Mapping[str, float]] = [checked_bundle(bundle) for bundle in resources]
        if len(bundles) > 1 and not all(any(bundle.values()) for bundle in bundles):
            raise SpecError(f"each of several bundles reserves something, got {resources!r}; leave the empty ones out")
        return bundles
    raise SpecError(f'resources is a dict like {{"cpu": 1, "gpu": 0.5}} or a list of such bundles, got {resources!r}')


def checked_bundle(bundle: Any) -> dict[str, float]:
    """Check the resources of one process.

    Raises:
        SpecError: they are invalid, or Ray never grants them; the message has the rule and the value.
    """
    if not isinstance(bundle, Mapping):
        raise SpecError(f'a bundle of resources is a dict like {{"cpu": 1}}, got {bundle!r}')
    for key, amount in bundle.items():
        if key in _RESOURCE_WORDS:
            raise SpecError(f"resources has no {key!r}; did you mean {_RESOURCE_WORDS[key]!r}?")
        if not is_real(amount) or not 0 <= amount < math.inf:
            raise SpecError(f"resources[{key!r}] is a number of at least 0, got {amount!r}")
        if 0 < amount < _LEAST_AMOUNT:
            raise SpecError(
                f"resources[{key!r}] is 0 or at least {_LEAST_AMOUNT}, got {amount!r}; give 0 for next to nothing"
            )
        if key == "gpu" and amount > 1 and amount != int(amount):
            raise SpecError(f"resources['gpu'] is a share of one GPU or a whole number, got {amount!r}; round it")
    return {str(key): amount if isinstance(amount, (int, float)) else float(amount) for key, amount in bundle.items()}
