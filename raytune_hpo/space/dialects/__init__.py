"""Dialects: translation of other libraries' domains and spaces.

Objects are recognised by the module of their type, so no library is imported unless the user has imported it already.
Each dialect has one function, ``translate(thing)``, which returns

* one of our domains, a ``SampleFrom``, or a dict or list of things that can be translated in turn;
* a ``Labelled`` one of these, if the library has its own name for it;
* a ``Foreign``, if the library's structure needs a tree and constraints;
* the thing itself, if it is not a domain.
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
    """A translation with its label, which names one parameter: no tree can have it active in two places."""

    label: str
    thing: Any


def translate(thing: Any) -> Any:
    """The translation of another library's object; the object itself if it is a constant.

    Raises:
        SpaceError: it is a domain that has no exact equivalent.
    """
    for kind in type(thing).__mro__:  # a user's own subclass of a foreign domain is one too
        dialect = _DIALECTS.get(kind.__module__.partition(".")[0])
        if dialect is not None:
            return import_module(f"{__name__}.{dialect}").translate(thing)
    return thing
