"""Checks of settings and options.

Each returns the value, with numpy numbers as Python's, or raises an error with the rule, the value and the way out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

from raytune_hpo.errors import SpecError, nearest

Named = TypeVar("Named", bound="str | None")
PartClass = TypeVar("PartClass", bound=type)

_DEFAULT = "leave it out for the default"


def is_real(value: Any) -> bool:
    """Whether it is a real number; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_integral(value: Any) -> bool:
    """Whether it is an integer, Python's or numpy's; 3.0 and True are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


# ------------------------------------------------------------------------------------------------ settings of a study


def whole(what: str, value: Any, *, least: int) -> int:
    """A setting that is an integer of at least ``least``.

    Raises:
        SpecError: it is anything else.
    """
    if not is_integral(value) or value < least:
        raise SpecError(f"{what} is a whole number of at least {least}, got {value!r}")
    return int(value)


def positive(what: str, value: Any) -> float:
    """A setting in seconds: a finite number above 0.

    Raises:
        SpecError: it is anything else.
    """
    if not is_real(value) or not 0 < float(value) < math.inf:
        raise SpecError(f"{what} is a number of seconds above 0, got {value!r}")
    return float(value)


# ------------------------------------------------------------------------------------------------ options of a part


def integer_option(part: str, option: str, value: Any, *, least: int, way_out: str = _DEFAULT) -> int:
    """An option of a sampler or scheduler that is an integer of at least ``least``.

    Raises:
        SpecError: it is anything else.
    """
    if not is_integral(value) or value < least:
        raise SpecError(f"{part} needs a whole number {option} >= {least}, got {option}={value!r}; {way_out}")
    return int(value)


def budget_options(part: str, max_steps: int | None, min_steps: int, eta: int) -> tuple[int, int, int]:
    """The options max_steps, min_steps and eta of a part with rungs, where max_steps has no default.

    Raises:
        SpecError: no max_steps, or not above min_steps; min_steps < 1; eta < 2.
    """
    if max_steps is None:
        raise SpecError(f'{part} needs max_steps, the last step of a trial: {{"name": "{part}", "max_steps": 81}}')
    eta = integer_option(part, "eta", eta, least=2)
    min_steps = integer_option(part, "min_steps", min_steps, least=1)
    way_out = f"it is the last step of a trial, above the first rung, min_steps={min_steps}"
    return integer_option(part, "max_steps", max_steps, least=min_steps + 1, way_out=way_out), min_steps, eta


def number_option(
    part: str,
    option: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    way_out: str = _DEFAULT,
) -> float:
    """An option that is a finite number within bounds, exclusive (``above``, ``below``) or not (``least``, ``most``).

    Raises:
        SpecError: it is anything else.
    """
    is_inside = (
        is_real(value)
        and math.isfinite(value)
        and (above is None or value > above)
        and (least is None or value >= least)
        and (below is None or value < below)
        and (most is None or value <= most)
    )
    if not is_inside:
        if below is None and most is None:
            rule = f"a finite {option} > {above:g}" if least is None else f"a finite {option} >= {least:g}"
        else:
            left = f"{above:g} <" if least is None else f"{least:g} <="
            right = f"< {below:g}" if most is None else f"<= {most:g}"
            rule = f"{left} {option} {right}"
        raise SpecError(f"{part} needs {rule}, got {option}={value!r}; {way_out}")
    return value if isinstance(value, (int, float)) else float(value)


def share_option(part: str, option: str, value: Any) -> float:
    """An option that is a share, in (0, 1).

    Raises:
        SpecError: it is anything else.
    """
    return number_option(part, option, value, above=0, below=1)


def flag_option(part: str, option: str, value: Any) -> bool:
    """An option that is True or False.

    Raises:
        SpecError: it is anything else.
    """
    if not isinstance(value, bool):
        raise SpecError(f"{part} needs True or False as {option}, got {option}={value!r}; {_DEFAULT}")
    return value


def named_option(part: str, option: str, value: Named, known: Iterable[str | None]) -> Named:
    """An option that is one of several names; None is allowed if it is among them.

    Raises:
        SpecError: it is another name; the message gives the nearest.
    """
    known = tuple(known)
    if value not in known:
        names = [name for name in known if name is not None]
        raise SpecError(f"{part} has no {option} {value!r}; {nearest(str(value), names)}")
    return value


# ------------------------------------------------------------------------------------------------ options by old names


def renamed_options(**renamed: str) -> Callable[[PartClass], PartClass]:
    """Class decorator for a sampler or scheduler whose options had other names in earlier releases.

    The constructor accepts either name. The table from former names to names is kept on the class as ``renamed``, to read
    the options of stored studies.
    """

    def decorated(cls: PartClass) -> PartClass:
        part: Any = cls
        init = part.__init__

        @functools.wraps(init)
        def by_either_name(self: Any, **options: Any) -> None:
            init(self, **with_new_names(options, renamed))

        part.__init__, part.renamed = by_either_name, renamed
        return cls

    return decorated


def with_new_names(options: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Options under their current names, in the same order.

    Raises:
        SpecError: an option was given under both names.
    """
    for former, name in renamed.items():
        if former in options and name in options:
            raise SpecError(f"option {former!r} is called {name!r} now, got both; leave out {former!r}")
    return {renamed.get(option, option): value for option, value in options.items()}
