"""Conversion of mutations for population based training into spaces of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raytune_hpo.space import Choice, Float, Int, Ordinal
from raytune_hpo.space.dialects import translate
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.rounded import Quantised
from raytune_hpo.space.values import is_scalar, same

_DRAWS = 256  # draws from which the range of a function is estimated
_DECADES = 1000.0  # a positive range whose ends have at least this ratio is taken as logarithmic


def check_mutations(mutations: Mapping[str, Any]) -> None:
    """Check what may change, without drawing from it.

    Raises:
        ValueError: a mutation is neither a list, a domain, a function, nor a dict of these.
    """
    for name, mutation in mutations.items():
        if isinstance(mutation, Mapping):
            check_mutations(mutation)
        elif not (isinstance(mutation, (list, tuple)) or callable(mutation) or isinstance(translate(mutation), Domain)):
            raise ValueError(
                f"a mutation is a list, a domain, a function without arguments or a dict of these, got {name!r}: "
                f"{mutation!r}"
            )


def mutated(space: Mapping[str, Any], mutations: Mapping[str, Any]) -> dict[str, Any]:
    """The space of a population: parameters that may change as domains, all else as in ``space``.

    A list becomes an ordinal; a function without arguments becomes the range of 256 of its draws.
    """
    made = dict(space)
    for name, mutation in mutations.items():
        before = space.get(name)
        if isinstance(mutation, Mapping):
            made[name] = mutated(before if isinstance(before, Mapping) else {}, mutation)
        else:
            made[name] = _domain(mutation)
    return made


def bounded(space: Mapping[str, Any], bounds: Mapping[str, Any]) -> dict[str, Any]:
    """The space of PB2: ``[low, high]`` for each name, whole numbers if both ends are."""
    made = dict(space)
    for name, bound in bounds.items():
        before = space.get(name)
        if isinstance(bound, Mapping):
            made[name] = bounded(before if isinstance(before, Mapping) else {}, bound)
            continue
        low, high = bound
        is_whole = isinstance(low, int) and isinstance(high, int) and not isinstance(before, float)
        made[name] = Int(low, high) if is_whole else Float(low, high)
    return made


def widened(space: Mapping[str, Any], config: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The space, widened to contain the values that a configuration has at some paths."""
    made = dict(space)
    for first, *rest in paths:
        if first not in config:
            continue
        if rest:
            made[first] = widened(made[first], config[first], [rest])
        else:
            made[first] = _with(made[first], config[first])
    return made


def _domain(mutation: Any) -> Any:
    """The domain of one mutation."""
    if isinstance(mutation, (list, tuple)):
        return Ordinal(list(mutation)) if len(mutation) > 1 else Choice(list(mutation))
    thing = translate(mutation)
    if isinstance(thing, Domain):
        return thing
    return _range([mutation() for _ in range(_DRAWS)])


def _range(draws: Sequence[Any]) -> Any:
    """The domain from which the draws seem to come."""
    if all(isinstance(draw, int) and not isinstance(draw, bool) for draw in draws):
        return Int(min(draws), max(draws)) if min(draws) < max(draws) else Choice([draws[0]])
    if all(isinstance(draw, (int, float)) and not isinstance(draw, bool) for draw in draws):
        low, high = float(min(draws)), float(max(draws))
        return Float(low, high, log=low > 0 and high / low >= _DECADES) if low < high else Choice([low])
    listed: list[Any] = []
    for draw in draws:
        if not any(same(draw, known) for known in listed):
            listed.append(draw)
    return Choice(listed)


def _with(domain: Any, value: Any) -> Any:
    """The domain, widened to contain a value with which a member begins."""
    if not is_scalar(value) or domain.problem(value) is None:
        return domain
    if domain.options:
        kind = Ordinal if isinstance(domain, Ordinal) else Choice
        return kind([value, *domain.options])
    domain = domain.base if isinstance(domain, Quantised) else domain  # off its grid: the grid is dropped
    if not isinstance(domain, (Float, Int)) or isinstance(value, (bool, str)) or value is None:
        return domain
    is_log = domain.log and value > 0
    number: Callable[..., Any] = Int if isinstance(domain, Int) and isinstance(value, int) else Float
    return number(min(domain.lo, value), max(domain.hi, value), log=is_log)
