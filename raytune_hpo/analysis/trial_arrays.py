"""Trials as arrays: cached columns, computed by functions of single trials, and updated for trials that have changed.

Figures and importances read values of every trial. With 100,000 trials that takes most of their time, and between two
drawings of a growing study hardly any of them change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Status
from raytune_hpo.trial import Trial

STATUSES = tuple(Status)  # what the numbers of ``statuses`` stand for


class Column(Protocol):
    """A function of each trial by itself, computed for many at once. It must be hashable."""

    def __call__(self, trials: Sequence[Trial]) -> Array:
        """The values (n, ...) of n trials."""
        ...

    def __hash__(self) -> int: ...


class TrialArrays(Sequence[Trial]):
    """The trials of a study, with cached columns.

    Args:
        trials: by number.
    """

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = trials
        self._arrays: dict[Column, Array] = {}

    @classmethod
    def over(cls, trials: Sequence[Trial]) -> TrialArrays:
        """The trials as TrialArrays; unchanged if they already are."""
        return trials if isinstance(trials, TrialArrays) else cls(trials)

    def after(self, trials: Sequence[Trial], changed: Collection[int]) -> TrialArrays:
        """The current trials, with the cached values of unchanged ones.

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
        """The values of a column, (n, ...); read-only."""
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
    """The places of their statuses in STATUSES, (n,)."""
    code = {status: place for place, status in enumerate(STATUSES)}
    return np.array([code[trial.status] for trial in trials], dtype=np.int8)


def feasible_ones(trials: Sequence[Trial]) -> NDArray[np.bool_]:
    """Whether each has completed and keeps all outcome constraints, (n,)."""
    return np.array([trial.status is Status.COMPLETED and not trial.violations for trial in trials], dtype=bool)


def first_losses(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """The losses of completed trials in the first goal, (n,); NaN for the others."""
    return np.array([np.nan if trial.losses is None else trial.losses[0] for trial in trials], dtype=np.float64)


def finishing_times(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """When they finished, in epoch seconds, (n,); NaN for those that have not."""
    return np.array([np.nan if t.finished_at is None else t.finished_at for t in trials], dtype=np.float64)


def creation_times(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """When they were first handed out, in epoch seconds, (n,)."""
    return np.array([trial.created_at for trial in trials], dtype=np.float64)


def arms(trials: Sequence[Trial]) -> NDArray[np.object_]:
    """The arms that suggested them, (n,); None where there is none."""
    return _objects([trial.arm for trial in trials])


def workers(trials: Sequence[Trial]) -> NDArray[np.object_]:
    """The workers that have or had them last, (n,)."""
    return _objects([trial.worker for trial in trials])


def _objects(values: Sequence[str | None]) -> NDArray[np.object_]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
