"""The history that a model learns from: the trials of one study as columns, a row for each trial.

X  (n, d)  coordinates in the unit cube; NaN where a parameter was not active
Y  (n, m)  losses of m goals; NaN where a trial failed, or has none
C  (n, c)  by how much c outcome constraints are broken, below 0 where they are kept; NaN where that is not known
told  (n,)  how many trials had been told when each was suggested; -1 where it was not recorded
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal, excesses_of
from raytune_hpo.numerics.curves import Curves
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_Fit = TypeVar("_Fit")

_EVERY = 20  # trials; up to here models are fitted after every one, later after every tenth part more
_GROWTH = 1.1
_MOST_REPORTS = 200  # reports that are kept of a curve

TOLD = "told"  # the key in ``meta``: how many trials the sampler had been told when it suggested this one


@dataclass(frozen=True, eq=False)
class Observed:
    """The first n trials, in the order in which each was first told. The arrays are views: not to be written to.

    Attributes:
        X: (n, d) rows.
        Y: (n, m) losses.
        curves: what the trials reported at which step; None if all losses are those of completed trials, or if curves
            were not asked for.
        C: (n, c) excesses over c outcome constraints; None if there are none.
        told: (n,) how many trials had been told when each was suggested, -1 if not known; None if it is not kept.
        num_running: how many trials, the last ones, are still in their first run, so that their losses may change.
    """

    X: Array
    Y: Array
    curves: Curves | None = None
    C: Array | None = None
    told: Array | None = None
    num_running: int = 0

    def __len__(self) -> int:
        return len(self.X)

    def first(self, n: int) -> Observed:
        """The first n of them: models are fitted to prefixes, so that a fit can be repeated."""
        return Observed(
            self.X[:n],
            self.Y[:n],
            None if self.curves is None else self.curves.first(n),
            None if self.C is None else self.C[:n],
            None if self.told is None else self.told[:n],
            max(0, n - len(self) + self.num_running),
        )

    def without_needless_curves(self) -> Observed:
        """The same without curves, if these add nothing to the losses: no trial was stopped or paused."""
        if self.curves is None or (~np.isnan(self.Y).any(axis=1) & ~self.curves.completed).any():
            return self
        return replace(self, curves=None)

    def is_same(self, other: Observed) -> bool:
        """Whether both have the same rows, losses and constraints, so that a fit to one is a fit to the other."""
        if (self.C is None) is not (other.C is None):
            return False
        pairs = [(self.X, other.X), (self.Y, other.Y)]
        if self.C is not None and other.C is not None:
            pairs.append((self.C, other.C))
        return all(np.array_equal(one, another, equal_nan=True) for one, another in pairs)


class Memo(Generic[_Fit]):
    """A memo of the newest fit, kept until the fit of another history is asked for."""

    def __init__(self) -> None:
        self._newest: tuple[Observed, _Fit] | None = None

    def of(self, observed: Observed, fit: Callable[[], _Fit]) -> _Fit:
        """The fit to these results: the one in the memo or, if that is of other results, a new one."""
        newest = self._newest
        if newest is None or not newest[0].is_same(observed):
            newest = self._newest = observed, fit()
        return newest[1]


class Training(NamedTuple):
    """The training data of a model.

    Attributes:
        X: (n, d) rows.
        y: (n,) losses as the model sees them: transformed and standardised.
        losses: (n,) before the transform.
    """

    X: Array
    y: Array
    losses: Array

    def best(self, most: int) -> Array:
        """The rows of the best trials, the best first."""
        return self.X[np.argsort(self.y, kind="stable")[:most]]


class _Note(NamedTuple):
    """The record of a trial, before it is written to the columns.

    Its row, configuration, losses, the losses (k, m) at k steps, whether it completed, by how much it breaks the
    constraints, and how many trials had been told when it was suggested.
    """

    row: int
    config: Mapping[str, Any]
    losses: tuple[float, ...] | None
    steps: Array
    curve: Array
    completed: bool
    excesses: tuple[float, ...]
    told: int


class _Columns(NamedTuple):
    """Arrays with room for more than the n rows that have been written."""

    X: Array
    Y: Array
    C: Array
    told: Array
    curves: Curves | None
    n: int

    def written(self) -> Observed:
        """The rows that have been written."""
        C = self.C[: self.n] if self.C.shape[1] else None
        return Observed(self.X[: self.n], self.Y[: self.n], self.curves, C, self.told[: self.n, 0])


class History:
    """The finished trials of one study and, for samplers that read reports, the paused ones.

    ``tell`` only records a trial; ``read`` encodes all that came since, at once. A trial that is told again, after it was
    resumed, replaces its earlier row. What was read stays valid while more is told, so an ask needs neither lock nor
    copy.

    Args:
        num_goals: how many losses a trial has.
        keeps_curves: whether the trials' reports are kept too.
        constraints: outcome constraints; the history keeps by how much completed trials break them.
    """

    def __init__(
        self, space: Space, num_goals: int, *, keeps_curves: bool = False, constraints: Sequence[Goal] = ()
    ) -> None:
        self._space, self._num_goals, self._keeps_curves = space, num_goals, keeps_curves
        self._constraints = tuple(constraints)
        self._rows: dict[int, int] = {}  # rows by trial number
        self._numbers: list[int] = []  # trial numbers by row
        self._notes: list[_Note] = []
        curves = Curves.none(num_goals) if keeps_curves else None
        X, Y, C, told = (np.empty((0, width)) for width in (space.num_columns, num_goals, len(self._constraints), 1))
        self._columns = _Columns(X, Y, C, told, curves, 0)
        self._read = 0  # how many notes have been written to the columns

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, number: int) -> bool:
        return number in self._rows

    def row(self, number: int) -> int:
        """The row of a trial."""
        return self._rows[number]

    def number(self, row: int) -> int:
        """The number of the trial in a row."""
        return self._numbers[row]

    def tell(self, trial: Trial, *, at_its_best: bool = False) -> None:
        """Note a trial. One that paused or was pruned counts with its last report, a failed one with no loss.

        Args:
            at_its_best: a pruned one counts with the best of its reports instead, separately for each goal.
        """
        if trial.number not in self._rows:
            self._rows[trial.number] = len(self._numbers)
            self._numbers.append(trial.number)
        self._notes.append(self._note(trial, self._rows[trial.number], at_its_best))

    def read(self, running: Sequence[Trial] = ()) -> Observed:
        """All that was told so far.

        Args:
            running: further trials, which count with what they have reported so far; those that were not told before
                come last.
        """
        return self.read_curves(running).without_needless_curves()

    def read_curves(self, running: Sequence[Trial] = ()) -> Observed:
        """As ``read``, with the curves even if these add nothing to the losses."""
        n = len(self._notes)
        if self._read < n:
            self._columns, self._read = self._after(self._columns, self._notes[self._read : n]), n
        columns, told = self._columns, len(self._rows)
        new = told
        if running:
            rows, notes = self._rows, []
            for trial in running:
                notes.append(self._note(trial, rows.get(trial.number, new), False))
                new += notes[-1].row == new
            columns = self._after(_copied(columns, new), notes)
        return replace(columns.written(), num_running=new - told)

    def _note(self, trial: Trial, row: int, at_its_best: bool) -> _Note:
        losses = None if trial.status is Status.FAILED else trial.last_losses
        curve: dict[int, tuple[float, ...]] = {}
        if at_its_best and trial.status is Status.PRUNED and losses is not None:
            reported = [report.losses for report in trial.reports if report.losses is not None]
            losses = tuple(min(column) for column in zip(*reported, strict=True))
        if self._keeps_curves and losses is not None:
            curve = {report.step: report.losses for report in trial.reports if report.losses is not None}
        steps, values = np.array(list(curve), dtype=np.int64), np.array(list(curve.values()), dtype=np.float64)
        kept = _thinned(len(steps))
        return _Note(
            row,
            trial.config,
            losses,
            steps[kept],
            values.reshape(-1, self._num_goals)[kept],
            trial.status is Status.COMPLETED,
            self._excesses(trial),
            told_before(trial),
        )

    def _excesses(self, trial: Trial) -> tuple[float, ...]:
        """By how much a trial breaks each constraint; NaN before it has completed, since a metric may still change."""
        if trial.status is not Status.COMPLETED:
            return (np.nan,) * len(self._constraints)
        return excesses_of(trial.metrics, self._constraints)

    def _after(self, columns: _Columns, notes: Sequence[_Note]) -> _Columns:
        """The columns after these notes: the same arrays if all rows are new and there is room, else copies."""
        newest = {note.row: note for note in notes}
        rows, n = np.array(list(newest)), max(columns.n, *(row + 1 for row in newest))
        if rows.min() < columns.n or n > len(columns.X):
            columns = _copied(columns, 2 * n)
        columns.X[rows] = self._space.encode([note.config for note in newest.values()])
        nothing = (np.nan,) * self._num_goals
        columns.Y[rows] = [nothing if note.losses is None else note.losses for note in newest.values()]
        columns.C[rows] = [note.excesses for note in newest.values()]
        columns.told[rows, 0] = [note.told for note in newest.values()]
        curves = columns.curves and columns.curves.replaced(
            rows,
            [note.steps for note in newest.values()],
            [note.curve for note in newest.values()],
            np.array([note.losses if note.completed and note.losses else nothing for note in newest.values()]),
        )
        return _Columns(columns.X, columns.Y, columns.C, columns.told, curves, n)


def told_before(trial: Trial) -> int:
    """How many trials had been told when this one was suggested; -1 if that is not known."""
    told = trial.meta.get(TOLD)
    return told if isinstance(told, int) else -1


def representatives(y: Array, most: int) -> Array:
    """Positions of at most ``most`` trials that represent all of them, in order.

    Half are the best, a quarter the newest, and the rest from all over the study.

    Args:
        y: (n,) losses, in the order in which they were told.
    """
    n = len(y)
    if n <= most:
        return np.arange(n)
    kept = np.zeros(n, dtype=bool)
    kept[np.argsort(y, kind="stable")[: most // 2]] = True
    kept[n - most // 4 :] = True
    others = np.flatnonzero(~kept)
    kept[others[np.linspace(0, len(others) - 1, most - int(kept.sum())).astype(np.intp)]] = True
    return np.flatnonzero(kept)


def last_due(n: int) -> int:
    """The largest length <= n at which a model is fitted: every one at first, then a tenth more each time."""
    if n <= _EVERY:
        return n
    due = _EVERY
    while (following := max(due + 1, int(due * _GROWTH))) <= n:
        due = following
    return due


def _copied(columns: _Columns, room: int) -> _Columns:
    """A copy with room for ``room`` rows; views of the old rows stay as they are."""

    def grown(rows: Array) -> Array:
        copy = np.full((room, rows.shape[1]), np.nan)
        copy[: columns.n] = rows[: columns.n]
        return copy

    told = grown(columns.told)
    return _Columns(grown(columns.X), grown(columns.Y), grown(columns.C), told, columns.curves, columns.n)


def _thinned(n: int) -> Array:
    """Positions of at most 200 of n reports: all of a short curve; of a long one the first, and then ever fewer."""
    if n <= _MOST_REPORTS:
        return np.arange(n)
    return np.unique(np.geomspace(1, n, _MOST_REPORTS).round().astype(np.intp)) - 1
