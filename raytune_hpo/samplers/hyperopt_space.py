"""Translation of spaces into hyperopt's terms: an ``hp`` label for each column, nested as columns depend on choices.

If hyperopt has a distribution for a domain, a column's value for hyperopt is the domain's code. A value on a grid is
represented by its position, so that hyperopt can round to whole numbers, and any other by its coordinate in the unit
interval: also one of a range that is too narrow, too wide or too fine for hyperopt's arithmetic. Either way hyperopt's
prior is the domain's own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.space import Choice, Column, Domain, Float, Int, Normal, Ordinal, Quantised, Space
from raytune_hpo.space.conditions import Test

# Hyperopt takes deviations and quantised values below 1e-12 for 1e-12, squares deviations, and takes a cell's mass for the
# difference of two shares: out of these bounds, all candidates look alike to it, or not a number.
_NARROWEST, _WIDEST = 1e-9, 1e150
_MOST_STEPS = 2**40


@dataclass(frozen=True)
class HpColumn:
    """A column in hyperopt's terms.

    Attributes:
        distribution: the name of a function in ``hyperopt.hp``, and its arguments after the label; None for a choice.
        to_hp: converts unit coordinates (n,) into hyperopt's values (n,); ``to_unit`` is its inverse.
    """

    distribution: str | None
    args: tuple[float, ...]
    to_hp: Callable[[Array], Array]
    to_unit: Callable[[Array], Array]


def expressed(domain: Domain) -> HpColumn:
    """A domain as a hyperopt column."""
    if isinstance(domain, Choice):
        return HpColumn(None, (), domain.codes, lambda codes: domain.units(codes.astype(np.int64)))
    if domain.size == 1:
        return HpColumn("randint", (1,), np.zeros_like, lambda values: np.full(len(values), 0.5))
    native = _native(domain)
    if native is not None:
        return HpColumn(native[0], native[1:], lambda unit: domain.codes(unit).astype(np.float64), domain.units)
    is_even = isinstance(domain, Ordinal) or (isinstance(domain, (Float, Int)) and not domain.log)
    if is_even and domain.size is not None and domain.size <= _MOST_STEPS:  # equally likely values in order
        size = domain.size
        # Half a position is added at either end, since rounding would otherwise halve the share of the end values.
        return HpColumn(
            "quniform",
            (-0.5, size - 0.5, 1),
            lambda unit: np.clip(np.floor(unit * size), 0, size - 1),
            lambda values: (np.clip(np.rint(values), 0, size - 1) + 0.5) / size,
        )
    return HpColumn("uniform", (0.0, 1.0), lambda unit: unit, lambda values: values)


def _native(domain: Domain) -> tuple[Any, ...] | None:
    """The ``hp`` function and its arguments that draw the domain's codes; None if there is none that is precise enough."""
    if isinstance(domain, Quantised):
        base = _native(domain.base)
        is_precise = domain.q >= _NARROWEST and _width(domain.base, log=False) <= domain.q * _MOST_STEPS
        return (f"q{base[0]}", *base[1:], domain.q) if base is not None and is_precise else None
    if not isinstance(domain, (Float, Normal)) or not _NARROWEST <= _width(domain, log=domain.log) <= _WIDEST:
        return None
    if isinstance(domain, Normal):
        return "lognormal" if domain.log else "normal", domain.mean, domain.sd
    bounds = (math.log(domain.lo), math.log(domain.hi)) if domain.log else (domain.lo, domain.hi)
    return None if domain.step is not None else ("loguniform" if domain.log else "uniform", *bounds)


def _width(domain: Domain, *, log: bool) -> float:
    """The width of the middle four fifths of the domain's codes, or of their logarithms."""
    low, high = domain.codes(np.array([0.1, 0.9])).tolist()
    return math.log(high) - math.log(low) if log else high - low


class HyperoptSpace:
    """A space in hyperopt's terms.

    Attributes:
        labels: the columns' names.
        expression: nested lists of ``hp`` nodes; a choice's option holds the columns that exist when it is chosen.
    """

    def __init__(self, space: Space) -> None:
        self._axes = [expressed(column.domain) for column in space.columns]
        self.labels = [column.name for column in space.columns]
        self.expression = _express(space.columns, self._axes)

    def values(self, unit: Array) -> list[dict[str, float | None]]:
        """Rows (n, d) of the unit cube as hyperopt's values by label; None where a column is not active."""
        known = ~np.isnan(unit)
        columns = []
        for number, axis in enumerate(self._axes):
            values = axis.to_hp(np.where(known[:, number], unit[:, number], 0.5)).tolist()
            columns.append([v if k else None for v, k in zip(values, known[:, number].tolist(), strict=True)])
        return [
            {label: values[row] for label, values in zip(self.labels, columns, strict=True)} for row in range(len(unit))
        ]

    def unit(self, values: Mapping[str, Sequence[Any]]) -> Array:
        """A point of hyperopt, with an empty list for each label that is not active, as a row (1, d)."""
        row = np.full((1, len(self.labels)), np.nan)
        for number, (label, axis) in enumerate(zip(self.labels, self._axes, strict=True)):
            if len(values[label]):
                row[0, number] = axis.to_unit(np.asarray(values[label], dtype=np.float64))[0]
        return row


def _express(columns: Sequence[Column], axes: Sequence[HpColumn]) -> list[Any]:
    """The nodes of the columns that always exist, with the others nested in them.

    Columns follow the choices on which they depend, so the nodes are built from the last column to the first.
    """
    top: list[Any] = []
    below: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)  # by choice and option
    for number in reversed(range(len(columns))):
        column = columns[number]
        node = _node(column, axes[number], number, below)
        for place in _places(column, columns):
            (top if place is None else below[place]).insert(0, node)
    return top


def _places(column: Column, columns: Sequence[Column]) -> list[tuple[int, int] | None]:
    """The options under which a column exists. Other conditions are left to the space, which then ignores the value."""
    test = column.condition
    if isinstance(test, Test) and test.op == "in" and isinstance(columns[test.column].domain, Choice):
        return [(test.column, int(option)) for option in test.operand]
    return [None]


def _node(column: Column, axis: HpColumn, number: int, below: Mapping[tuple[int, int], list[Any]]) -> Any:
    from hyperopt import hp

    domain = column.domain
    if not isinstance(domain, Choice):
        return getattr(hp, str(axis.distribution))(column.name, *axis.args)
    options = [below.get((number, option), []) for option in range(domain.size)]
    if domain.weights is None:
        return hp.choice(column.name, options)
    total = sum(domain.weights)
    return hp.pchoice(column.name, [(w / total, option) for w, option in zip(domain.weights, options, strict=True)])
