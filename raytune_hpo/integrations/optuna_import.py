"""Import from Optuna: its trials become facts of a study, which can then be inspected and continued here."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import SpaceError, SpecError, StudyExists
from raytune_hpo.facts import (
    Enqueued,
    Fact,
    Finished,
    Reported,
    Requeued,
    SessionOpened,
    Started,
    Status,
    StudyCreated,
    StudyStopped,
    Verdict,
)
from raytune_hpo.integrations.optuna_export import OWN
from raytune_hpo.journal import open_storage
from raytune_hpo.results import Results
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.space import Choice, Space
from raytune_hpo.space.values import is_scalar, plain
from raytune_hpo.spec import StudySpec

_WHOLE = ("COMPLETE", "PRUNED")  # states of trials that have all of their parameters
_STATUSES = {"COMPLETE": Status.COMPLETED, "PRUNED": Status.PRUNED, "FAIL": Status.FAILED}
_WORKER = "optuna"
_OFF_GRID = 1e-8  # how far a number may be off its grid, as a share of a step


def from_optuna(
    study: Any,
    *,
    space: Any = None,
    config: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
    metric: str | Sequence[str] | None = None,
    sampler: Any = "auto",
    scheduler: Any = None,
    name: str | None = None,
    storage: Any = None,
) -> Results:
    """Results with the trials of an Optuna study, under the same numbers if all of them can be imported.

    With a storage, the study is stored there, and a Tuner with the same name, space, metric, sampler and storage continues
    it; trials that were running are then run again, and trials that were enqueued come next. Trials that lack some of
    their parameters are left out. Trials that break a constraint count as failed.

    Args:
        study: a study of Optuna.
        space: by default the space of the trials' distributions; a range that changed is widened to hold them all. A
            parameter that only some trials have becomes a choice with the option None; "/" in names becomes ".".
        config: makes a configuration of ``space`` from a trial's flat parameters; by default they are the configuration.
        metric: the names of the values; by default the study's own metric names, or "value".
        sampler, scheduler: those that continue the study, as for Tuner.
        name: by default the study's own.
        storage: as for Tuner, on this machine; with None the study is not stored.

    Raises:
        SpaceError: a trial is not in the space.
        SpecError: what is to be imported is not a study, or ``metric`` does not name each of its values.
        StudyExists: the storage already has a study of that name.

    Warns:
        UserWarning: user attributes that are lists or dicts, which metrics cannot be, and enqueued points that are not
            in the space are left out, and so are user attributes with the name of a goal.
    """
    if not hasattr(study, "get_trials"):
        raise SpecError(
            f"from_optuna takes a study, as optuna.load_study or optuna.create_study returns it, got {study!r}"
        )
    trials = study.get_trials(deepcopy=False)
    found = _space_of(trials) if space is None else Space.of(space)
    if metric is None:
        default = ["value"] if len(study.directions) == 1 else [f"value_{i}" for i in range(len(study.directions))]
        names = getattr(study, "metric_names", None)
        metric = default if names is None else list(names)
    elif (1 if isinstance(metric, str) else len(metric)) != len(study.directions):
        raise SpecError(f"metric names each value of Optuna's study, which has {len(study.directions)}, got {metric!r}")
    settings = Settings(
        metric=metric,
        mode=[direction.name.lower()[:3] for direction in study.directions],
        sampler=sampler,
        scheduler=scheduler,
        name=study.study_name if name is None else name,
        recorded={"runtime": "optuna"},
    )
    spec = RunPlan.of(found, settings).spec
    facts = list(_facts(spec, trials, config or partial(_filled, spec.space)))
    _warn_of_attributes(spec, trials)
    if storage is not None:
        _store(spec.name, facts, storage)
    return Results.from_ledger(Ledger.fold(facts, spec))


def _store(name: str, facts: Sequence[Fact], storage: Any) -> None:
    store = open_storage(storage)
    journal = store.journal(name, create=True, owner="from_optuna")
    try:
        if next(iter(journal.read()), None) is not None:
            raise StudyExists(f"study {name!r} exists in {store.url}; give another name=")
        journal.append(facts, expect=0)
    finally:
        journal.close()
        store.close()


# ------------------------------------------------------------------------------------------------ the space


def _space_of(trials: Sequence[Any]) -> Space:
    """The space of the trials that have all of their parameters."""
    whole = [trial for trial in trials if trial.state.name in _WHOLE]
    found: dict[str, list[Any]] = {}
    for trial in whole:
        for name, distribution in trial.distributions.items():
            found.setdefault(name, []).append(distribution)
    if not found:
        raise SpecError("Optuna's study has no parameters in any complete or pruned trial; give space=")
    domains = {name: _merged(distributions) for name, distributions in found.items()}
    sometimes = {name for name, distributions in found.items() if len(distributions) < len(whole)}
    return Space(_dotted({name: Choice([None, d]) if name in sometimes else d for name, d in domains.items()}))


def _merged(distributions: Sequence[Any]) -> Any:
    """One distribution for several: ranges may change from trial to trial, choices may not.

    Raises:
        SpaceError: no single domain holds them all.
    """
    first = distributions[0]
    if all(distribution == first for distribution in distributions):
        return first
    if not hasattr(first, "low") or any(type(distribution) is not type(first) for distribution in distributions):
        raise SpaceError(
            f"no single domain holds {', '.join(map(str, distributions[:3]))} ...; give space= and config="
        )
    lo, hi = min(d.low for d in distributions), max(d.high for d in distributions)
    grid = {"step": first.step} if _is_one_grid(distributions) else {}
    return type(first)(lo, hi, log=all(d.log for d in distributions), **grid)


def _is_one_grid(distributions: Sequence[Any]) -> bool:
    """Whether the values of all distributions are a common step apart."""
    lo, step = min(d.low for d in distributions), distributions[0].step
    if step is None or any(d.step != step for d in distributions):
        return False
    places = [(d.low - lo) / step for d in distributions]
    return all(math.isclose(place, round(place), abs_tol=_OFF_GRID) for place in places)


def _dotted(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters under names that are allowed here, with "." in place of "/"."""
    dotted = {name.replace("/", "."): value for name, value in params.items()}
    if len(dotted) < len(params):
        raise SpaceError(
            f'two parameters have the same name once "/" becomes ".": {sorted(params)}; give space= and config='
        )
    return dotted


def _filled(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of a space from ``_space_of``: parameters that a trial does not have are None."""
    names = dict.fromkeys(column.name.partition("/")[0] for column in space.columns)
    dotted = _dotted(params)
    absent = {name: None for name in names if name not in dotted}
    return {**absent, **dotted}


# ------------------------------------------------------------------------------------------------ the facts


def _facts(spec: StudySpec, trials: Sequence[Any], config: Callable[[dict[str, Any]], Any]) -> Iterator[Fact]:
    """The facts of all trials by time; at equal times, in the order in which the trials began."""
    begun = [trial for trial in trials if trial.datetime_start is not None]
    pairs = [(trial, made) for trial in begun if (made := _config_of(spec.space, trial, config)) is not None]
    # Trials are numbered here in the order in which they are handed out, but in Optuna a trial may start after one with
    # a higher number. So each gets a start time no later than those of all that follow it.
    starts = [trial.datetime_start.timestamp() for trial, _ in pairs]
    handed_out = list(accumulate(reversed(starts), min))[::-1]
    histories = [
        _history(spec, number, trial, made, at)
        for number, ((trial, made), at) in enumerate(zip(pairs, handed_out, strict=True))
    ]
    in_order = sorted((fact for history in histories for fact in history), key=lambda fact: fact.at)  # stable
    first, last = (in_order[0].at, in_order[-1].at) if in_order else (0.0, 0.0)
    yield StudyCreated(spec=spec.to_json(), at=first)
    yield SessionOpened(at=first)
    yield from in_order
    yield from _queue(spec, trials, config, last)
    yield StudyStopped(reason="imported from Optuna", at=last)


def _queue(
    spec: StudySpec, trials: Sequence[Any], config: Callable[[dict[str, Any]], Any], at: float
) -> Iterator[Enqueued]:
    """The facts of trials that were enqueued in Optuna and had not begun."""
    waiting = [trial for trial in trials if trial.state.name == "WAITING"]
    made = [_config_of(spec.space, trial, config) for trial in waiting]
    if unfit := [trial.number for trial, point in zip(waiting, made, strict=True) if point is None]:
        warnings.warn(
            f"trials {unfit} are left out: they wait in Optuna's queue, and what was enqueued is not a complete "
            f"configuration of the space",
            stacklevel=4,
        )
    for point in made:
        if point is not None:
            yield Enqueued(config=spec.space.pack(point), at=at)


def _config_of(space: Space, trial: Any, config: Callable[[dict[str, Any]], Any]) -> Any:
    """A trial's configuration; None if it is not in the space and the trial failed or has not ended."""
    try:
        return space.complete(config({**trial.system_attrs.get("fixed_params", {}), **trial.params}))
    except (SpaceError, LookupError) as error:
        if trial.state.name not in _WHOLE:
            return None
        raise SpaceError(f"trial {trial.number} of Optuna has no configuration in the space: {error}") from error


def _history(spec: StudySpec, number: int, trial: Any, config: Any, at: float) -> list[Fact]:
    """One trial's facts. Optuna does not keep the times of reports, so they get the time of the trial's end."""
    packed, start = spec.space.pack(config), trial.datetime_start.timestamp()
    begun: list[Fact] = [
        Enqueued(config=packed, at=at),
        Started(number=number, worker=_WORKER, config=packed, meta={"optuna": trial.number}, at=at),
    ]
    end = start if trial.datetime_complete is None else max(start, trial.datetime_complete.timestamp())
    goal = spec.goals[0].metric
    reports: list[Fact] = [
        Reported(number=number, attempt=1, step=step, metrics={goal: value}, verdict=Verdict.CONTINUE, at=end)
        for step, value in sorted(trial.intermediate_values.items())
        if math.isfinite(value)
    ]
    return [*begun, *reports, _outcome(spec, number, trial, end)]


def _outcome(spec: StudySpec, number: int, trial: Any, at: float) -> Fact:
    """How a trial ended; one that was still running goes back into the queue."""
    status = _STATUSES.get(trial.state.name)
    if status is None:
        return Requeued(number=number, attempt=1, reason="was running in Optuna", spent=False, at=at)
    values = dict(zip([goal.metric for goal in spec.goals], trial.values or (), strict=False))
    error = None
    if status is Status.COMPLETED and not all(map(math.isfinite, values.values())):
        status, error, values = Status.FAILED, f"not finite: {values}", {}
    elif status is not Status.FAILED and (broken := _broken_constraints(trial)):
        status, error = Status.FAILED, f"breaks constraint {', '.join(map(repr, broken))}"
        values = {metric: value for metric, value in values.items() if math.isfinite(value)}
    elif status is Status.FAILED:
        error = str(trial.user_attrs.get(f"{OWN}error") or trial.system_attrs.get("fail_reason") or "failed in Optuna")
    attributes = {name: value for name, value in _attributes(spec, trial).items() if is_scalar(value)}
    metrics = {**values, **attributes} if values or status is Status.FAILED else {}
    start = trial.datetime_start.timestamp()
    return Finished(
        number=number,
        attempt=1,
        status=status,
        metrics=metrics,
        error=error,
        started_at=start,
        duration_s=at - start,
        at=at,
    )


def _broken_constraints(trial: Any) -> list[str]:
    """The constraints that a trial breaks: those of ``set_constraint``, and those of ``constraints_func`` by position."""
    prefix, attributes = "constraints:", trial.system_attrs
    listed = {str(place): value for place, value in enumerate(attributes.get("constraints") or ())}
    named = {key.removeprefix(prefix): value for key, value in attributes.items() if key.startswith(prefix)}
    return [name for name, value in {**listed, **named}.items() if not value <= 0]


def _attributes(spec: StudySpec, trial: Any) -> dict[str, Any]:
    """A trial's user attributes by the names of metrics, as plain values."""
    goals = {goal.metric for goal in spec.goals}
    return {
        name: plain(value)
        for name, value in trial.user_attrs.items()
        if name not in goals and not name.startswith((OWN, "$"))
    }


def _warn_of_attributes(spec: StudySpec, trials: Sequence[Any]) -> None:
    given = {name for trial in trials for name in trial.user_attrs}
    if hidden := sorted(given.intersection(goal.metric for goal in spec.goals)):
        warnings.warn(
            f"user attributes {hidden} are left out: these are the names of Optuna's values here; name the values with "
            f"metric=",
            stacklevel=3,
        )
    names = {name for trial in trials for name, value in _attributes(spec, trial).items() if not is_scalar(value)}
    if names:
        warnings.warn(
            f"user attributes {sorted(names)} are left out: a metric is a number, text or None, not a list or a dict",
            stacklevel=3,
        )
