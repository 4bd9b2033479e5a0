"""Drawing derived values that are or contain domains, which a function given to Ray Tune's ``sample_from`` may return.

A configuration holds them as ``Undrawn`` until its trial is handed out; they are then drawn from the trial's own random
stream.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.stored import check_storable
from raytune_hpo.space.values import is_plain, show, tidy


class Undrawn:
    """A derived value that holds domains, before they are drawn.

    Args:
        thing: a domain, or lists and dicts of domains and constants.
        name: the name of its parameter.
    """

    def __init__(self, thing: Any, name: str) -> None:
        self._thing, self._name = thing, name

    def __repr__(self) -> str:
        return f"<drawn from {show(self._thing)}>"

    def drawn(self, rng: np.random.Generator) -> Any:
        """One drawn value.

        Raises:
            SpaceError: its domains break a rule; the message names the parameter.
        """
        # Imported here, since ``space`` imports this module.
        space: Any = import_module("raytune_hpo.space.space").Space
        try:
            return space({"value": self._thing}).sample(1, rng)[0]["value"]
        except SpaceError as error:
            raise SpaceError(f"sample_from at {self._name!r} gave {show(self._thing)}: {error}") from error


def drawable(value: Any, path: tuple[str | int, ...]) -> Any:
    """A derived value as a configuration holds it: numpy scalars as Python's, domains to be drawn later.

    Raises:
        SpaceError: it contains another ``sample_from``, or an integer too long to be written as text.
    """
    value = tidy(value)
    name = "/".join(map(str, path))
    check_storable(value, f"sample_from at {name!r}")
    if is_plain(value):
        return value
    reader: Any = import_module("raytune_hpo.space.reader")
    if not reader.holds_domains(value):
        return value
    if reader.holds_derived(value):
        raise SpaceError(
            f"sample_from at {name!r} may return domains, but not another sample_from, got {show(value)}; "
            "call its function instead"
        )
    return Undrawn(value, name)


def drawn(config: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The configuration with all its values drawn; the same object if they already are."""
    return _drawn(config, rng) if _is_undrawn(config) else config


def _is_undrawn(value: Any) -> bool:
    if type(value) is dict:
        return any(map(_is_undrawn, value.values()))
    return any(map(_is_undrawn, value)) if type(value) is list else type(value) is Undrawn


def _drawn(value: Any, rng: np.random.Generator) -> Any:
    if type(value) is Undrawn:
        return value.drawn(rng)
    if type(value) is dict:
        return {key: _drawn(item, rng) for key, item in value.items()}
    return [_drawn(item, rng) for item in value] if type(value) is list else value
