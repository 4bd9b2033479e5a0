"""A study of Optuna as facts of ours: to be shown by our means, and to go on from."""

from __future__ import annotations

import math
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
from raytune_hpo.space.values import is_scalar
from raytune_hpo.spec import StudySpec

_WHOLE = ("COMPLETE", "PRUNED")
_STATUSES = {"COMPLETE": Status.COMPLETED, "PRUNED": Status.PRUNED, "FAIL": Status.FAILED}
_WORKER = "optuna"


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
    """The trials of a study of Optuna, by the same numbers where all of them can be taken over.

    Kept in a storage, the study goes on where a Tuner of the same name, space, metric, sampler and storage takes it up;
    trials that were running are then run again. Trials that lack some of their parameters are left out.

    Args:
        space: by default that of the trials' distributions, with ranges that changed widened to hold them all. A
            parameter that some trials do not have is a choice there, None where it is absent; "/" in names becomes ".".
        config: makes a configuration of ``space`` from the flat parameters of a trial; by default they are one.
        metric: what to call the values; by default what the study calls them, or "value".
        sampler, scheduler: with which it shall go on, as for Tuner.
        name: by default the study's own.
        storage: as for Tuner, of this machine; None keeps it nowhere.

    Raises:
        SpaceError: a trial is not in the space.
        StudyExists: the storage has a study of the name.
    """
    trials = study.get_trials(deepcopy=False)
    found = _space_of(trials) if space is None else Space.of(space)
    settings = Settings(
        metric=_metrics_of(study) if metric is None else metric,
        mode=[direction.name.lower()[:3] for direction in study.directions],
        sampler=sampler,
        scheduler=scheduler,
        name=study.study_name if name is None else name,
        recorded={"runtime": "optuna"},
    )
    spec = RunPlan.of(found, settings).spec
    facts = list(_facts(spec, trials, config or partial(_filled, spec.space)))
    if storage is not None:
        _store(spec.name, facts, storage)
    return Results.from_ledger(Ledger.fold(facts, spec))


def _metrics_of(study: Any) -> list[str]:
    names = getattr(study, "metric_names", None)
    if names is not None:
        return list(names)
    return ["value"] if len(study.directions) == 1 else [f"value_{index}" for index in range(len(study.directions))]


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
    """Of the trials that got so far that they have all of their parameters."""
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
    """One distribution for all: ranges may change from trial to trial, choices may not."""
    first = distributions[0]
    if all(distribution == first for distribution in distributions):
        return first
    if not hasattr(first, "low") or any(type(distribution) is not type(first) for distribution in distributions):
        raise SpaceError(f"no one domain holds {', '.join(map(str, distributions[:3]))} ...; give space= and config=")
    lo, hi = min(d.low for d in distributions), max(d.high for d in distributions)
    return type(first)(lo, hi, log=first.log)


def _dotted(params: Mapping[str, Any]) -> dict[str, Any]:
    """Names as ours may be."""
    dotted = {name.replace("/", "."): value for name, value in params.items()}
    if len(dotted) < len(params):
        raise SpaceError(
            f'two parameters have one name where "/" becomes ".": {sorted(params)}; give space= and config='
        )
    return dotted


def _filled(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of such a space: what a trial does not have is None."""
    names = dict.fromkeys(column.name.partition("/")[0] for column in space.columns)
    dotted = _dotted(params)
    absent = {name: None for name in names if name not in dotted}
    return {**absent, **dotted}


# ------------------------------------------------------------------------------------------------ the facts


def _facts(spec: StudySpec, trials: Sequence[Any], config: Callable[[dict[str, Any]], Any]) -> Iterator[Fact]:
    """Of all trials, in the order of their times; of one moment, in the order in which they were begun."""
    begun = [trial for trial in trials if trial.datetime_start is not None]
    pairs = [(trial, made) for trial in begun if (made := _config_of(spec.space, trial, config)) is not None]
    # Ours are numbered as they are handed out. One that started after a later number was, so to say, handed out before.
    starts = [trial.datetime_start.timestamp() for trial, _ in pairs]
    handed_out = list(accumulate(reversed(starts), min))[::-1]
    histories = [
        _history(spec, number, trial, made, at)
        for number, ((trial, made), at) in enumerate(zip(pairs, handed_out, strict=True))
    ]
    told = sorted((fact for history in histories for fact in history), key=lambda fact: fact.at)  # stable
    first, last = (told[0].at, told[-1].at) if told else (0.0, 0.0)
    yield StudyCreated(spec=spec.to_json(), at=first)
    yield SessionOpened(at=first)
    yield from told
    yield StudyStopped(reason="imported from Optuna", at=last)


def _config_of(space: Space, trial: Any, config: Callable[[dict[str, Any]], Any]) -> Any:
    """A trial's configuration; None if it failed or was looked at before it had one."""
    try:
        made = config(dict(trial.params))
        space.check(made)
        return made
    except (SpaceError, LookupError) as error:
        if trial.state.name not in _WHOLE:
            return None
        raise SpaceError(f"trial {trial.number} of Optuna has no configuration in the space: {error}") from error


def _history(spec: StudySpec, number: int, trial: Any, config: Any, at: float) -> list[Fact]:
    """One trial's facts. Optuna does not keep when a value was reported: they stand at the trial's end."""
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
    status = _STATUSES.get(trial.state.name)
    if status is None:
        return Requeued(number=number, attempt=1, reason="was running in Optuna", spent=False, at=at)
    values = dict(zip([goal.metric for goal in spec.goals], trial.values or (), strict=False))
    error = None
    if status is Status.COMPLETED and not all(map(math.isfinite, values.values())):
        status, error, values = Status.FAILED, f"not finite: {values}", {}
    elif status is Status.FAILED:
        error = str(trial.user_attrs.get(f"{OWN}error") or trial.system_attrs.get("fail_reason") or "failed in Optuna")
    metrics = {**values, **_attributes(trial, spec)} if values or status is Status.FAILED else {}
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


def _attributes(trial: Any, spec: StudySpec) -> dict[str, Any]:
    """The user's attributes that can be metrics."""
    goals = {goal.metric for goal in spec.goals}
    return {
        name: value
        for name, value in trial.user_attrs.items()
        if name not in goals and not name.startswith((OWN, "$")) and is_scalar(value)
    }
