"""Learning curves of many trials, and the fidelities at which they are compared.

n trials, m goals, k values in all; a fidelity is a step at which the losses of several trials are compared.

Kennedy, O'Hagan: Predicting the Output from a Complex Computer Code When Fast Approximations Are Available. Biometrika
87, 2000 (the loss at a fidelity as a multiple of that at the one below, and a correction).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array

_APART = 2  # fidelities are apart by at least this factor
_PRIOR_TRIALS = 3.0  # how many trials the prior of a correlation is worth
_CORRELATION = 0.7  # between a fidelity and the next, before any trial has reached both
_LEAST_SPREAD = 1e-3  # of the residuals of a fidelity, in standard deviations


class Curves(NamedTuple):
    """The reports of trials, one curve after the other.

    Attributes:
        steps: (k,) of the values; within a curve they grow.
        losses: (k, m) of the values.
        begin, end: (n,) the positions of each curve among the values.
        final: (n, m) losses of completed trials; NaN if a trial has none.
    """

    steps: Array
    losses: Array
    begin: Array
    end: Array
    final: Array

    @classmethod
    def none(cls, num_goals: int) -> Curves:
        """The curves of no trial."""
        index = np.empty(0, dtype=np.int64)
        return cls(index, np.empty((0, num_goals)), index, index, np.empty((0, num_goals)))

    def first(self, n: int) -> Curves:
        """The curves of the first n trials."""
        return self._replace(begin=self.begin[:n], end=self.end[:n], final=self.final[:n])

    def replaced(self, rows: Array, steps: Sequence[Array], losses: Sequence[Array], final: Array) -> Curves:
        """The curves with those of some rows replaced, or added for new rows."""
        n = max(len(self.begin), int(rows.max()) + 1)
        begin, end, finals = np.zeros(n, np.int64), np.zeros(n, np.int64), np.full((n, self.final.shape[1]), np.nan)
        known = len(self.begin)
        begin[:known], end[:known], finals[:known] = self.begin, self.end, self.final
        ends = len(self.steps) + np.cumsum([len(curve) for curve in steps])
        begin[rows], end[rows] = ends - [len(curve) for curve in steps], ends
        finals[rows] = final
        return Curves(np.concatenate([self.steps, *steps]), np.concatenate([self.losses, *losses]), begin, end, finals)

    @property
    def completed(self) -> Array:
        """Which trials (n,) have completed."""
        return np.asarray(~np.isnan(self.final).any(axis=1))

    @property
    def last(self) -> Array:
        """The step (n,) of each trial's last value; -1 if it has none."""
        return np.where(self.end > self.begin, np.append(self.steps, -1)[self.end - 1], -1)

    def thinned(self, most: int, up_to: Array) -> tuple[Array, Array]:
        """Steps and losses (n, most) of the first goal, with at most ``most`` points of each curve up to a step (n,).

        These include the first and the last, and ever sparser ones in between. NaN where a curve has fewer.
        """
        n, lengths = len(self.begin), self.end - self.begin
        owner = np.repeat(np.arange(n), lengths)
        at = np.arange(len(owner)) + np.repeat(self.begin - np.cumsum(lengths) + lengths, lengths)
        count = np.bincount(owner[self.steps[at] <= up_to[owner]], minlength=n)
        j = np.arange(most)
        spread = np.round(np.maximum(count, 1)[:, None] ** (j / (most - 1))).astype(np.int64) - 1
        position = np.where(count[:, None] <= most, j, spread)
        kept = position < count[:, None]
        kept[:, 1:] &= position[:, 1:] > position[:, :-1]
        order = np.argsort(~kept, axis=1, kind="stable")
        position, kept = np.take_along_axis(position, order, 1), np.take_along_axis(kept, order, 1)
        where = np.where(kept, self.begin[:, None] + position, -1)
        steps, losses = np.append(self.steps, 0).astype(float), np.append(self.losses[:, 0], np.nan)
        return np.where(kept, steps[where], np.nan), losses[where]

    def at(self, step: int) -> Array:
        """The losses (n, m) of the last value up to a step; NaN if a trial has none, or did not reach that step."""
        up_to = np.append(0, np.cumsum(self.steps <= step))
        count = up_to[self.end] - up_to[self.begin]
        values = np.vstack([self.losses, np.full((1, self.losses.shape[1]), np.nan)])
        return values[np.where((count > 0) & (self.last >= step), self.begin + count - 1, -1)]


def fidelities(curves: Curves) -> list[int]:
    """The steps at which trials ended without completing, in order.

    All of them if they are rungs; of many that are close together, only some.
    """
    chosen: list[int] = []
    for step in np.unique(curves.last[~curves.completed & (curves.last >= 0)]).tolist():
        if not chosen or step >= max(_APART * chosen[-1], chosen[-1] + 1):
            chosen.append(step)
    return chosen


def at_fidelities(curves: Curves, goal: int = 0) -> Array:
    """The losses (n, L) of one goal at each fidelity; NaN where a trial has none.

    The last column has the losses of completed trials, if there are any.
    """
    columns = [curves.at(step)[:, goal] for step in fidelities(curves)]
    if curves.completed.any():
        columns.append(curves.final[:, goal])
    return np.column_stack(columns)


@dataclass(frozen=True)
class Link:
    """The regression of losses at a fidelity on those at the one below: offset + slope times these, with error ``sd``."""

    slope: float
    offset: float
    sd: float

    @classmethod
    def between(cls, below: Array, above: Array) -> Link:
        """The regression of losses (n,) on those one fidelity below (n,), from the trials that have both.

        Only trials with good losses below were continued, so the losses above are a biased sample, and must not be
        standardised alone. A regression on the losses that decided is not biased by the selection.
        """
        both = ~np.isnan(below) & ~np.isnan(above)
        x, y = below[both], above[both]
        n = len(x)
        if n == 0:
            return cls(_CORRELATION, 0.0, (1 - _CORRELATION**2) ** 0.5)
        sx, sy = float(x.std()), float(y.std())
        ratio = sy / sx if n > 2 and sx > 0 and sy > 0 else 1.0
        seen = float(((x - x.mean()) * (y - y.mean())).mean()) / (sx * sy) if sx * sy > 0 else 0.0
        told = n - 1 if sx * sy > 0 else 0
        slope = ratio * (told * seen + _PRIOR_TRIALS * _CORRELATION) / (told + _PRIOR_TRIALS)
        left = y - y.mean() - slope * (x - x.mean())
        expected = (1 - _CORRELATION**2) * (sy if n > 2 and sy > 0 else 1.0) ** 2
        sd = float(np.sqrt((left @ left + _PRIOR_TRIALS * expected) / (n + _PRIOR_TRIALS)))
        return cls(slope, float(y.mean() - slope * x.mean()), max(sd, _LEAST_SPREAD))

    def rest(self, below: Array, above: Array) -> Array:
        """The residuals: by how much losses exceed their predictions, in units of ``sd``."""
        return (above - self(below)) / self.sd

    def __call__(self, below: Array) -> Array:
        """The losses expected one fidelity above."""
        return self.offset + self.slope * below


def warped(values: Array, warp: Callable[[Array], Array]) -> Array:
    """Losses (n, L), with each column warped separately."""
    columns = np.full(values.shape, np.nan)
    for column, of in zip(columns.T, values.T, strict=True):
        known = ~np.isnan(of)
        column[known] = warp(of[known])
    return columns


def links(values: Array) -> list[Link]:
    """The links between each fidelity and the next, from losses (n, L)."""
    return [Link.between(below, above) for below, above in zip(values.T[:-1], values.T[1:], strict=True)]


def lifted(values: Array) -> Array:
    """The losses (n,) expected at the highest fidelity, from warped ones (n, L); NaN where there are none."""
    expected = values[:, 0]
    for link, above in zip(links(values), values.T[1:], strict=True):
        expected = np.where(np.isnan(above), link(expected), above)
    return expected


def expected_losses(curves: Curves, warp: Callable[[Array], Array]) -> Array:
    """The losses (n, m) of all trials at the highest fidelity, so that they are comparable.

    Trials that reached it have their own losses, and the others the expected ones, given those at the fidelity that they
    reached.

    Args:
        warp: a transform of losses, so that outliers do not dominate their regression; it must leave the better half as
            it is, up to location and scale.
    """
    columns = []
    for goal in range(curves.losses.shape[1]):
        values = at_fidelities(curves, goal)
        scores = warped(values, warp)
        columns.append(_unwarped(lifted(scores), scores[:, -1], values[:, -1]))
    return np.column_stack(columns)


def _unwarped(z: Array, scores: Array, values: Array) -> Array:
    """Scores (n,) in the units of values (n,), converted by the better half, in which one is linear in the other."""
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    best, middle = order[0], order[(len(order) - 1) // 2]
    rise = scores[middle] - scores[best]
    # Divided by a power of two, which changes no other digit: the difference of two of 1e308 is infinite.
    exponent = max(np.frexp(max(abs(values[best]), abs(values[middle])))[1], 0)
    low, high = np.ldexp(values[[best, middle]], -exponent)
    slope = (high - low) / rise if rise > 0 else np.ldexp(1.0, -exponent)
    with np.errstate(over="ignore"):
        expected = np.ldexp(low + slope * (z - scores[best]), exponent)
    most = np.finfo(np.float64).max
    return np.asarray(np.clip(expected, -most, most))
