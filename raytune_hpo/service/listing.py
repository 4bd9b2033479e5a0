"""Lists of trials: filters, orders, and cursors that keep their place while the study goes on."""

from __future__ import annotations

import base64
import hashlib
import json
import operator
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.problems import Problem
from raytune_hpo.trial import Trial

_WHERE = re.compile(r"\s*(\S.*?)\s*(<=|>=|==|!=|<|>|=)\s*(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*")
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
    """What is asked of a list.

    Attributes:
        where: ``column op number``; None: no such filter.
        sort: "number", "-number", "metric" (best first; completed trials only) or "duration" (finished trials only).
    """

    status: str | None = None
    where: str | None = None
    sort: str = "number"

    @property
    def digest(self) -> str:
        """Tells lists apart: a cursor is good for one."""
        return hashlib.sha256(repr((self.status, self.where, self.sort)).encode()).hexdigest()[:10]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of a list.

    Attributes:
        next: the cursor of the part after it; None at the end.
        seq: how many facts there were.
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
    matches = _filter(fold, listing)
    found: list[tuple[Any, Trial]] = []
    for place, trial in _ordered(fold, listing.sort, after):
        if matches(trial):
            if len(found) == limit:
                return Page(trials=_trials(found), next=_cursor(found[-1][0], listing), seq=fold.seq)
            found.append((place, trial))
    return Page(trials=_trials(found), next=None, seq=fold.seq)


def count(fold: Fold, listing: Listing) -> int:
    """How many trials a list has in all."""
    matches = _filter(fold, listing)
    return sum(matches(trial) for _, trial in _ordered(fold, listing.sort, None))


def columns(fold: Fold) -> list[str]:
    """The names that a filter may use: goals, other metrics of the newest trials, and parameters."""
    trials = fold.ledger.trials
    newest = [*trials[-20:], *([fold.ledger.best[0]] if fold.ledger.best[0] else [])]
    names = [goal.metric for goal in fold.ledger.spec.goals]
    names += [name for trial in newest for name in trial.metrics]
    names += [name for trial in [*trials[:20], *newest] for name in flattened(trial.config)]
    return list(dict.fromkeys([*names, "number", "duration_s"]))


def value_in(trial: Trial, column: str) -> Any:
    """A trial's value in a column; None where it has none."""
    if column in ("number", "duration_s"):
        return getattr(trial, column)
    if column in trial.metrics:
        return trial.metrics[column]
    return trial.config[column] if column in trial.config else flattened(trial.config).get(column)  # of a branch


def _trials(found: Iterable[tuple[Any, Trial]]) -> tuple[Trial, ...]:
    return tuple(trial for _, trial in found)


def _filter(fold: Fold, listing: Listing) -> Callable[[Trial], bool]:
    if listing.where is None:
        return lambda trial: listing.status is None or trial.status == listing.status
    parsed = _WHERE.fullmatch(listing.where)
    known = columns(fold)
    if parsed is None or parsed[1] not in known:
        raise Problem(
            "bad-request",
            f"where is COLUMN OP NUMBER, such as {known[0]} < 0.5, with one of the columns {', '.join(known[:40])}; "
            f"got {listing.where[:100]!r}",
        )
    column, compare, bound = parsed[1], _OPERATORS[parsed[2]], float(parsed[3])

    def matches(trial: Trial) -> bool:
        if listing.status is not None and trial.status != listing.status:
            return False
        value = value_in(trial, column)
        return isinstance(value, (int, float)) and compare(value, bound)

    return matches


def _ordered(fold: Fold, sort: str, after: Any) -> Iterator[tuple[Any, Trial]]:
    """Trials with the places that a cursor remembers, after one of these."""
    trials = fold.ledger.trials
    if sort == "number":
        return ((n, trials[n]) for n in range(0 if after is None else after + 1, len(trials)))
    if sort == "-number":
        return ((n, trials[n]) for n in range(len(trials) - 1 if after is None else after - 1, -1, -1))
    column = fold.by_loss if sort == "metric" else fold.by_duration
    begin = 0 if after is None else bisect_right(column, after)
    return ((place, trials[place[1]]) for place in column[begin:])


def _cursor(place: Any, listing: Listing) -> str:
    return base64.urlsafe_b64encode(json.dumps([listing.digest, place]).encode()).decode().rstrip("=")


def _place(cursor: str, listing: Listing) -> Any:
    try:
        digest, place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if digest == listing.digest and listing.sort in ("number", "-number"):
            return int(place)
        if digest == listing.digest:
            return float(place[0]), int(place[1])
    except (ValueError, TypeError, IndexError, KeyError):
        pass  # it says so below
    raise Problem("bad-cursor", "a cursor is the `next` of a page of the same list; begin again without one")
