"""ConfigSpace: hyperparameters, conditions and forbidden clauses. Default values are ignored.

Hyperparameters stay in one flat dict, and are active under their conditions. Forbidden clauses become constraints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.choices import Choice, Ordinal
from raytune_hpo.space.conditions import AllOf, AnyOf, Condition, Test
from raytune_hpo.space.dialects import Foreign
from raytune_hpo.space.dialects.scipy_stats import Frozen, Shaped
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.numeric import Float, Int
from raytune_hpo.space.rounded import Binned
from raytune_hpo.space.tree import Const, Entry, Gated, Leaf
from raytune_hpo.space.values import plain, show


def translate(thing: Any) -> Any:
    """A ConfigurationSpace as a tree with constraints; a single hyperparameter as its domain.

    Raises:
        SpaceError: a hyperparameter or condition has no exact equivalent.
    """
    library: Any = import_module("ConfigSpace")
    kinds: Any = import_module("ConfigSpace.hyperparameters")
    if isinstance(thing, library.ConfigurationSpace):
        return Foreign(_gated(thing), [Allowed(clause) for clause in thing.forbidden_clauses])
    if isinstance(thing, kinds.Constant):
        return plain(thing.value)
    return _domain(thing) if isinstance(thing, kinds.Hyperparameter) else thing


# ------------------------------------------------------------------------------------------------ hyperparameters


def _domain(parameter: Any) -> Domain:
    make = _DOMAINS.get(type(parameter).__name__)
    if make is None:
        raise SpaceError(f"ConfigSpace's {type(parameter).__name__} is not known here: {show(parameter.name)}")
    return make(parameter)


def _categorical(parameter: Any) -> Choice:
    return Choice(parameter.choices, None if parameter.weights is None else parameter.probabilities.tolist())


def _uniform_int(parameter: Any) -> Domain:
    lo, hi = parameter.lower, parameter.upper
    return Binned(Float(lo, hi, log=True), lo, hi - lo + 1) if parameter.log else Int(lo, hi)


def _normal_float(parameter: Any) -> Domain:
    base = Float(parameter.lower, parameter.upper, log=parameter.log)
    return Shaped(base, _shape(parameter, "truncnorm"))


def _normal_int(parameter: Any) -> Domain:
    return _shaped_int(parameter, "truncnorm")


def _beta_float(parameter: Any) -> Domain:
    base = Float(parameter.lower, parameter.upper, log=parameter.log)
    return Shaped(base, _shape(parameter, "beta"))


def _beta_int(parameter: Any) -> Domain:
    return _shaped_int(parameter, "beta")


def _shaped_int(parameter: Any, family: str) -> Domain:
    if parameter.log:
        raise SpaceError(
            f"ConfigSpace's {type(parameter).__name__} {parameter.name!r} with log=True leaves some integers out, and "
            f"no domain here does; use a float, or log=False"
        )
    lo, hi = parameter.lower, parameter.upper
    return Binned(Shaped(Float(lo, hi), _shape(parameter, family)), lo, hi - lo + 1)


def _shape(parameter: Any, family: str) -> Frozen:
    """The distribution of the parameter's coordinates in [0, 1], which ConfigSpace keeps as a scipy distribution."""
    distribution = parameter._vector_dist.rv
    kwds = {key: float(value) for key, value in distribution.kwds.items()}
    return Frozen(family, tuple(map(float, distribution.args)), tuple(sorted(kwds.items())), distribution)


_DOMAINS: Mapping[str, Callable[[Any], Domain]] = {
    "UniformFloatHyperparameter": lambda p: Float(p.lower, p.upper, log=p.log),
    "UniformIntegerHyperparameter": _uniform_int,
    "NormalFloatHyperparameter": _normal_float,
    "NormalIntegerHyperparameter": _normal_int,
    "BetaFloatHyperparameter": _beta_float,
    "BetaIntegerHyperparameter": _beta_int,
    "CategoricalHyperparameter": _categorical,
    "OrdinalHyperparameter": lambda p: Ordinal(p.sequence),
    "Constant": lambda p: Choice([p.value]),
}


# ------------------------------------------------------------------------------------------------ conditions


def _gated(space: Any) -> Gated:
    names = _parents_first(space)
    numbers = {name: number for number, name in enumerate(names)}
    parents = {parent.name for name in names for parent in space.parents_of[name]}
    domains = {name: _domain(space[name]) for name in names}
    entries = []
    for name in names:
        is_constant = type(space[name]).__name__ == "Constant" and name not in parents
        node = Const(plain(space[name].value)) if is_constant else Leaf(domains[name])
        parts = tuple(_condition(part, numbers, domains) for part in space.parent_conditions_of[name])
        condition = AllOf(parts) if len(parts) > 1 else next(iter(parts), None)
        entries.append(Entry(_key(name), node, condition))
    return Gated(tuple(entries))


def _key(name: str) -> str:
    if "/" in name:
        raise SpaceError(f'names of parameters have no "/", got {name!r}; rename it in the ConfigurationSpace')
    return name


def _parents_first(space: Any) -> list[str]:
    ordered: list[str] = []

    def add(name: str) -> None:
        if name not in ordered:
            for parent in space.parents_of[name]:
                add(parent.name)
            ordered.append(name)

    for name in space:
        add(name)
    return ordered


def _condition(foreign: Any, numbers: Mapping[str, int], domains: Mapping[str, Domain]) -> Condition:
    kind = type(foreign).__name__
    if kind in ("AndConjunction", "OrConjunction"):
        parts = tuple(_condition(part, numbers, domains) for part in foreign.components)
        return AllOf(parts) if kind == "AndConjunction" else AnyOf(parts)
    if kind not in _OPS:
        raise SpaceError(f"ConfigSpace's condition {kind} is not known here: {foreign}")
    domain = domains[foreign.parent.name]
    values: Sequence[Any] = foreign.values if kind == "InCondition" else [foreign.value]
    return Test(numbers[foreign.parent.name], _OPS[kind], tuple(domain.codes_of(values).tolist()))


_OPS = {
    "EqualsCondition": "in",
    "InCondition": "in",
    "NotEqualsCondition": "not in",
    "LessThanCondition": "<",
    "GreaterThanCondition": ">",
}


# ------------------------------------------------------------------------------------------------ forbidden clauses


class Allowed:
    """A constraint: a configuration is not forbidden by one of ConfigSpace's clauses."""

    def __init__(self, clause: Any) -> None:
        self.clause = clause
        self.__qualname__ = str(clause)  # its name in messages and in the JSON form

    def __call__(self, config: Mapping[str, Any]) -> bool:
        return not _is_forbidden(self.clause, config)


def _is_forbidden(clause: Any, config: Mapping[str, Any]) -> bool:
    kind = type(clause).__name__
    if kind in ("ForbiddenAndConjunction", "ForbiddenOrConjunction"):
        joined = all if kind == "ForbiddenAndConjunction" else any
        return joined(_is_forbidden(part, config) for part in clause.components)
    both_sides = (clause.left, clause.right) if hasattr(clause, "left") else (clause.hyperparameter,)
    # An inactive parameter breaks no clause.
    return all(side.name in config for side in both_sides) and bool(clause.is_forbidden_value(dict(config)))
