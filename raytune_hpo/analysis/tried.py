"""The values that trials tried of each parameter, as columns of numbers.

X  (n, d)  coordinates of n trials in the unit cube; NaN where a parameter is not active
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.trial_arrays import TrialArrays
from raytune_hpo.arrays import Array
from raytune_hpo.display.text import cut, number, short
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.numerics.axes import Axis
from raytune_hpo.space import Column, Domain, Space
from raytune_hpo.space.axis import axis_of
from raytune_hpo.space.conditions import AllOf, Condition, Test
from raytune_hpo.trial import Trial

_WIDTH = 24  # characters of an option in a condition
_WHOLE = 10_000  # characters by which options are told apart


@dataclass(frozen=True, kw_only=True, eq=False)
class TriedParameter:
    """One parameter and the values that the trials tried.

    Attributes:
        name: the name of its column in the space.
        domain: the values that it may take.
        x: (n,) coordinates in the unit interval; NaN where it is not active.
        when: in words, the trials in which it is active; empty for all.
    """

    name: str
    domain: Domain
    x: NDArray[np.float64]
    when: str = ""

    @cached_property
    def active(self) -> NDArray[np.bool_]:
        """The trials in which it is active, (n,) of bool."""
        return ~np.isnan(self.x)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """Its values (n,), or the positions of the options of a choice; NaN where it is not active."""
        found = np.full(len(self.x), np.nan)
        found[self.active] = self.domain.codes(self.x[self.active])
        return found

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels of the options of a choice, of any length; empty for numbers."""
        options = self.domain.options
        times = Counter(short(option, _WHOLE) for option in options)  # 1 and "1" are different options
        return tuple(
            cut(repr(option), _WHOLE) if times[short(option, _WHOLE)] > 1 else short(option, _WHOLE) or repr(option)
            for option in options
        )

    @cached_property
    def is_log(self) -> bool:
        """Whether its numbers are spread over decades and fit a logarithmic axis, since none is 0 or less."""
        return self.domain.log and not bool((self.numbers <= 0).any())

    @cached_property
    def axis(self) -> Axis:
        """The axis of its domain, for models."""
        return axis_of(self.domain)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tried:
    """The parameters that may vary, in the order of the space."""

    parameters: tuple[TriedParameter, ...]

    @cached_property
    def X(self) -> Array:
        """The coordinates, (n, d)."""
        return np.stack([parameter.x for parameter in self.parameters], axis=1)

    def named(self, name: str) -> TriedParameter:
        """The parameter of that name.

        Raises:
            SpecError: no parameter has that name, or it has only one value.
        """
        found = {parameter.name: parameter for parameter in self.parameters}
        if name not in found:
            raise SpecError(f"no parameter {name!r} varies in this study; {nearest(name, found)}")
        return found[name]


@dataclass(frozen=True)
class _Coordinates:
    """The coordinates of each configuration, as a column of trials."""

    space: Space

    def __call__(self, trials: Sequence[Trial]) -> Array:
        return self.space.encode([trial.config for trial in trials])


def tried_in(space: Space, trials: Sequence[Trial]) -> Tried:
    """The values of each parameter that the trials tried."""
    X = TrialArrays.over(trials).of(_Coordinates(space))
    return Tried(
        parameters=tuple(
            TriedParameter(
                name=column.name, domain=column.domain, x=X[:, j], when=_when(column.condition, space.columns)
            )
            for j, column in enumerate(space.columns)
            if column.domain.size != 1
        )
    )


def _when(condition: Condition | None, columns: Sequence[Column]) -> str:
    """A condition in words: ``model = svm``."""
    if condition is None:
        return ""
    if isinstance(condition, Test):
        column, op = columns[condition.column], condition.op
        options = column.domain.options
        shown = [short(options[int(code)], _WIDTH) if options else number(code) for code in condition.operand]
        if op in ("in", "not in"):
            return f"{column.name} {'=' if op == 'in' else 'is not'} {' or '.join(shown)}"
        return f"{column.name} {op} {shown[0]}"
    joint = " and " if isinstance(condition, AllOf) else " or "
    return joint.join(_when(part, columns) for part in condition.parts)
