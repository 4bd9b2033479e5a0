"""The JSON form of a space: equal for equal spaces, and enough to rebuild all of it but functions and opaque objects.

A domain of a class from outside this package is named by ``module:Class`` and read back by importing it. If the import
fails, or the class no longer takes what an earlier one wrote, a stand-in still lets the study's configurations be read, and
raises an error for anything else.

Every node is a dict with one key, its kind. Dicts are written as lists of pairs, since the order of the columns is part
of a space and databases sort keys.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.space.choices import Choice, Ordinal
from raytune_hpo.space.conditions import AllOf, AnyOf, Condition, Test
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.functions import MissingFunction, function_to_json
from raytune_hpo.space.numeric import Float, Int, Normal
from raytune_hpo.space.rounded import Binned, Quantised
from raytune_hpo.space.stored import from_stored, numbered, to_stored
from raytune_hpo.space.tree import Branch, Const, Derived, Entry, Gated, Leaf, Node, Record, Series
from raytune_hpo.space.values import show

VERSION = 1


class MissingDomain(Domain):
    """Stands in for a domain that cannot be made of its JSON form here; configurations can still be read.

    Args:
        why: what stands in the way and what to do about it, to follow the domain's name in a message.
    """

    def __init__(self, kind: str, arguments: dict[str, Any], why: str) -> None:
        self.kind = kind  # type: ignore[misc]  # that of the class it stands for
        self._arguments, self._why = arguments, why

    def to_json(self) -> dict[str, Any]:
        return self._arguments

    def problem(self, value: Any) -> str | None:
        return None  # values were checked before they were stored

    def _missing(self) -> SpaceError:
        return SpaceError(
            f"the domain {self.kind!r} of this space is needed, and {self._why}, or pass the original space"
        )

    @property
    def size(self) -> int | None:
        raise self._missing()

    def codes(self, unit: Array) -> Array:
        raise self._missing()

    def units(self, codes: Array) -> Array:
        raise self._missing()

    def nth(self, index: int) -> Any:
        raise self._missing()

    def index_of(self, value: Any) -> int:
        raise self._missing()


# ------------------------------------------------------------------------------------------------ writing


def node_to_json(node: Node) -> dict[str, Any]:
    """The JSON form of a subtree."""
    if isinstance(node, Const):
        return {"const": to_stored(node.value)}
    if isinstance(node, Leaf):
        return {node.domain.kind: node.domain.to_json()}
    if isinstance(node, Derived):
        return {"derived": function_to_json(node.function)}
    if isinstance(node, Record):
        return {"dict": [[key, node_to_json(item)] for key, item in node.items]}
    if isinstance(node, Series) and node.length is not None:
        return {"repeat": {"block": node_to_json(node.items[0]), "low": node.length.lo, "high": node.length.hi}}
    if isinstance(node, Series):
        return {"tuple" if node.is_tuple else "list": [node_to_json(item) for item in node.items]}
    if isinstance(node, Branch):
        weights = None if node.domain.weights is None else list(node.domain.weights)
        options = [node_to_json(option) for option in node.options]
        return {"branch": {"options": options, "weights": weights, "is_grid_axis": node.domain.is_grid_axis}}
    numbers = {entry.node.column: n for n, entry in enumerate(node.entries) if isinstance(entry.node, Leaf)}
    return {
        "gated": [
            [entry.key, node_to_json(entry.node), entry.condition and _condition_to_json(entry.condition, numbers)]
            for entry in node.entries
        ]
    }


def _condition_to_json(condition: Condition, numbers: dict[int, int]) -> list[Any]:
    if isinstance(condition, Test):
        return [condition.op, numbers[condition.column], list(condition.operand)]
    word = "all" if isinstance(condition, AllOf) else "any"
    return [word, *(_condition_to_json(part, numbers) for part in condition.parts)]


# ------------------------------------------------------------------------------------------------ reading


def node_from_json(data: Any) -> Node:
    """The subtree that ``node_to_json`` wrote, its columns not numbered.

    Raises:
        SpaceError: it is not the JSON form of a space.
    """
    try:
        ((kind, body),) = data.items()
        make = _NODES.get(kind)
        return make(body) if make is not None else Leaf(domain_from_json(kind, body))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        if isinstance(error, SpaceError):
            raise
        raise SpaceError(f"the JSON of a space must be what Space.to_json gave, got {show(data)}") from error


def domain_from_json(kind: str, body: dict[str, Any]) -> Domain:
    """The domain of a kind: built in, from a dialect, or of a class that is imported."""
    if kind in ("quantised", "binned"):
        ((base_kind, base),) = body["base"].items()
        body = {**body, "base": domain_from_json(base_kind, base)}
    if kind in ("choice", "ordinal"):
        body = {**body, "options": from_stored(numbered(body["options"]))}
    if kind in _DOMAINS:
        return _DOMAINS[kind](**body)
    if ":" in kind:
        return _foreign_domain(kind, body)
    made: Domain = import_module("raytune_hpo.space.dialects.scipy_stats").from_json(kind, body)
    return made


def _foreign_domain(kind: str, body: dict[str, Any]) -> Domain:
    """The domain of a class from outside this package, or a stand-in if that class cannot be imported here."""
    module, _, name = kind.partition(":")
    try:
        found: Any = functools.reduce(getattr, name.split("."), import_module(module))
    except Exception:  # whatever a foreign module raises
        why = "cannot be imported here; put its class into a module that can be"
        return MissingDomain(kind, body, why)
    if not (isinstance(found, type) and issubclass(found, Domain)):
        raise SpaceError(f"the domain {kind!r} of a stored space must be a subclass of Domain, got {show(found)}")
    try:
        return _made_of_json(found, body)
    except Exception as error:
        why = f"cannot be made from {show(body)}: {type(error).__name__}: {error}; let from_json take the old form"
        return MissingDomain(kind, body, why)


def _made_of_json(kind: type[Domain], body: Any) -> Domain:
    """The domain that a foreign class makes of its JSON form; raises whatever that class does."""
    made: object = kind.from_json(body)
    if not isinstance(made, Domain):
        raise TypeError(f"from_json returned {show(made)}, which is not a domain")
    return made


def check_json_form(domain: Domain) -> None:
    """Check that a domain of a foreign class can be stored: a study with one that cannot would never be read again.

    Raises:
        SpecError: ``from_json`` of its class does not restore it from what ``to_json`` returned.
    """
    if isinstance(domain, Quantised | Binned):
        check_json_form(domain.base)
    if ":" not in domain.kind or isinstance(domain, MissingDomain):
        return
    said: object = None
    try:
        said = domain.to_json()
        text = json.dumps(said, sort_keys=True)
        again = _made_of_json(type(domain), json.loads(text)).to_json()
        problem = None if json.dumps(again, sort_keys=True) == text else f"to_json of that one returned {show(again)}"
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        raise SpecError(
            f"a domain is stored as what to_json returns, a dict of JSON values of which from_json makes an equal one; "
            f"to_json of {domain.kind} returned {show(said)}, {problem}; raytune_hpo.testing.domain_cases tests it"
        )


def derived_functions(node: Node) -> Iterator[tuple[str, dict[str, str]]]:
    """The functions of derived values, by the name of their parameter, in JSON form."""
    if isinstance(node, Derived):
        yield "/".join(map(str, node.path)), function_to_json(node.function)
    elif isinstance(node, Branch):
        for option in node.options:
            yield from derived_functions(option)
    elif isinstance(node, Series):
        for item in node.items:
            yield from derived_functions(item)
    elif isinstance(node, Record):
        for _, item in node.items:
            yield from derived_functions(item)


def function_from_json(data: dict[str, str]) -> MissingFunction:
    """A stand-in for the function that the JSON form describes."""
    return MissingFunction(function=data["function"], source=data["source"])


def _branch_from_json(body: dict[str, Any]) -> Branch:
    # Constants are read together, so that stand-ins of the same text are told apart.
    constants = iter(numbered([option["const"] for option in body["options"] if "const" in option]))
    forms = [{"const": next(constants)} if "const" in option else option for option in body["options"]]
    options = tuple(map(node_from_json, forms))
    # The options themselves are in the nodes; the domain only needs as many distinct values.
    domain = Choice(range(len(options)), body["weights"], is_grid_axis=body["is_grid_axis"])
    return Branch(domain, options)


def _repeated_from_json(body: dict[str, Any]) -> Series:
    block = node_from_json(body["block"])
    return Series((block,) * body["high"], length=Int(body["low"], body["high"]))


def _entry_from_json(data: list[Any]) -> Entry:
    key, node, condition = data
    leaf = node_from_json(node)
    if not isinstance(leaf, (Leaf, Const)):
        raise ValueError(node)
    return Entry(key, leaf, None if condition is None else _condition_from_json(condition))


def _condition_from_json(data: list[Any]) -> Condition:
    word, *rest = data
    if word in ("all", "any"):
        parts = tuple(_condition_from_json(part) for part in rest)
        return AllOf(parts) if word == "all" else AnyOf(parts)
    number, operand = rest
    return Test(number, word, tuple(operand))


_DOMAINS: dict[str, Callable[..., Domain]] = {
    "float": Float,
    "int": Int,
    "normal": Normal,
    "choice": Choice,
    "ordinal": Ordinal,
    "quantised": Quantised,
    "binned": Binned,
}
_NODES: dict[str, Callable[[Any], Node]] = {
    "const": lambda body: Const(from_stored(body)),
    "derived": lambda body: Derived(function_from_json(body)),
    "dict": lambda body: Record(tuple((key, node_from_json(item)) for key, item in body)),
    "list": lambda body: Series(tuple(map(node_from_json, body))),
    "tuple": lambda body: Series(tuple(map(node_from_json, body)), is_tuple=True),
    "repeat": _repeated_from_json,
    "branch": _branch_from_json,
    "gated": lambda body: Gated(tuple(map(_entry_from_json, body))),
}
