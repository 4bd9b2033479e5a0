"""The spec of a study: frozen settings and limits, their JSON form, and the comparison of two specs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf, isnan
from numbers import Integral, Real
from typing import Any

from raytune_hpo.errors import JournalCorrupt, SpaceError, SpecError, SpecMismatch
from raytune_hpo.facts import Fact, StudyCreated
from raytune_hpo.goals import Goal, ValidRange
from raytune_hpo.space import Space
from raytune_hpo.space.differences import NOTHING, first_difference
from raytune_hpo.space.growing import domains_of, fits
from raytune_hpo.space.stored import in_todays_form
from raytune_hpo.space.values import same, show


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a study, which ends when the first is reached. They may be changed when it is resumed.

    Attributes:
        num_trials: the number of trials that are started, the user's own points included.
        time_budget_s: seconds of running time, over all sessions.
        target: ends the study once the first metric is at least this good, in the metric's own units.
        max_failures: how many trials may fail in one session.
        num_steps: how many steps all trials may make together; steps that were lost and repeated count twice, and a trial
            that ends without a report counts as one.
        stagnation: whether the study ends when its newest trials have brought no progress, see ``Results.stagnation``.
    """

    num_trials: int | None = None
    time_budget_s: float | None = None
    target: float | None = None
    max_failures: int | None = None
    num_steps: int | None = None
    stagnation: bool = False

    def __post_init__(self) -> None:
        for name in ("num_trials", "max_failures", "num_steps"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 1):
                raise SpecError(f"{name} is a whole number of at least 1, got {value!r}; leave it out for no limit")
        budget = self.time_budget_s
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, Real) or not 0 < budget < inf):
            raise SpecError(f"time_budget_s is a positive number of seconds, got {budget!r}; leave it out for no limit")
        if self.target is not None and (
            isinstance(self.target, bool) or not isinstance(self.target, Real) or isnan(self.target)
        ):
            raise SpecError(f"target is a value of the metric, got {self.target!r}")

    def to_json(self) -> dict[str, Any]:
        limits = {"num_trials": self.num_trials, "time_budget_s": self.time_budget_s, "target": self.target}
        # Unknown to older releases.
        newer = {"max_failures": self.max_failures, "num_steps": self.num_steps, "stagnation": self.stagnation or None}
        return {**limits, **{name: value for name, value in newer.items() if value is not None}}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A sampler or scheduler as the spec records it: its name, its options in JSON form, and its version."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"{self.name}({options})" if options else self.name


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """Everything that suggestions and verdicts depend on, and the limits. Frozen; the first fact of a study holds it.

    Attributes:
        seed: the seed from which every random draw of the study derives.
        max_retries: how often a trial may crash its worker before it fails.
        constraints: the outcome constraints, each a goal with its bound as threshold; a trial that breaks one is
            infeasible.
        valid_ranges: closed intervals of metrics that are not goals; a value outside fails its trial.
        grows: whether the objective defines the space, which begins empty and grows by the parameters it asks for.
        earlier: the names of earlier studies, from which the sampler learns before the first trial.
        instances: the names of the inputs on which each trial is measured, in turn; empty if there are none.
        settings: further information for readers (the objective's name, resources ...); never compared.
    """

    name: str
    space: Space
    goals: tuple[Goal, ...]
    sampler: Part
    scheduler: Part | None = None
    seed: int = 0
    max_retries: int = 2
    limits: Limits = Limits()
    valid_ranges: Mapping[str, ValidRange] = field(default_factory=dict)
    constraints: tuple[Goal, ...] = ()
    instances: tuple[str, ...] = ()
    grows: bool = False
    earlier: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "space": self.space.to_json(),
            "goals": [vars(goal) for goal in self.goals],
            "sampler": vars(self.sampler),
            "scheduler": None if self.scheduler is None else vars(self.scheduler),
            "seed": self.seed,
            "max_retries": self.max_retries,
            "limits": self.limits.to_json(),
            "settings": dict(self.settings),
            **({"valid_ranges": dict(self.valid_ranges)} if self.valid_ranges else {}),
            **({"constraints": [vars(constraint) for constraint in self.constraints]} if self.constraints else {}),
            **({"instances": list(self.instances)} if self.instances else {}),
            **({"grows": True} if self.grows else {}),
            **({"earlier": list(self.earlier)} if self.earlier else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StudySpec:
        """The spec as stored; functions in its space are stand-ins (see Space.from_json)."""
        return cls(
            name=data["name"],
            space=Space.from_json(data["space"]),
            goals=tuple(_goal(g) for g in data["goals"]),
            sampler=Part(**data["sampler"]),
            scheduler=None if data["scheduler"] is None else Part(**data["scheduler"]),
            seed=data["seed"],
            max_retries=data["max_retries"],
            limits=Limits(**data["limits"]),
            valid_ranges={name: (low, high) for name, (low, high) in data.get("valid_ranges", {}).items()},
            constraints=tuple(_goal(c) for c in data.get("constraints", ())),
            instances=tuple(data.get("instances", ())),
            grows=data.get("grows", False),
            earlier=tuple(data.get("earlier", ())),
            settings=data["settings"],
        )

    def with_limits(self, limits: Limits) -> StudySpec:
        return replace(self, limits=limits)

    def packed_point(self, point: Mapping[str, Any]) -> Mapping[str, Any]:
        """A user's point in the form of facts; in a growing space, it may have any parameters.

        Raises:
            SpaceError: it is not in the space.
        """
        if not self.grows:
            return self.space.pack(self.space.complete(point))
        for name, domain in domains_of(self.space).items():
            if name in point and not fits(domain, point[name]):
                raise SpaceError(f"parameter {name!r} {domain.problem(point[name])}, got {show(point[name])}")
        return dict(point)

    def require_same(
        self,
        stored: StudySpec,
        *,
        subject: str | None = None,
        anew: str = "use another name",
        transfer: str = "points_to_evaluate or, in a study, earlier= begin from what it found",
    ) -> None:
        """Check that a stored study may continue under this spec; limits and settings may differ.

        Args:
            subject: what its user knows it by; None: by the study's name.
            anew: the way to begin again beside it.
            transfer: how that one learns from its results.

        Raises:
            SpecMismatch: it may not; the message names the first difference and the ways out.
        """
        subject = subject or f"study {self.name!r}"
        if changed := _changed_function(stored.space, self.space):
            raise SpecMismatch(
                f"{subject} can continue only with the functions that it was created with, {changed}; {anew}, or the "
                f"function as it was"
            )
        for what, stored_value, value in _differences(stored, self):
            said = f"{what}={stored_value}"
            created, back = (
                (f"without {what}", "leave it out") if stored_value == NOTHING else (f"with {said}", f"say {said}")
            )
            raise SpecMismatch(f"{subject} was created {created}, this run says {what}={value}; {anew}, or {back}")
        for role, before, now in (
            ("sampler", stored.sampler, self.sampler),
            ("scheduler", stored.scheduler, self.scheduler),
        ):
            if before is not None and now is not None and before.version != now.version:
                raise SpecMismatch(
                    f"{subject} was created with version {before.version} of the {role} {before.name!r}, this release has "
                    f"version {now.version}; {anew}, or the release that it was created with; {transfer}"
                )


def not_begun() -> JournalCorrupt:
    """The error for a journal without facts: its process ended after it took the name, and before it wrote the first."""
    return JournalCorrupt(
        "the study was interrupted before it began, its journal is empty; run it again by this name, or delete it by "
        "`raytune-hpo delete`"
    )


def stored_spec(first: Fact) -> StudySpec:
    """The spec in a study's first fact.

    Raises:
        JournalCorrupt: the fact has no valid spec.
    """
    if not isinstance(first, StudyCreated):
        raise JournalCorrupt(
            f"a study begins with StudyCreated, its journal begins with {type(first).__name__}; restore it from a copy"
        )
    try:
        return StudySpec.from_json(first.spec)
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # the possible effects of wrong keys
        raise JournalCorrupt(
            f"the journal is damaged at fact 0, a StudyCreated whose spec cannot be read: {error!r}; restore the study from "
            f"a copy, or read it with the release that wrote it"
        ) from error


def _goal(data: Mapping[str, Any]) -> Goal:
    valid = data["valid_range"]
    return Goal(data["metric"], data["mode"], data["threshold"], None if valid is None else tuple(valid))


def _thresholds(spec: StudySpec) -> dict[str, float]:
    return {goal.metric: goal.threshold for goal in spec.goals if goal.threshold is not None}


def _differences(stored: StudySpec, spec: StudySpec) -> Iterator[tuple[str, Any, Any]]:
    """What differs between two specs, by the name of its setting and as it is written there; versions do not count."""
    now = spec.space.to_json()
    in_space = first_difference(in_todays_form(stored.space.to_json(), now), now)
    if stored.grows == spec.grows and in_space is not None:
        yield in_space
    compared = [
        ("space", _kind_of_space(stored), _kind_of_space(spec)),
        ("metric", _one_or_all([g.metric for g in stored.goals]), _one_or_all([g.metric for g in spec.goals])),
        ("mode", _one_or_all([g.mode for g in stored.goals]), _one_or_all([g.mode for g in spec.goals])),
        ("valid_range", _valid_range(stored), _valid_range(spec)),
        ("thresholds", _thresholds(stored), _thresholds(spec)),
        ("outcome_constraints", [str(c) for c in stored.constraints], [str(c) for c in spec.constraints]),
        ("sampler", *_told_apart(stored.sampler, spec.sampler)),
        ("scheduler", *_told_apart(stored.scheduler, spec.scheduler)),
        ("instances", list(stored.instances) or None, list(spec.instances) or None),
        ("earlier", list(stored.earlier), list(spec.earlier)),
        ("seed", stored.seed, spec.seed),
        ("max_retries", stored.max_retries, spec.max_retries),
    ]
    yield from (found for found in compared if not same(*found[1:]))


def _kind_of_space(spec: StudySpec) -> str:
    return "None" if spec.grows else "a given one"


def _one_or_all(words: list[str]) -> str:
    """The words of a study's metrics as they are written: a single one without a list."""
    return repr(words[0] if len(words) == 1 else words)


def _valid_range(spec: StudySpec) -> Any:
    """The valid ranges as they are written: by metric, of goals and of others, or the interval of the only metric."""
    of_goals = {goal.metric: goal.valid_range for goal in spec.goals if goal.valid_range is not None}
    ranges = {**of_goals, **spec.valid_ranges}
    only = len(spec.goals) == 1 and ranges.keys() == {spec.goals[0].metric}
    return ranges[spec.goals[0].metric] if only else ranges or None


def _told_apart(stored: Part | None, part: Part | None) -> tuple[str, str]:
    """The texts of two parts, reduced to what distinguishes them: their names, or the options that differ."""
    if stored is None or part is None or str(stored) == str(part):
        return str(stored), str(part)
    if stored.name != part.name:
        return stored.name, part.name
    names = [*stored.options, *(name for name in part.options if name not in stored.options)]
    differing = [n for n in names if repr(stored.options.get(n)) != repr(part.options.get(n))]

    def shortened(one: Part) -> str:
        return str(replace(one, options={name: one.options[name] for name in differing if name in one.options}))

    return shortened(stored), shortened(part)


def _changed_function(stored: Space, space: Space) -> str | None:
    """A text about the function of a space that has another source or name; None if the difference is elsewhere."""
    before, now = stored.functions, space.functions
    if before.keys() != now.keys():
        return None
    for what, function in now.items():
        if before[what] != function:
            was, name = before[what]["function"], function["function"]
            if was == name:
                return f"{what} has a different source than when the study began"
            return f"{what} is {name!r}, and was {was!r} when the study began"
    return None
