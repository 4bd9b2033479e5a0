"""Spaces from lists of parameter descriptions, and their configurations flattened again.

A parameter is a dict of name, type (float, int, categorical), low, high, log, choices, ordered (choices are a grid of
numbers), and condition {parent: [values]} (active if every parent has one of its values). Parents come first.

There are two equivalent forms. "flat" is one dict whose entries are active under conditions, as in ConfigSpace and in
libraries that suggest parameters by name. "nested" has choices among dicts, as users of this package write them; a
parameter below several options of a parent becomes one parameter for each option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.space import Choice, Domain, Float, Int, Ordinal, Space
from raytune_hpo.space.conditions import AllOf, Condition, Test
from raytune_hpo.space.dialects import Foreign
from raytune_hpo.space.tree import Entry, Gated, Leaf

FORMS = ("flat", "nested")

ParameterDescription = Mapping[str, Any]


def space_from_list(parameters: Sequence[ParameterDescription], form: str = "flat") -> Space:
    """The space of a list of parameters, in one of the two forms.

    Raises:
        ValueError: the form is nested, and the parents of some parameter do not lie on one path.
    """
    return {"flat": _flat, "nested": _nested}[form](parameters)


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of either form as one dict of values by name."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat.update(flatten(value) if isinstance(value, Mapping) else {name: value})
    return flat


def _domain(parameter: ParameterDescription) -> Domain:
    if parameter["type"] == "categorical":
        return (Ordinal if parameter.get("ordered") else Choice)(parameter["choices"])
    make = Int if parameter["type"] == "int" else Float
    return make(parameter["low"], parameter["high"], log=bool(parameter.get("log")))


def _flat(parameters: Sequence[ParameterDescription]) -> Space:
    position = {parameter["name"]: i for i, parameter in enumerate(parameters)}
    domains = [_domain(parameter) for parameter in parameters]

    def condition(parameter: ParameterDescription) -> Condition | None:
        tests = []
        for parent, values in (parameter.get("condition") or {}).items():
            codes = domains[position[parent]].codes_of(values)
            tests.append(Test(position[parent], "in", tuple(codes.tolist())))
        return AllOf(tuple(tests)) if len(tests) > 1 else next(iter(tests), None)

    entries = [Entry(p["name"], Leaf(domain), condition(p)) for p, domain in zip(parameters, domains, strict=True)]
    return Space(Foreign(Gated(tuple(entries))))


def _nested(parameters: Sequence[ParameterDescription]) -> Space:
    named = {parameter["name"]: parameter for parameter in parameters}
    above = {parameter["name"]: _parent(parameter, named) for parameter in parameters}

    def node(parameter: ParameterDescription) -> Any:
        name = parameter["name"]
        children = [child for child in parameters if above[child["name"]] == name]
        if not children:
            return _domain(parameter)
        return Choice(
            [
                {name: value} | {c["name"]: node(c) for c in children if value in c["condition"][name]}
                for value in parameter["choices"]
            ]
        )

    return Space({name: node(named[name]) for name, parent in above.items() if parent is None})


def _parent(parameter: ParameterDescription, named: Mapping[str, ParameterDescription]) -> str | None:
    """The parent below which a parameter is nested: the one whose own conditions imply those on the others."""
    condition = parameter.get("condition") or {}
    for parent in condition:
        implied = named[parent].get("condition") or {}
        others = [other for other in condition if other != parent]
        if all(other in implied and set(implied[other]) <= set(condition[other]) for other in others):
            return str(parent)
    if condition:
        raise ValueError(f"{parameter['name']!r} has parents that do not lie on one path; use the flat form")
    return None
