"""Spaces written as ``hp_conf`` files: a JSON object of hyperparameters with types, ranges and exponents.

    {"hyperparams": {"lr": {"type": "float", "value_type": "continuous", "range": [-4, -0.5], "power_of": 10}, ...},
     "param_order": ["lr", ...], "config": {"max_epoch": 15}}

``value_type`` is "continuous", "discrete" (whole numbers, ends included), "preordered" (listed, in order) or
"categorical". With ``power_of`` the range is that of the exponent.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.files import json_object, reading
from raytune_hpo.options import whole
from raytune_hpo.space import Choice, Domain, Float, Int, Ordinal

_KINDS = ("continuous", "discrete", "preordered", "categorical")


def domains_of(path: str | Path) -> dict[str, Domain]:
    """The domains of a file by parameter, in the order that it gives.

    Raises:
        SpaceError: the file is not of this kind, or a parameter is not valid; the message names it.
    """
    data = _loaded(path)
    parameters: Mapping[str, Any] = data["hyperparams"]
    order = data.get("param_order", list(parameters))
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(parameters):
        raise SpaceError(f"param_order of {path} must name every hyperparameter once, got {order}")
    return {name: domain_of(name, parameters[name]) for name in map(str, order)}


def last_step(path: str | Path) -> int | None:
    """The number of epochs of a trial; None if the file does not give it.

    Raises:
        SpaceError: the file is not of this kind.
        SpecError: its value is not a number of epochs.
    """
    config = _loaded(path).get("config", {})
    return whole(f"max_epoch of {path}", config["max_epoch"], least=1) if "max_epoch" in config else None


def _loaded(path: str | Path) -> Mapping[str, Any]:
    """The content of a file, after checking that its parts are JSON objects."""
    with reading("a space file is JSON with an object 'hyperparams', and 'config' is one", path, error=SpaceError):
        data = json_object(Path(path))
        for what, value in (("hyperparams", data["hyperparams"]), ("config", data.get("config", {}))):
            if not isinstance(value, dict):
                raise TypeError(f"its {what} is {value!r}")
    return data


def domain_of(name: str, entry: Any) -> Domain:
    """The domain of one parameter.

    Raises:
        SpaceError: the entry is not valid; the message names the parameter and the rule.
    """
    kind, values = (entry.get("value_type"), entry.get("range")) if isinstance(entry, Mapping) else (None, None)
    if kind not in _KINDS or not isinstance(values, list) or not values:
        raise SpaceError(f"hyperparameter {name!r} needs a value_type of {_KINDS} and a range, got {entry!r}")
    try:
        if kind == "categorical":
            return Choice(values)
        return Ordinal(values) if kind == "preordered" else _interval(values, kind, entry.get("power_of"))
    except (SpaceError, OverflowError) as error:
        raise SpaceError(f"hyperparameter {name!r} makes no sense: {error}") from error


def _interval(values: Sequence[Any], kind: str, base: Any) -> Domain:
    """The domain between two numbers, or between the powers with these numbers as exponents."""
    if len(values) != 2 or not all(map(_is_number, values)):
        raise SpaceError(f"a range is two numbers, the lowest and the highest value, got {values}")
    low, high = values
    if base is None:
        return Int(int(low), int(high)) if kind == "discrete" else Float(float(low), float(high))
    if not _is_number(base) or base <= 0:
        raise SpaceError(f"power_of is a number above 0, got {base!r}")
    return Float(float(base) ** low, float(base) ** high, log=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
