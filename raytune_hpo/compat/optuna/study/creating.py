"""Creating, loading, copying, listing and deleting studies."""

from __future__ import annotations

import uuid
from collections.abc import Container, Sequence
from typing import Any

from raytune_hpo.compat.optuna.directions import StudyDirection, direction_of, mode_of
from raytune_hpo.compat.optuna.exceptions import DuplicatedStudyError
from raytune_hpo.compat.optuna.logging import library_logger
from raytune_hpo.compat.optuna.pruners import BasePruner
from raytune_hpo.compat.optuna.pruners.base import check_pruner
from raytune_hpo.compat.optuna.record import Record
from raytune_hpo.compat.optuna.samplers import BaseSampler, TPESampler, sampler_of
from raytune_hpo.compat.optuna.samplers.base import check_sampler
from raytune_hpo.compat.optuna.storages import BaseStorage, get_storage
from raytune_hpo.compat.optuna.study.study import Study
from raytune_hpo.compat.optuna.study.summary import StudySummary, summary_of
from raytune_hpo.compat.optuna.trial._state import TrialState


def create_study(
    *,
    storage: str | BaseStorage | None = None,
    sampler: BaseSampler | None = None,
    pruner: BasePruner | None = None,
    study_name: str | None = None,
    direction: str | StudyDirection | None = None,
    load_if_exists: bool = False,
    directions: Sequence[str | StudyDirection] | None = None,
) -> Study:
    """Create a study or, with ``load_if_exists``, load the existing one of its name.

    Args:
        storage: a URL or a storage; None: in memory.
        sampler: None: TPE.
        pruner: None: a MedianPruner.
        study_name: None: a new one.
        direction: "minimize" (None) or "maximize".
        load_if_exists: whether a study of this name is loaded; otherwise the name is refused.
        directions: those of several goals.

    Raises:
        ValueError: a direction and directions are given, or one is neither "minimize" nor "maximize".
        OptunaError: the sampler is not one of this layer, or the pruner is none.
        DuplicatedStudyError: there is a study of that name.
    """
    check_pruner(pruner)
    named = _directions(direction, directions)
    place = get_storage(storage)
    name = f"no-name-{uuid.uuid4()}" if study_name is None else study_name
    if place.studies.has(name):
        if not load_if_exists:
            raise DuplicatedStudyError(f"there is a study {name!r}; load_if_exists=True continues it")
        library_logger().info("Using an existing study with name '%s' instead of creating a new one.", name)
        return _opened(place, name, sampler, pruner)
    sampler = TPESampler() if sampler is None else sampler
    check_sampler(sampler)
    record = place.studies.new(name, lambda storage: _made(name, named, sampler, storage))
    for point in sampler.first_points(named):
        record.enqueue(point, {})
    where = "in memory" if place.url is None else "in storage"
    library_logger().info("A new study created %s with name: %s", where, name)
    return Study(record, place, sampler, pruner)


def load_study(
    *,
    study_name: str | None = None,
    storage: str | BaseStorage,
    sampler: BaseSampler | None = None,
    pruner: BasePruner | None = None,
) -> Study:
    """Load an existing study; its name may be left out if it is the only one.

    Raises:
        KeyError: there is no study of that name.
        ValueError: no name is given, and there is not exactly one study.
        OptunaError: the pruner is none.
    """
    check_pruner(pruner)
    place = get_storage(storage)
    return _opened(place, _one_name(place) if study_name is None else study_name, sampler, pruner)


def delete_study(*, study_name: str, storage: str | BaseStorage) -> None:
    """Delete a study.

    Raises:
        KeyError: there is no study of that name.
    """
    get_storage(storage).studies.delete(study_name)


def copy_study(
    *,
    from_study_name: str,
    from_storage: str | BaseStorage,
    to_storage: str | BaseStorage,
    to_study_name: str | None = None,
) -> None:
    """Copy a study with its trials and notes.

    Raises:
        KeyError: there is no study of that name.
        DuplicatedStudyError: the other storage has a study of the new name.
    """
    old = load_study(study_name=from_study_name, storage=from_storage)
    name = from_study_name if to_study_name is None else to_study_name
    new = create_study(study_name=name, storage=to_storage, directions=list(old.directions), sampler=old.sampler)
    for key, value in old.user_attrs.items():
        new.set_user_attr(key, value)
    for key, value in old.system_attrs.items():
        new.set_system_attr(key, value)
    new.add_trials(old.get_trials(deepcopy=False))


def get_all_study_names(storage: str | BaseStorage) -> list[str]:
    """The names of the studies in a storage."""
    return get_storage(storage).study_names()


def get_all_study_summaries(storage: str | BaseStorage, include_best_trial: bool = True) -> list[StudySummary]:
    """Summaries of the studies in a storage."""
    place = get_storage(storage)
    return [
        summary_of(load_study(study_name=name, storage=place), include_best_trial=include_best_trial)
        for name in place.study_names()
    ]


class MaxTrialsCallback:
    """Stops a study when it has ``n_trials`` trials, counted over all sessions.

    Args:
        states: the states of the trials that count; None: all.
    """

    def __init__(self, n_trials: int, states: Container[TrialState] | None = (TrialState.COMPLETE,)) -> None:
        self._n_trials, self._states = n_trials, states

    def __call__(self, study: Study, trial: Any) -> None:
        if len(study.get_trials(deepcopy=False, states=self._states)) >= self._n_trials:
            study.stop()


def _directions(direction: Any, directions: Any) -> list[StudyDirection]:
    if direction is not None and directions is not None:
        raise ValueError("direction and directions exclude each other, got both")
    if directions is None:
        return [direction_of("minimize" if direction is None else direction)]
    if isinstance(directions, str) or len(directions) < 1:
        raise ValueError(f"directions is a list of at least one direction, got {directions!r}")
    return [direction_of(one) for one in directions]


def _made(name: str, directions: list[StudyDirection], sampler: BaseSampler, storage: Any) -> Record:
    return Record.new(
        name,
        [mode_of(direction) for direction in directions],
        sampler.part(len(directions)),
        sampler.next_seed(),
        storage,
        is_constrained=sampler.is_constrained,
        recorded={} if sampler.is_ours else {"own_sampler": type(sampler).__qualname__},
    )


def _opened(place: BaseStorage, name: str, sampler: BaseSampler | None, pruner: BasePruner | None) -> Study:
    record = place.studies.record(name)
    study = Study(record, place, sampler_of(record.spec), pruner)
    if sampler is not None:
        study.sampler = sampler
    on_left = place.get_failed_trial_callback()
    left, record.left = record.left, []
    for number in left if on_left is not None else ():
        assert on_left is not None
        on_left(study, study.frozen(number))
    return study


def _one_name(place: BaseStorage) -> str:
    names = place.study_names()
    if len(names) != 1:
        raise ValueError(f"the name of a study may be left out where there is one study, the storage has {len(names)}")
    return names[0]
