"""Registry of samplers and schedulers by name, and of journals by URL scheme.

Parts are found through the entry points ``raytune_hpo.samplers``, ``raytune_hpo.schedulers`` and ``raytune_hpo.journals``;
built-in parts register there like those of other packages. If the package runs from a bare folder, as on a cluster, there
are no entry points to read, so built-in parts are listed here as well; a test keeps both lists equal.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from raytune_hpo.display import foreign_words
from raytune_hpo.display.text import config_line
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.options import is_integral, with_new_names

if TYPE_CHECKING:
    from raytune_hpo.protocols import Sampler, Scheduler
    from raytune_hpo.spec import Part, StudySpec

SAMPLERS = {
    "auto": "raytune_hpo.samplers.auto:Auto",
    "random": "raytune_hpo.samplers.random:Random",
    "grid": "raytune_hpo.samplers.grid:Grid",
    "sobol": "raytune_hpo.samplers.sobol:Sobol",
    "hyperopt": "raytune_hpo.samplers.hyperopt:Hyperopt",
    "tpe": "raytune_hpo.samplers.tpe:TPE",
    "bohb": "raytune_hpo.samplers.bohb:BOHB",
    "freeze_thaw": "raytune_hpo.samplers.freeze_thaw:FreezeThaw",
    "cmaes": "raytune_hpo.samplers.cmaes:CMAES",
    "de": "raytune_hpo.samplers.de:DE",
    "evolution": "raytune_hpo.samplers.evolution:Evolution",
    "nsga2": "raytune_hpo.samplers.nsga2:NSGA2",
    "nsga3": "raytune_hpo.samplers.nsga3:NSGA3",
    "gp": "raytune_hpo.samplers.gp:GP",
    "hypertune": "raytune_hpo.samplers.hypertune:HyperTune",
    "rf": "raytune_hpo.samplers.rf:RF",
    "portfolio": "raytune_hpo.samplers.portfolio:Portfolio",
    "pbt": "raytune_hpo.samplers.pbt:PBT",
    "pb2": "raytune_hpo.samplers.pb2:PB2",
    "schedule": "raytune_hpo.samplers.schedule:Schedule",
    "live": "raytune_hpo.samplers.live:Live",
}
SCHEDULERS = {
    "auto": "raytune_hpo.schedulers.auto:Auto",
    "median": "raytune_hpo.schedulers.median:Median",
    "asha": "raytune_hpo.schedulers.asha:ASHA",
    "extrapolation": "raytune_hpo.schedulers.extrapolation:Extrapolation",
    "hyperband": "raytune_hpo.schedulers.hyperband:Hyperband",
    "pasha": "raytune_hpo.schedulers.pasha:PASHA",
    "patience": "raytune_hpo.schedulers.patience:Patience",
    "race": "raytune_hpo.schedulers.race:Race",
    "successive_halving": "raytune_hpo.schedulers.successive_halving:SuccessiveHalving",
    "segments": "raytune_hpo.schedulers.segments:Segments",
    "stretches": "raytune_hpo.schedulers.stretches:Stretches",
    "tercet": "raytune_hpo.schedulers.tercet:Tercet",
    "threshold": "raytune_hpo.schedulers.threshold:Threshold",
}
JOURNALS = {  # by URL scheme
    "memory": "raytune_hpo.journal.memory:MemoryStorage",
    "sqlite": "raytune_hpo.journal.sqlite:SqliteStorage",
    "postgresql": "raytune_hpo.journal.postgres:PostgresStorage",
}
_FOREIGN = {"sampler": foreign_words.SAMPLERS, "scheduler": foreign_words.SCHEDULERS}
_OTHER = {"sampler": "scheduler", "scheduler": "sampler"}
_OWN_PATH = f"{__name__.partition('.')[0]}."
_METHODS = {"sampler": ("bind", "ask", "tell"), "scheduler": ("bind", "judge", "observe", "next_step")}
_OWN = {"sampler": SAMPLERS, "scheduler": SCHEDULERS, "journal": JOURNALS}


@functools.cache
def installed(role: str) -> Mapping[str, str]:
    """Name to ``module:Class`` of every installed part; ``role`` is "sampler", "scheduler" or "journal"."""
    found = {point.name: point.value for point in entry_points(group=f"raytune_hpo.{role}s")}
    return {**_OWN[role], **found}


def load(role: str, name: str) -> type:
    """The class behind a name.

    A part that this package keeps for its own use has no name; it is stored, and found again, by its path.

    Raises:
        SpecError: there is no such part (the message gives the nearest name), or its package cannot be imported.
    """
    parts = installed(role)
    if name.startswith(_OWN_PATH):
        parts = {**parts, name: name}
    if name not in parts:
        if (other := _OTHER.get(role)) and name in installed(other):
            raise SpecError(
                f"{name!r} is a {other}, not a {role}; write {other}={name!r}, or its dict of options there"
            )
        raise SpecError(f"unknown {role} {name!r}; {nearest(_FOREIGN.get(role, {}).get(name, name), parts)}")
    module, _, attribute = parts[name].partition(":")
    try:
        cls: type = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SpecError(f"{role} {name!r} ({parts[name]}) cannot be imported: {error}") from error
    return cls


def make(role: str, wanted: str | Mapping[str, Any] | object) -> Any:
    """The part given by a name, a dict ``{"name": ..., option: ...}``, or an object, which is returned as it is.

    Raises:
        SpecError: a name or option is unknown (the message gives the nearest one), or the object is not such a part.
    """
    if isinstance(wanted, str):
        wanted = {"name": wanted}
    if isinstance(wanted, Mapping):
        options = dict(wanted)
        if not isinstance(options.get("name"), str):
            raise SpecError(f'a {role} given as a dict needs a "name", which is text, got {options}')
        wanted = _build(role, options.pop("name"), options)
    check_part(role, wanted)
    return wanted


def check_part(role: str, part: object) -> None:
    """Refuse an object that lacks a member of its protocol, before a study fails because of it.

    Args:
        role: "sampler" or "scheduler".

    Raises:
        SpecError: it is a class or not a part, or a member is missing or of a wrong kind; the message names the member.
    """
    *methods, last = _METHODS[role]
    rule = f'a {role} is a name, a dict {{"name": ..., option: ...}} or an object with {", ".join(methods)} and {last}'
    if isinstance(part, type):
        raise SpecError(f"{rule}; got the class {part.__name__}: call it, {part.__name__}()")
    cls = type(part)
    hint = _equivalent(role, cls)
    if hint or not any(hasattr(part, method) for method in _METHODS[role]):
        raise SpecError(f"{rule}, got {part!r}{hint}")
    for method in _METHODS[role]:
        if not callable(getattr(part, method, None)):
            raise SpecError(f"{rule}; {cls.__name__} has no method {method!r}: define it")
    if role == "sampler":
        from raytune_hpo.protocols import Traits  # needs numpy, which opening a storage does not

        if not isinstance(getattr(cls, "traits", None), Traits):
            raise SpecError(
                f"a sampler says in its class what it can do; {cls.__name__} has no traits that are Traits: "
                "write traits = Traits() into it"
            )
    elif not is_integral(getattr(cls, "version", None)):
        raise SpecError(
            f"a scheduler has a whole number as the version of its class; {cls.__name__} has none: write version = 1 into it"
        )
    elif len(lacking := [name for name in ("promote", "keeps") if not callable(getattr(part, name, None))]) == 1:
        raise SpecError(
            f"a scheduler that pauses trials has promote and keeps; {cls.__name__} has no method {lacking[0]!r}: define it, "
            "or define neither"
        )
    for option in option_names(cls):
        kept_as = kept_under(cls, option)
        if not hasattr(part, kept_as):
            raise SpecError(
                f"a {role} keeps its options under their own names; {cls.__name__} keeps no attribute {kept_as!r} for its "
                f"option: write self.{kept_as} = {option} into __init__"
            )


def _equivalent(role: str, cls: type) -> str:
    """What to write instead of a part of another tuner, or of one in the other's place; empty for any other object."""
    if all(hasattr(cls, name) for name in _METHODS[role]):
        return ""
    ours = _FOREIGN[role].get(cls.__name__, "").lower()
    if ours in installed(role):
        return f"; write {role}={ours!r}"
    other = _OTHER[role]
    return f"; it is a {other}: write {other}=" if all(hasattr(cls, name) for name in _METHODS[other]) else ""


def _build(role: str, name: str, options: Mapping[str, Any]) -> Any:
    cls = load(role, name)
    known = option_names(cls)
    options = with_new_names(options, renamed(cls))
    for option in options:
        if option not in known:
            meant = next((own for own in foreign_words.OPTIONS.get(option, ()) if own in known), str(option))
            raise SpecError(f"{role} {name!r} has no option {option!r}; {nearest(meant, known)}")
    try:
        return cls(**options)
    except TypeError as error:  # an option was compared with its bounds before its type was checked
        raise SpecError(
            f"{role} {name!r} has an option of a wrong type, got {config_line(options)}: {error}"
        ) from error


def option_names(cls: type) -> list[str]:
    """The keywords of a part's constructor."""
    return [p.name for p in inspect.signature(cls).parameters.values() if p.kind is p.KEYWORD_ONLY]


def shown(part: object) -> str:
    """A part as the call that makes it, with all options: the ``repr`` of samplers and schedulers."""
    cls = type(part)
    return f"{cls.__name__}({', '.join(f'{option}={option_value(part, option)!r}' for option in option_names(cls))})"


def kept_under(cls: type, option: str) -> str:
    """The attribute that keeps an option: of the same name, unless the class says otherwise in ``kept_as``.

    (a method may need that name)
    """
    kept_as: Mapping[str, str] = getattr(cls, "kept_as", {})
    return kept_as.get(option, option)


def option_value(part: object, option: str) -> Any:
    """The value of a part's option."""
    return getattr(part, kept_under(type(part), option))


def check_bound(role: str, part: object, bound: Any) -> Any:
    """Check what ``bind`` of a part has returned, and return it.

    Raises:
        SpecError: it is not such a part, or an option that was given is the default again.
    """
    from raytune_hpo.space.values import same  # needs numpy, which opening a storage does not

    cls, needed = type(part), _METHODS[role][1]
    if not callable(getattr(bound, needed, None)):
        raise SpecError(
            f"bind of {cls.__name__} returns a fresh one for a study, with {needed}, got {bound!r}; return it"
        )
    if type(bound) is not cls:
        return bound
    parameters = inspect.signature(cls).parameters
    for option in option_names(cls):
        given, kept = option_value(part, option), option_value(bound, option)
        # An option that bind works out for the study differs as well, but is not the default.
        if same(kept, parameters[option].default) and not same(given, kept):
            raise SpecError(
                f"bind returns a part with the same options; bind of {cls.__name__} drops its option {option} ({given!r} "
                f"became {kept!r}): pass it on, {cls.__name__}({option}=self.{kept_under(cls, option)})"
            )
    return bound


def renamed(cls: type) -> Mapping[str, str]:
    """The options of a part that had other names in earlier releases, former name to name."""
    table: Mapping[str, str] = getattr(cls, "renamed", {})
    known = option_names(cls)  # a subclass may use a former name for another option
    return {former: name for former, name in table.items() if former not in known and name in known}


def current_options(role: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Stored options in the form of the installed part; unchanged if the part is not installed.

    They get their current names, and the defaults of options that did not exist then: the default of a new option keeps
    the part's earlier behaviour.
    """
    if name not in installed(role):
        return dict(options)
    cls = load(role, name)
    stored = with_new_names(options, renamed(cls))
    parameters = inspect.signature(cls).parameters
    defaults = {option: _recorded(parameters[option].default) for option in option_names(cls)}
    return {**defaults, **stored}


def current_spec(stored: StudySpec) -> StudySpec:
    """A stored spec with its parts' options in their current form."""

    def current(role: str, part: Part) -> Part:
        return replace(part, options=current_options(role, part.name, part.options))

    scheduler = stored.scheduler and current("scheduler", stored.scheduler)
    return replace(stored, sampler=current("sampler", stored.sampler), scheduler=scheduler)


def describe(role: str, part: object) -> Part:
    """A part as the spec records it. Options that JSON cannot hold are recorded by their repr.

    Raises:
        SpecError: the object is not such a part.
    """
    from raytune_hpo.spec import Part  # needs numpy, which opening a storage does not

    check_part(role, part)
    cls = type(part)
    path = f"{cls.__module__}:{cls.__qualname__}"
    name = next((name for name, value in installed(role).items() if value == path), path)
    options = {option: _recorded(option_value(part, option)) for option in option_names(cls)}
    traits = getattr(cls, "traits", None)
    version = cls.version if traits is None else traits.version  # type: ignore[attr-defined]
    return Part(name=name, options=options, version=version)


def with_brought(sampler: Sampler, scheduler: Scheduler | None) -> Scheduler | None:
    """The scheduler of a study: the one that its sampler requires, or else the one that was given.

    Raises:
        SpecError: the sampler requires one, and another one was given.
    """
    from raytune_hpo.protocols import BringsScheduler  # needs numpy, which opening a storage does not

    if not isinstance(sampler, BringsScheduler):
        return scheduler
    brought = sampler.brings()
    if scheduler is not None and describe("scheduler", scheduler) != describe("scheduler", brought):
        raise SpecError(
            f"sampler {describe('sampler', sampler).name!r} brings the scheduler that it needs, got scheduler "
            f"{str(describe('scheduler', scheduler))!r} as well; leave the scheduler out, or use another sampler"
        )
    return brought


def check_pairing(spec: StudySpec, sampler: Sampler, scheduler: Scheduler | None = None) -> None:
    """Refuse a sampler that cannot learn from what the study measures, or that conflicts with its scheduler.

    Raises:
        SpecError: the sampler does not support several metrics, outcome constraints (the message names samplers that do),
            instances or a space that grows, or both the sampler and the scheduler decide which paused trials are resumed.
    """
    from raytune_hpo.protocols import (  # needs numpy, which opening a storage does not
        BringsScheduler,
        as_promoter,
    )

    is_alone = isinstance(sampler, BringsScheduler) or as_promoter(scheduler) is None
    if sampler.traits.continues and not is_alone:
        raise SpecError(
            f"sampler {spec.sampler.name!r} decides which paused trials are resumed, and so does scheduler "
            f"{spec.scheduler and spec.scheduler.name!r}; leave the scheduler out, or use another sampler"
        )
    if spec.instances and sampler.traits.segments:
        raise SpecError(
            f"sampler {spec.sampler.name!r} trains each member for many steps, and with instances a step is one of them; "
            f"leave instances out, or use another sampler"
        )
    if spec.grows and sampler.traits.whole_space:
        raise SpecError(
            f"sampler {spec.sampler.name!r} must know the space before the first trial, and this objective makes it as it "
            f"runs; give the space, or use another sampler"
        )
    if len(spec.goals) > 1 and not sampler.traits.multi_goal:
        raise SpecError(
            f"sampler {spec.sampler.name!r} learns from one metric, the study has "
            f"{[goal.metric for goal in spec.goals]}; use {_samplers_with('multi_goal')}, or one metric"
        )
    if spec.constraints and not (sampler.traits.constraints or sampler.traits.history_free):
        raise SpecError(
            f"sampler {spec.sampler.name!r} does not learn from outcome constraints, the study has "
            f"{[str(constraint) for constraint in spec.constraints]}; use {_samplers_with('constraints')}"
        )


def _samplers_with(trait: str) -> str:
    """The samplers that have a trait, in words."""
    able = []
    for name in installed("sampler"):
        try:
            traits = getattr(load("sampler", name), "traits", None)
        except SpecError:  # a plug-in that cannot be imported is not recommended
            continue
        if traits is not None and getattr(traits, trait):
            able.append(name)
    return ", ".join(sorted(able)) or "another sampler"


def _recorded(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_recorded(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _recorded(v) for k, v in value.items()}
    return repr(value)
