"""Rungs for promotion: the trials that have entered a rung, those paused there, and the next to be promoted.

With one goal, trials are ordered by their losses. With several, or with outcome constraints, they are sorted as
``ranking.py`` says; of more than 500 trials only those that entered last, since the cost grows with the square of their
number. Of equals, the one with the lower number comes first.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np

from raytune_hpo.facts import Status
from raytune_hpo.schedulers.ranking import Criteria, Row
from raytune_hpo.trial import Trial

_MOST_SORTED = 500
_Key = tuple[float, int]


class Rung:
    """The entries of one rung, by trial number. Queries cost O(log n) with one goal and no constraints.

    Attributes:
        promoted: the numbers of the trials that were promoted from here.
    """

    def __init__(self, criteria: Criteria) -> None:
        self._criteria = criteria
        self._rows: dict[int, Row] = {}
        self._paused: set[int] = set()
        self.promoted: set[int] = set()
        self._ordered: list[_Key] = []  # of all entries, the best first
        self._candidates: list[_Key] = []  # of those that are paused here
        self._keys: dict[int, _Key] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, number: int) -> bool:
        return number in self._rows

    def put(self, number: int, row: Row) -> None:
        """Set the entry of a trial."""
        if self._rows.get(number) == row:
            return
        self._rows[number] = row
        if not self._criteria.is_one_loss:
            self._sort()
            return
        if number in self._keys:
            _remove(self._ordered, self._keys[number])
        self._keys[number] = row[0], number
        insort(self._ordered, self._keys[number])
        if number in self._paused:
            self._list_candidates()

    def pause(self, number: int) -> None:
        """Mark a trial that has entered as paused here, so that it may be promoted."""
        if number not in self._paused and number in self._keys:
            self._paused.add(number)
            insort(self._candidates, self._keys[number])

    def leave(self, number: int, *, promoted: bool) -> None:
        """Mark a trial as no longer paused here, since it was promoted or has ended."""
        if number in self._paused:
            self._paused.discard(number)
            _remove(self._candidates, self._keys[number])
        if promoted:
            self.promoted.add(number)

    def drop(self, number: int) -> None:
        """Remove a trial's entry; the trial is not promoted."""
        if number in self._rows:
            self.leave(number, promoted=False)
            del self._rows[number]
            if self._criteria.is_one_loss:
                _remove(self._ordered, self._keys.pop(number))
            else:
                self._sort()

    def is_paused(self, number: int) -> bool:
        """Whether the trial is paused here and may be promoted."""
        return number in self._paused

    def best_paused(self) -> int | None:
        """The best trial that may be promoted; None if there is none."""
        return self._candidates[0][1] if self._candidates else None

    def num_before(self, number: int) -> int:
        """How many of the trials that have entered come before this one."""
        return bisect_left(self._ordered, self._keys[number])

    def before(self, number: int) -> list[int]:
        """The trials that have entered and come before this one."""
        return [other for _, other in self._ordered[: self.num_before(number)]]

    def row_of(self, number: int) -> Row:
        """The entry of a trial."""
        return self._rows[number]

    def place_if_next(self, number: int, row: Row) -> int | None:
        """How many would come before the trial if it paused here with this row; None if another paused trial comes
        first."""
        if not self._criteria.is_one_loss:
            rung = Rung(self._criteria)
            rung._rows, rung._paused = {**self._rows, number: row}, self._paused | {number}
            rung._sort()
            return rung.num_before(number) if rung.best_paused() == number else None
        own, key = self._keys.get(number), (row[0], number)
        if any(other < key for other in self._candidates[:2] if other != own):
            return None
        return bisect_left(self._ordered, key) - (own is not None and own < key)

    def _sort(self) -> None:
        numbers = sorted(self._rows) if len(self._rows) <= _MOST_SORTED else list(self._rows)[-_MOST_SORTED:]
        places = self._criteria.places(np.array([self._rows[number] for number in numbers])) if numbers else ()
        late = float(len(self._rows))  # entries that are not sorted come last
        self._keys = {number: (late, number) for number in self._rows}
        self._keys |= {number: (float(place), number) for number, place in zip(numbers, places, strict=True)}
        self._ordered = sorted(self._keys.values())
        self._list_candidates()

    def _list_candidates(self) -> None:
        self._candidates = sorted(self._keys[number] for number in self._paused)


class Ended:
    """The trials of a study that have ended: those with a result, and those without."""

    def __init__(self, criteria: Criteria) -> None:
        self._criteria = criteria
        self._results: dict[int, Row] = {}
        self._without: set[int] = set()

    def observe(self, trial: Trial) -> None:
        """Enter a trial that has ended; one that runs again has not."""
        number = trial.number
        if not trial.status.is_finished:
            self._without.discard(number)
        elif trial.status is Status.COMPLETED and trial.losses is not None:
            self._results[number] = self._criteria.row(trial)
        else:
            self._without.add(number)

    def unrivalled(self, rung: Rung) -> int | None:
        """The best trial that is paused at a rung, unless a better one has been resumed from there or has completed.

        A trial that ended without a result is no rival, nor is one whose result breaks an outcome constraint, of a trial
        that is not known to break any. One that completed without entering the rung is one if its result is no worse than
        the entry of the paused trial.
        """
        best = rung.best_paused()
        if best is None or not all(
            other in self._without or self._falls_short(other, rung, best) for other in rung.before(best)
        ):
            return None
        entry = rung.row_of(best)
        elsewhere = (result for number, result in self._results.items() if number not in rung)
        return None if any(self._criteria.is_no_worse(result, entry) for result in elsewhere) else best

    def may_be_unrivalled(self, rung: Rung, number: int) -> bool:
        """Whether a trial is the best that is paused at a rung, and none of those before it has a result yet that counts."""
        return rung.best_paused() == number and all(
            other not in self._results or self._falls_short(other, rung, number) for other in rung.before(number)
        )

    def has_rival_of(self, entry: Row) -> bool:
        """Whether a trial has completed, and with a result that counts against a paused trial with this entry."""
        breaks = self._criteria.is_broken
        return any(breaks(entry) or not breaks(result) for result in self._results.values())

    def _falls_short(self, other: int, rung: Rung, number: int) -> bool:
        """Whether another trial has come to break a constraint, and this one, at a rung, is not known to break any."""
        result = self._results.get(other)
        return (
            result is not None
            and self._criteria.is_broken(result)
            and not self._criteria.is_broken(rung.row_of(number))
        )


def _remove(keys: list[_Key], key: _Key) -> None:
    place = bisect_left(keys, key)
    if place < len(keys) and keys[place] == key:
        del keys[place]
