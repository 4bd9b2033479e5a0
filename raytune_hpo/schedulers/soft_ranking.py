"""Soft ranking: whether trials have kept their order from one rung to the next, apart from noise."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.pareto import pareto_front

_MOST_COMPARED = 500  # the newest trials; the cost grows with the square of their number
_NOISE_SHARE = 0.9  # the tolerance is this quantile of the differences that count as noise


class SoftRanking:
    """The trials that reached two rungs, and how their order changed in between.

    Losses and curves have a column for each goal.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Array, Array]] = {}  # by trial: losses at the lower rung, and the curve
        self._forget()

    def put(self, number: int, below: Array, curve: Array) -> None:
        """Enter a trial that has reached the upper rung; if it started over and comes again, it replaces its entry.

        Args:
            below: its losses (m,) at the lower rung.
            curve: its losses (steps, m) from step 0 to the upper rung, NaN where there was no report.
        """
        below, curve = below / 2, curve / 2  # the difference of two of 1e308 is infinite
        before = self._entries.get(number)
        if before is not None and np.array_equal(before[0], below) and np.array_equal(before[1], curve, equal_nan=True):
            return
        self._entries[number] = below, curve
        if before is None:
            self._compare(below, curve)
            return
        self._forget()
        for entry in self._entries.values():
            self._compare(*entry)

    def has_changed(self) -> bool:
        """Whether two trials are out of order: one was better below by more than the tolerance, and is worse now."""
        return bool(len(self._overtaken)) and bool((self._overtaken > self._tolerance()).all(axis=1).any())

    def _forget(self) -> None:
        self._compared: deque[tuple[Array, Array]] = deque(maxlen=_MOST_COMPARED)
        self._noise: deque[Array] = deque(maxlen=_MOST_COMPARED)  # differences at the top; NaN if not noise
        # The leads (pairs, m) at the lower rung of trials that were overtaken; smaller ones are left out.
        self._overtaken: Array = np.empty((0, 0))

    def _compare(self, below: Array, curve: Array) -> None:
        """Compare a trial with those that came before it."""
        if self._compared:
            others_below = np.array([other for other, _ in self._compared])
            others = np.array([other for _, other in self._compared])
            lead, now = others_below - below, curve[-1] - others[:, -1]
            is_overtaken = ((lead > 0) & (now > 0)).all(axis=1) | ((lead < 0) & (now < 0)).all(axis=1)
            leads = np.abs(lead[is_overtaken])
            found = np.concatenate([self._overtaken, leads]) if len(self._overtaken) else leads
            self._overtaken = found[pareto_front(-found)] if len(found) else found
            is_noise = num_crossings(curve - others) >= 2
            self._noise.append(np.where(is_noise, np.abs(now), np.nan))
        self._compared.append((below, curve))

    def _tolerance(self) -> Array:
        noise = np.concatenate(list(self._noise))
        return np.array(
            [
                np.quantile(column[~np.isnan(column)], _NOISE_SHARE) if not np.isnan(column).all() else 0.0
                for column in noise.T
            ]
        )


def num_crossings(difference: Array) -> Array:
    """How often differences (n, steps, m) change their sign along the steps, (n, m); zeros and NaN are skipped."""
    sign = np.nan_to_num(np.sign(difference))
    for before, now in pairwise(range(sign.shape[1])):
        sign[:, now] = np.where(sign[:, now] == 0, sign[:, before], sign[:, now])
    changes: Array = (sign[:, 1:] * sign[:, :-1] < 0).sum(axis=1)
    return changes
