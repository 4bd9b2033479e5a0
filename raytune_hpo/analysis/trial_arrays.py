"""Trials as arrays: functions of single trials, evaluated into one row per trial and cached until the trial changes.

Figures and importances read something from every trial. For 100,000 trials that takes most of their time, and a page that
redraws a growing study has read nearly all of it before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Status
from raytune_hpo.trial import Trial

STATUSES = tuple(Status)  # ``status_codes`` are positions in it


class Column(Protocol):
    """A function whose value for a trial does not depend on the other trials. It is hashable, as a key of the cache."""

    def __call__(self, trials: Sequence[Trial]) -> Array:
        """The values for n trials, (n, ...)."""
        ...

    def __hash__(self) -> int: ...


class TrialArrays(Sequence[Trial]):
    """The trials of a study, with the columns evaluated for them.

    Args:
        trials: the trials, in the order of their numbers.
    """

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = trials
        self._arrays: dict[Column, Array] = {}

    @classmethod
    def over(cls, trials: Sequence[Trial]) -> TrialArrays:
        """The argument itself if it has arrays already, otherwise new arrays over the trials."""
        return trials if isinstance(trials, TrialArrays) else cls(trials)

    def after(self, trials: Sequence[Trial], changed: Collection[int]) -> TrialArrays:
        """Arrays over the newer trials, which reuse the values of those that have not changed.

        Args:
            changed: the numbers of changed and new trials.
        """
        grown = TrialArrays(trials)
        rows = sorted(changed)
        read = [trials[row] for row in rows]
        for column, array in self._arrays.items():
            fresh = column(read)
            whole = np.empty((len(trials), *fresh.shape[1:]), fresh.dtype)
            whole[: len(array)] = array
            whole[rows] = fresh
            grown._arrays[column] = whole
        return grown

    def of(self, column: Column) -> Array:
        """The values of a column, (n, ...), read-only."""
        found = self._arrays.get(column)
        if found is None:
            found = self._arrays[column] = column(self._trials)
        return found

    def which(self, *statuses: Status) -> NDArray[np.intp]:
        """The positions of the trials that have one of the statuses."""
        return np.flatnonzero(np.isin(self.of(status_codes), [STATUSES.index(status) for status in statuses]))

    def __len__(self) -> int:
        return len(self._trials)

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Trial]: ...
    def __getitem__(self, index: int | slice) -> Trial | Sequence[Trial]:
        return self._trials[index]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)


def status_codes(trials: Sequence[Trial]) -> NDArray[np.int8]:
    """The position of each trial's status in STATUSES, (n,)."""
    code = {status: place for place, status in enumerate(STATUSES)}
    return np.array([code[trial.status] for trial in trials], dtype=np.int8)


def feasible_ones(trials: Sequence[Trial]) -> NDArray[np.bool_]:
    """Whether each trial has completed and meets all outcome constraints, (n,)."""
    return np.array([trial.status is Status.COMPLETED and not trial.violations for trial in trials], dtype=bool)


def first_losses(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """The losses of completed trials in the first goal, (n,); NaN for the others."""
    return np.array([np.nan if trial.losses is None else trial.losses[0] for trial in trials], dtype=np.float64)


def finishing_times(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """When each trial finished, in epoch seconds, (n,); NaN if it has not."""
    return np.array([np.nan if t.finished_at is None else t.finished_at for t in trials], dtype=np.float64)


def creation_times(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """When each trial was first handed out, in epoch seconds, (n,)."""
    return np.array([trial.created_at for trial in trials], dtype=np.float64)


def arms(trials: Sequence[Trial]) -> NDArray[np.object_]:
    """The arm that suggested each trial, (n,), or None."""
    return _objects([trial.arm for trial in trials])


def workers(trials: Sequence[Trial]) -> NDArray[np.object_]:
    """The worker that has or last had each trial, (n,)."""
    return _objects([trial.worker for trial in trials])


def _objects(values: Sequence[str | None]) -> NDArray[np.object_]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
