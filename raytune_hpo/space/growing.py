"""Growing spaces: their parameters become known one by one, as an objective asks for them.

Such a space is flat. A configuration has the parameters that its trial asked for; all others are not active in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.choices import Choice, Ordinal
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.jsonform import node_from_json, node_to_json
from raytune_hpo.space.numeric import Float, Int
from raytune_hpo.space.space import Space
from raytune_hpo.space.tree import Entry, Gated, Leaf
from raytune_hpo.space.values import show

_EVEN = 1e-9  # share of a step by which two grids may be apart and still count as one


def empty_space() -> Space:
    """A growing space that has no parameters yet."""
    return flat_space({})


def grown(space: Space, name: str, domain: Domain) -> Space:
    """The space with a parameter widened to cover the domain; the same object if it covers the domain already.

    Raises:
        SpaceError: the space has a parameter of that name and another kind.
    """
    domains = domains_of(space)
    known = domains.get(name)
    wider = domain if known is None else widened(name, known, domain)
    return space if wider == known else flat_space({**domains, name: wider})


def domains_of(space: Space) -> dict[str, Domain]:
    """The parameters of a growing space by their names."""
    return {column.name: column.domain for column in space.columns}


def widened(name: str, known: Domain, domain: Domain) -> Domain:
    """A domain with all values of two domains of the same kind; a grid if both lie on the same grid.

    Raises:
        SpaceError: the domains are of different kinds.
    """
    if isinstance(known, Float) and isinstance(domain, Float):
        lo, hi = min(known.lo, domain.lo), max(known.hi, domain.hi)
        step = known.step if _is_one_grid(known, domain) else None
        return Float(lo, hi, known.log and domain.log, step)
    if isinstance(known, Int) and isinstance(domain, Int):
        lo, hi = min(known.lo, domain.lo), max(known.hi, domain.hi)
        step = known.step if _is_one_grid(known, domain) else None
        return Int(lo, hi, known.log and domain.log, step)
    if isinstance(known, Choice) and isinstance(domain, Choice):
        new = [option for option in domain.options if known.problem(option) is not None]
        return Choice([*known.options, *new]) if new else known
    raise SpaceError(
        f"a parameter keeps its kind, {name!r} was {show_domain(known)} and was asked for as {show_domain(domain)}; "
        f"give one of them another name"
    )


def fits(domain: Domain, value: Any) -> bool:
    """Whether a value can be placed in the domain: a number outside its bounds can, a text instead of a number cannot."""
    if isinstance(domain, (Choice, Ordinal)):
        return domain.problem(value) is None
    return isinstance(value, Real) and not isinstance(value, bool)


def fitting(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that the space knows and can encode."""
    return {
        column.name: config[column.name]
        for column in space.columns
        if column.name in config and fits(column.domain, config[column.name])
    }


def domain_form(domain: Domain) -> dict[str, Any]:
    """A domain as JSON values: its kind, and its arguments."""
    return node_to_json(Leaf(domain))


def domain_of(form: Mapping[str, Any]) -> Domain:
    """The domain of a JSON form.

    Raises:
        SpaceError: it is not the JSON form of a domain.
    """
    node = node_from_json(form)
    if not isinstance(node, Leaf):
        raise SpaceError(f"the JSON of a domain must be what domain_form gave, got {show(form)}")
    return node.domain


def show_domain(domain: Domain) -> str:
    """The text of a domain in a message."""
    return f"one of {show(list(domain.options))}" if domain.options else f"{type(domain).__name__.lower()}"


def flat_space(domains: Mapping[str, Domain]) -> Space:
    """A flat space in which any parameter may be missing from a configuration."""
    return Space._made(Gated(tuple(Entry(name, Leaf(domain)) for name, domain in domains.items())), (), "")


def _is_one_grid(known: Float | Int, domain: Float | Int) -> bool:
    step = known.step
    if step is None or domain.step != step:
        return False
    apart = abs(known.lo - domain.lo) / step
    return abs(apart - round(apart)) <= _EVEN
