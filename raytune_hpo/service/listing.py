"""Lists of trials: filters, sort orders, and cursors that stay valid while the study runs."""

from __future__ import annotations

import base64
import hashlib
import json
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.analysis.series import Floats
from raytune_hpo.analysis.trial_arrays import STATUSES, status_codes
from raytune_hpo.display.text import short
from raytune_hpo.facts import Status
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.problems import Problem
from raytune_hpo.trial import Trial

_WHERE = re.compile(r"\s*(\S.*?)\s*(<=|>=|==|!=|<|>|=)\s*(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*")
_HUGE = 1e308  # whole numbers may lie beyond all floats
_Place = tuple[float, ...]  # the sort key, and at last the trial's number
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A query for a list of trials.

    Attributes:
        where: ``column op number``; None: no such filter.
        sort: "number", "-number", "metric" (completed trials only, feasible ones before others, best first) or "duration"
            (finished trials only).
    """

    status: str | None = None
    where: str | None = None
    sort: str = "number"

    @property
    def digest(self) -> str:
        """A digest of the query, which its cursors carry: a cursor is valid for one query only."""
        return hashlib.sha256(repr((self.status, self.where, self.sort)).encode()).hexdigest()[:10]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a list.

    Attributes:
        next: the cursor of the next page; None at the end.
        seq: how many facts the study had.
    """

    trials: tuple[Trial, ...]
    next: str | None
    seq: int


def page_of(fold: Fold, listing: Listing, limit: int, cursor: str | None) -> Page:
    """The page after a cursor.

    Raises:
        Problem: the cursor is of another list, or the filter names no column.
    """
    after = None if cursor is None else _place(cursor, listing)
    places = list(islice(_ordered(fold, listing.sort, after, _matching(fold, listing)), limit + 1))
    shown, trials = places[:limit], fold.ledger.trials
    return Page(
        trials=tuple(trials[int(place[-1])] for place in shown),
        next=_cursor(shown[-1], listing) if len(places) > limit else None,
        seq=fold.seq,
    )


def count(fold: Fold, listing: Listing) -> int:
    """How many trials a list has in all."""
    return sum(1 for _ in _ordered(fold, listing.sort, None, _matching(fold, listing)))


def columns(fold: Fold) -> list[str]:
    """The names that a filter may use: goals, other metrics of the newest trials, and parameters."""
    trials = fold.ledger.trials
    newest = [*trials[-20:], *([fold.ledger.best[0]] if fold.ledger.best[0] else [])]
    names = [goal.metric for goal in fold.ledger.spec.goals]
    names += [name for trial in newest for name in trial.metrics]
    names += [name for trial in [*trials[:20], *newest] for name in flattened(trial.config)]
    return list(dict.fromkeys([*names, "number", "duration_s"]))


def value_in(trial: Trial, column: str, missing: Any = None) -> Any:
    """A trial's value in a column; ``missing`` where it has none."""
    if column in ("number", "duration_s"):
        return getattr(trial, column)
    if column in trial.metrics:
        return trial.metrics[column]
    if column in trial.config:
        return trial.config[column]
    return flattened(trial.config).get(column, missing)  # that of a branch


@dataclass(frozen=True)
class _Numbers:
    """The column of what a table shows under a name: numbers, and NaN for all else."""

    name: str

    def __call__(self, trials: Sequence[Trial]) -> Floats:
        cells = [value_in(trial, self.name) for trial in trials]
        return np.array([v if isinstance(v, (int, float)) and abs(v) < _HUGE else np.nan for v in cells], np.float64)


def _matching(fold: Fold, listing: Listing) -> NDArray[np.bool_] | None:
    """Which trials the filters let through, by number; None: all."""
    if listing.where is None and listing.status is None:
        return None
    arrays = fold.results.arrays
    found = np.ones(len(arrays), dtype=bool)
    if listing.status is not None:
        found = arrays.of(status_codes) == STATUSES.index(Status(listing.status))
    if listing.where is None:
        return found
    parsed = _WHERE.fullmatch(listing.where)
    known = columns(fold)
    if parsed is None or parsed[1] not in known:
        raise Problem(
            "bad-request",
            f"where is COLUMN OP NUMBER, such as {known[0]} < 0.5, with one of the columns {', '.join(known[:40])}; "
            f"got {listing.where[:100]!r}",
        )
    values = arrays.of(_Numbers(parsed[1]))
    return found & ~np.isnan(values) & _OPERATORS[parsed[2]](values, float(parsed[3]))


def _ordered(fold: Fold, sort: str, after: _Place | None, matching: NDArray[np.bool_] | None) -> Iterator[_Place]:
    """The places of trials that match, after one of these."""
    if sort in ("number", "-number"):
        num = len(fold.ledger.trials)
        numbers = range(num) if matching is None else np.flatnonzero(matching).tolist()
        if sort == "number":
            begin = 0 if after is None else bisect_right(numbers, after[-1])
            return ((0.0, number) for number in numbers[begin:])
        end = len(numbers) if after is None else bisect_left(numbers, after[-1])
        return ((0.0, number) for number in reversed(numbers[:end]))
    column: Sequence[_Place] = fold.by_loss if sort == "metric" else fold.by_duration
    begin = 0 if after is None else bisect_right(column, after)
    places = islice(column, begin, None)
    if matching is None:
        return places
    is_match = matching.tobytes()  # one by one, bytes are read more quickly than an array
    return (place for place in places if is_match[int(place[-1])])


def _cursor(place: _Place, listing: Listing) -> str:
    return base64.urlsafe_b64encode(json.dumps([listing.digest, place]).encode()).decode().rstrip("=")


def _place(cursor: str, listing: Listing) -> _Place:
    try:
        digest, place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if digest == listing.digest:
            return (*map(float, place[:-1]), int(place[-1]))
    except (ValueError, TypeError, IndexError, KeyError):
        pass  # the error is raised below
    raise bad_cursor(cursor)


def bad_cursor(cursor: str) -> Problem:
    """The problem of a cursor that is not one of this list."""
    rule = "a cursor is the `next` of a page of the same list"
    return Problem("bad-cursor", f"{rule}, got {short(repr(cursor))}; begin again without one")
