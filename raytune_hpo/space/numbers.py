"""Checks of the arguments of numeric domains, and of their values."""

from __future__ import annotations

import math
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.options import is_integral, is_real
from raytune_hpo.space.values import show

MOST_CELLS = 2**52  # more cannot be told apart by a float in [0, 1]
MOST_LOG_CELLS = 2**40  # cells of a log domain are narrower at the upper end
ON_GRID = 1e-6  # in steps: how far off its grid a value may lie, for sums of floats


def number(value: Any, what: str) -> float:
    """A finite float from any real number.

    Raises:
        SpaceError: it is not a finite number; the message says what the value is for.
    """
    try:
        finite = float(value) if is_real(value) else math.nan
    except OverflowError:  # a whole number that no float holds
        finite = math.inf
    if not math.isfinite(finite):
        raise SpaceError(f"{what} must be a finite number, got {show(value)}")
    return finite + 0.0  # no -0.0: it equals 0.0, and is another number when it is divided by


def integer(value: Any, what: str) -> int:
    """An int from any whole number, 3.0 too.

    Raises:
        SpaceError: it is not a whole number; the message says what the value is for.
    """
    whole = number(value, what)
    if whole != int(whole) or abs(whole) >= 2**63:
        raise SpaceError(f"{what} must be a whole number of less than 64 bits, got {show(value)}")
    return int(value)


def check_bounds(name: str, lo: float, hi: float, log: bool) -> None:
    """Refuse bounds that make no range."""
    if lo > hi:
        raise SpaceError(f"{name} needs lo <= hi, got lo={lo}, hi={hi}; swap them")
    if log and lo <= 0:
        raise SpaceError(f"{name} on a log scale needs lo > 0, got lo={lo}; raise it or drop log")
    if not math.isfinite(hi - lo) or (log and not math.isfinite(hi / lo)):
        rule = "on a log scale must span a finite ratio, hi / lo" if log else "must span a finite range, hi - lo"
        raise SpaceError(f"{name} {rule} below 1.8e308, got lo={lo}, hi={hi}; narrow it")


def slack(step: float, *numbers: float) -> float:
    """The tolerance for numbers on a grid, since sums and differences are rounded: 0.3 - 0.2 is less than 0.1."""
    return ON_GRID * step + 4 * math.ulp(max(map(abs, numbers)))


def count_steps(name: str, lo: float, hi: float, step: float, log: bool) -> int:
    if not step > 0:
        raise SpaceError(f"{name} needs step > 0, got step={step}")
    if hi > lo and step - slack(step, lo, hi) > hi - lo:
        raise SpaceError(f"{name} needs step <= hi - lo, got step={step} for [{lo}, {hi}]")
    num = (
        (int(hi) - int(lo)) // step + 1
        if isinstance(step, int)
        else math.floor((hi - lo + slack(step, lo, hi)) / step) + 1
    )
    most = MOST_LOG_CELLS if log else MOST_CELLS
    if num > most:
        raise SpaceError(
            f"{name} has at most {most:,} values, got {num:,} in [{lo}, {hi}]; use a larger step or a Float"
        )
    return num


def number_problem(value: Any, lo: float, hi: float) -> str | None:
    try:
        as_float = float(value) if is_real(value) else math.nan
    except OverflowError:  # a whole number that no float holds
        as_float = math.copysign(math.inf, value > 0 or -1)
    if math.isnan(as_float):
        return "must be a number"
    if not lo <= as_float <= hi:
        return f"must lie in [{lo}, {hi}]"
    return None if math.isfinite(as_float) else "must be finite"


def whole_problem(value: Any) -> str | None:
    """The rule of whole numbers: 3 and numpy's are, 3.0 and True are not."""
    return None if is_integral(value) else "must be a whole number"


def grid_problem(value: float, origin: float, step: float) -> str | None:
    off = math.remainder(value - origin, step)
    return None if abs(off) <= slack(step, value, origin) else f"must be {origin:g} plus a multiple of {step:g}"


def multiples_within(lower: float, upper: float, q: float) -> tuple[float, float]:
    """The first and last multiple of q within the bounds."""
    lower, upper, q = number(lower, "the lower bound"), number(upper, "the upper bound"), number(q, "the quantum q")
    if lower > upper or q <= 0:
        raise SpaceError(f"a quantised domain needs lower <= upper and q > 0, got lower={lower}, upper={upper}, q={q}")
    first, last = math.ceil(lower / q - ON_GRID), math.floor(upper / q + ON_GRID)
    if first > last:
        raise no_multiple(lower, upper, q)
    return first * q, last * q


def no_multiple(lower: float, upper: float, q: float) -> SpaceError:
    return SpaceError(f"no multiple of q={q} lies in [{lower}, {upper}]; use a smaller q or wider bounds")
