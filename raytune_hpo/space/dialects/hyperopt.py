"""hyperopt: ``hp`` expressions, which are graphs of ``Apply`` nodes.

One level is translated at a time. Bounds of log domains are given in the logarithm. As in hyperopt, a choice yields
the option itself, lists become tuples, and quantised values are rounded, even if that takes them beyond the bounds.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.choices import Choice
from raytune_hpo.space.dialects import Labelled
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.numeric import Float, Int, Normal
from raytune_hpo.space.rounded import Quantised

_MAX_LOG = math.log(sys.float_info.max)


def translate(thing: Any) -> Any:
    """The translation of a hyperopt expression; any other hyperopt object is a constant.

    Raises:
        SpaceError: an expression that computes with parameters, such as ``1 + hp.uniform(...)``.
    """
    return _translate(thing) if isinstance(thing, _pyll().Apply) else thing


def _pyll() -> Any:
    return import_module("hyperopt.pyll.base")


def distribution_of(node: Any) -> Domain:
    """The domain of a hyperopt distribution as it appears below a label, where a choice is the position of its option.

    Raises:
        SpaceError: the distribution is not supported.
    """
    if node.name == "categorical":
        weights = _value(node.arg["p"])
        return Choice(range(len(weights)), weights)
    return _domain(node)


def _translate(node: Any) -> Any:
    if node.name in ("literal", "pos_args", "dict"):
        return _value(node)
    if node.name == "hyperopt_param":
        return Labelled(_value(node.arg["label"]), _domain(node.arg["obj"]))
    if node.name == "float":
        return _translate(node.pos_args[0])
    if node.name == "int":
        return _whole(_translate(node.pos_args[0]))
    if node.name == "switch" and node.pos_args[0].name == "hyperopt_param":
        return _choice(*node.pos_args)
    raise SpaceError(
        f"hyperopt's expression {node.name!r} computes with parameters, and only parameters can be searched; "
        f"compute in the objective, or with sample_from"
    )


def _value(node: Any) -> Any:
    """The Python value of a node, as far as it is constant; parameters inside stay nodes."""
    if node.name == "literal":
        return node.obj
    if node.name == "pos_args":
        return tuple(map(_value, node.pos_args))
    if node.name == "dict" and not node.pos_args:
        return {key: _value(item) for key, item in node.named_args}
    return node


def _choice(picked: Any, *options: Any) -> Labelled:
    drawn = picked.arg["obj"]
    weights = _value(drawn.arg["p"]) if drawn.name == "categorical" else None
    return Labelled(_value(picked.arg["label"]), Choice(map(_value, options), weights))


def _whole(labelled: Any) -> Any:
    """The domain of a parameter inside ``scope.int``."""
    domain = labelled.thing if isinstance(labelled, Labelled) else None
    if isinstance(domain, Quantised) and domain.q == int(domain.q):
        return replace(labelled, thing=replace(domain, whole=True))
    if isinstance(domain, Int):
        return labelled
    raise SpaceError("hyperopt's scope.int is carried for randint and for whole q only; use hp.uniformint")


def _domain(node: Any) -> Domain:
    make = _DOMAINS.get(node.name)
    if make is None:
        raise SpaceError(f"hyperopt's distribution {node.name!r} is not known here; known: {', '.join(_DOMAINS)}")
    arguments = {key: _value(node.arg[key]) for key in ("low", "high", "mu", "sigma", "q") if _is_given(node, key)}
    return make(**arguments)


def _is_given(node: Any, key: str) -> bool:
    return key in node.arg and node.arg[key] is not _pyll().MissingArgument and _value(node.arg[key]) is not None


def _randint(low: int, high: int | None = None) -> Int:
    return Int(0, low - 1) if high is None else Int(low, high - 1)


def _log_float(low: float, high: float) -> Float:
    if max(low, high) > _MAX_LOG:
        raise SpaceError(
            f"bounds of hyperopt's log domains are logarithms, got {low} and {high}, and e**{max(low, high)} is beyond all "
            f"numbers; write hp.loguniform(label, math.log(1e-5), math.log(1e3))"
        )
    return Float(math.exp(low), math.exp(high), log=True)


_DOMAINS: dict[str, Callable[..., Domain]] = {
    "uniform": lambda low, high: Float(low, high),
    "loguniform": _log_float,
    "quniform": lambda low, high, q: Quantised(Float(low, high), q),
    "qloguniform": lambda low, high, q: Quantised(_log_float(low, high), q),
    "normal": lambda mu, sigma: Normal(mu, sigma),
    "lognormal": lambda mu, sigma: Normal(mu, sigma, log=True),
    "qnormal": lambda mu, sigma, q: Quantised(Normal(mu, sigma), q),
    "qlognormal": lambda mu, sigma, q: Quantised(Normal(mu, sigma, log=True), q),
    "randint": _randint,
}
