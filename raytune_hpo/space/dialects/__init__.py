"""Dialects: translators of other libraries' domains and spaces.

Objects are recognised by the module of their type, so that a library is never imported needlessly: it must have been
imported to make the object. Each dialect has one function, ``translate(thing)``, which returns

* a domain or ``SampleFrom`` of ours, or a dict or list of what can be translated in turn;
* a ``Labelled`` one of these, where the library has its own name for it;
* a ``Foreign``, where the library's own structure needs a tree and constraints;
* the same object, if it is not a domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from raytune_hpo.space.functions import Function
from raytune_hpo.space.tree import Node

_DIALECTS = {
    "ray": "ray_tune",
    "hyperopt": "hyperopt",
    "optuna": "optuna",
    "ConfigSpace": "configspace",
    "scipy": "scipy_stats",
    "raytune_hpo": "own",
}


@dataclass(frozen=True)
class Foreign:
    """A translated space: its tree, without column numbers, and its constraints."""

    root: Node
    constraints: Sequence[Function] = ()


@dataclass(frozen=True)
class Labelled:
    """A translation with its label. A label active in two places would be one parameter, which a tree cannot express."""

    label: str
    thing: Any


def translate(thing: Any) -> Any:
    """The translation of another library's object; the object itself if it is a constant.

    Raises:
        SpaceError: it is a domain that cannot be translated faithfully.
    """
    for kind in type(thing).__mro__:  # a user's own subclass of a foreign domain is one too
        dialect = _DIALECTS.get(kind.__module__.partition(".")[0])
        if dialect is not None:
            return import_module(f"{__name__}.{dialect}").translate(thing)
    return thing
