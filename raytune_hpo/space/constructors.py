"""Functions that make domains, named and bounded exactly as those of ``ray.tune``, and ``ordinal`` with lists of its own.

``randint`` excludes its upper bound; quantised ones include theirs (``qrandint`` and ``qlograndint`` with q=1 do not,
as in Ray). Bounds that are not multiples of q are moved inwards to the next ones. ``base`` is accepted and has no
effect, as in Ray.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.choices import Choice, Ordinal
from raytune_hpo.space.functions import SampleFrom
from raytune_hpo.space.numbers import integer, multiples_within, no_multiple
from raytune_hpo.space.numeric import Float, Int, Normal
from raytune_hpo.space.rounded import Quantised


def uniform(lower: float, upper: float) -> Float:
    """A float, uniform in [lower, upper].

    Raises:
        SpaceError: the bounds are reversed or not finite, as for all functions with bounds.
    """
    return Float(lower, upper)


def loguniform(lower: float, upper: float, base: object = None) -> Float:
    """A float in [lower, upper] whose logarithm is uniform; lower must be above 0.

    Args:
        base: accepted as in Ray Tune; it has no effect, since the distribution is the same for every base.
    """
    return Float(lower, upper, log=True)


def quniform(lower: float, upper: float, q: float) -> Quantised:
    """A uniform float in [lower, upper], rounded to a multiple of q; the first and last are half as likely as the others.

    Bounds that are not multiples of q are moved inwards to the next ones.

    Raises:
        SpaceError: q is not above 0, or no multiple of it lies within the bounds.
    """
    return Quantised(Float(*multiples_within(lower, upper, q)), q)


def qloguniform(lower: float, upper: float, q: float, base: object = None) -> Quantised:
    """A log-uniform float in [lower, upper], rounded to a multiple of q; lower must be above 0. ``base`` has no effect."""
    Float(lower, upper, log=True)  # the bounds as they were given must make a log range
    return Quantised(Float(*multiples_within(lower, upper, q), log=True), q)


def randn(mean: float = 0.0, sd: float = 1.0) -> Normal:
    """A normally distributed float, without bounds. This is a domain; ``hpo.Normal`` is a prior for another domain.

    Args:
        mean: the mean, in the parameter's own units.
        sd: the standard deviation, in the same units; above 0.
    """
    return Normal(mean, sd)


def qrandn(mean: float, sd: float, q: float) -> Quantised:
    """A normally distributed float with this mean and standard deviation ``sd``, rounded to a multiple of q."""
    return Quantised(Normal(mean, sd), q)


def randint(lower: int, upper: int) -> Int:
    """An int from lower to upper - 1, all equally likely."""
    return Int(lower, _below("randint", lower, upper))


def lograndint(lower: int, upper: int, base: object = None) -> Int:
    """An int from lower to upper - 1, log-uniform; lower must be >= 1. ``base`` has no effect."""
    return Int(lower, _below("lograndint", lower, upper), log=True)


def qrandint(lower: int, upper: int, q: int = 1) -> Int:
    """A multiple of q from lower to upper, both included (with q=1, upper is not), all equally likely."""
    return _multiples("qrandint", lower, upper, q, log=False)


def qlograndint(lower: int, upper: int, q: int, base: object = None) -> Int:
    """A multiple of q from lower to upper, both included (with q=1, upper is not), log-uniform. ``base`` has no effect."""
    return _multiples("qlograndint", lower, upper, q, log=True)


def choice(categories: Iterable[Any], *more: Any) -> Choice:
    """One of several options; an option that contains domains is a branch with its own parameters.

    Args:
        categories: the options, in one list; a value that is listed twice is twice as likely.

    Raises:
        SpaceError: there are no options, or they are not a list.
        TypeError: the options are not in one list: ``choice(1, 2)`` instead of ``choice([1, 2])``.
    """
    _check_one_list("choice", categories, more)
    return Choice(categories)


def ordinal(values: Iterable[Any], *more: Any) -> Ordinal:
    """One of several values, whose order matters: neighbours in the list are alike.

    Raises:
        SpaceError: there are no values, they are not a list, or one is listed twice.
        TypeError: the values are not in one list.
    """
    _check_one_list("ordinal", values, more)
    return Ordinal(values)


def fibonacci(lower: int, upper: int) -> Ordinal:
    """The Fibonacci numbers 1, 2, 3, 5, 8, 13 ... in [lower, upper], in order: small counts lie closer together.

    Raises:
        SpaceError: no Fibonacci number lies there.
    """
    lower, upper = integer(lower, "the lower bound of fibonacci"), integer(upper, "the upper bound of fibonacci")
    numbers, here, following = [], 1, 2
    while here <= upper:
        numbers.append(here)
        here, following = following, here + following
    return _counts("fibonacci", "Fibonacci number", [n for n in numbers if n >= lower], lower, upper)


def powers(base: int, lower: int, upper: int) -> Ordinal:
    """The powers of ``base`` in [lower, upper], in order; 1 is a power too.

    Raises:
        SpaceError: the base is below 2, or no power of it lies there.
    """
    base, upper = integer(base, "the base of powers"), integer(upper, "the upper bound of powers")
    lower = integer(lower, "the lower bound of powers")
    if base < 2:
        raise SpaceError(f"powers needs a base of at least 2, got {base}")
    numbers, power = [], 1
    while power <= upper:
        numbers.append(power)
        power *= base
    return _counts("powers", f"power of {base}", [n for n in numbers if n >= lower], lower, upper)


def cores(count: int | None = None) -> Ordinal:
    """Counts around the number n of CPUs: 1, n/2, n, 2n - 1, 2n, 2n + 1, each once, in order.

    Args:
        count: n; by default how many CPUs this process may use, here and now. The study keeps the counts themselves.

    Raises:
        SpaceError: ``count`` is below 1.
    """
    if count is None:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    n = integer(count, "the number of cores")
    if n < 1:
        raise SpaceError(f"there is at least one core, got {n}")
    return Ordinal(sorted({1, max(1, n // 2), n, 2 * n - 1, 2 * n, 2 * n + 1}))


def _counts(maker: str, what: str, numbers: list[int], lower: int, upper: int) -> Ordinal:
    if not numbers:
        raise SpaceError(f"no {what} lies in [{lower}, {upper}]; {maker} needs wider bounds")
    return Ordinal(numbers)


def grid_search(values: Iterable[Any], *more: Any) -> Choice:
    """An axis of a grid: the sampler "grid" tries each of the ``values``; for other samplers it is a choice.

    Raises:
        SpaceError: there are no values, they are not a list, or one is listed twice.
        TypeError: the values are not in one list.
    """
    _check_one_list("grid_search", values, more)
    return Choice(values, is_grid_axis=True)


def sample_from(func: Callable[[dict[str, Any]], Any]) -> SampleFrom:
    """A value derived from the rest of the configuration: ``func(config)``, called when all parameters are drawn.

    Several are derived in the order in which they stand in the space. The function should depend on nothing but the
    configuration, or the study cannot be repeated. It may return domains, which are then drawn.

    Raises:
        SpaceError: ``func`` is not a function.
    """
    return SampleFrom(func)


def _check_one_list(maker: str, first: Any, more: tuple[Any, ...]) -> None:
    """Refuse values that are not in one list.

    Raises:
        TypeError: there is more than one argument.
    """
    if more:
        shown = [first, *more]
        raise TypeError(f"{maker} takes one list of values, got {len(shown)} arguments; write {maker}({shown!r})")


def _below(maker: str, lower: int, upper: int) -> int:
    upper = integer(upper, "the upper bound of an int domain")
    if upper <= integer(lower, "the lower bound of an int domain"):
        raise SpaceError(f"{maker} excludes its upper bound, so it needs lower < upper, got [{lower}, {upper})")
    return upper - 1


def _multiples(maker: str, lower: int, upper: int, q: int, *, log: bool) -> Int:
    q = integer(q, "the quantum q")
    if q < 1:
        raise SpaceError(f"a quantised int needs q >= 1, got q={q}")
    if q == 1:
        return Int(lower, _below(f"{maker} with q=1", lower, upper), log=log)
    Int(lower, upper, log=log)  # the bounds as they were given must make a range
    first, last = -(-integer(lower, "lower") // q) * q, integer(upper, "upper") // q * q
    if first > last:
        raise no_multiple(lower, upper, q)
    return Int(first, last, log=log, step=q if first < last else None)
