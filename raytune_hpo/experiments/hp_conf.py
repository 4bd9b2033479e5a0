"""Spaces written as ``hp_conf`` files: a JSON object of hyperparameters with types, ranges and exponents.

    {"hyperparams": {"lr": {"type": "float", "value_type": "continuous", "range": [-4, -0.5], "power_of": 10}, ...},
     "param_order": ["lr", ...], "config": {"max_epoch": 15}}

``value_type`` is "continuous", "discrete" (whole numbers, ends included), "preordered" (listed, in order) or
"categorical". With ``power_of`` the range is that of the exponent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.space import Choice, Domain, Float, Int, Ordinal

_KINDS = ("continuous", "discrete", "preordered", "categorical")


def read(path: str | Path) -> dict[str, Domain]:
    """The domains of a file, in the order that it gives.

    Raises:
        SpaceError: it is no such file, or a parameter makes no sense; names it.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        parameters: Mapping[str, Any] = data["hyperparams"]
    except (ValueError, KeyError, TypeError) as error:
        raise SpaceError(f"a space file is JSON with an object 'hyperparams', {path} is not: {error!r}") from error
    order = data.get("param_order", list(parameters))
    if unknown := set(order) ^ set(parameters):
        raise SpaceError(
            f"param_order of {path} must name every hyperparameter once, these do not match: {sorted(unknown)}"
        )
    return {name: domain_of(name, parameters[name]) for name in order}


def last_step(path: str | Path) -> int | None:
    """How many epochs a trial has, where the file says so."""
    config = json.loads(Path(path).read_text(encoding="utf-8")).get("config", {})
    return int(config["max_epoch"]) if "max_epoch" in config else None


def domain_of(name: str, entry: Mapping[str, Any]) -> Domain:
    """The domain of one parameter.

    Raises:
        SpaceError: naming it and the rule.
    """
    kind, values = entry.get("value_type"), entry.get("range")
    if kind not in _KINDS or not isinstance(values, list) or not values:
        raise SpaceError(f"hyperparameter {name!r} needs a value_type of {_KINDS} and a range, got {dict(entry)}")
    if kind == "categorical":
        return Choice(values)
    if kind == "preordered":
        return Ordinal(values)
    low, high = values
    if "power_of" in entry:
        base = float(entry["power_of"])
        return Float(base**low, base**high, log=True)
    return Int(int(low), int(high)) if kind == "discrete" else Float(float(low), float(high))
