"""Stand-ins for names of Ray that have no counterpart here: they can be imported, and raise NotCarried when used."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from raytune_hpo.compat.ray_tune.error import NotCarried

Part = TypeVar("Part")


def warn_of_idle(part: str, **options: tuple[Any, Any]) -> None:
    """Warn of options of a part that were given, but have no effect here.

    Args:
        options: for each, the value that was given, and Ray Tune's default.
    """
    idle = [f"{name}={given!r}" for name, (given, default) in options.items() if given != default]
    if idle:
        warnings.warn(f"{part}: no effect here of {', '.join(idle)}", stacklevel=4)


def built(kind: Callable[..., Part], options: Mapping[str, Any]) -> Part:
    """A searcher or scheduler with those of the options that it takes; the others are ignored, as by Ray Tune."""
    known = inspect.signature(kind).parameters
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    return kind(**{name: value for name, value in options.items() if takes_all or name in known})


class StandIn:
    """A stand-in for a class or function of Ray. Any use of it raises NotCarried.

    Args:
        name: of the original, with its module.
        way_out: what to do instead, as the end of a sentence.
    """

    def __init__(self, name: str, way_out: str) -> None:
        self.__dict__.update(_name=name, _way_out=way_out)

    def _refuse(self) -> NoReturn:
        raise NotCarried(f"{self._name} has no counterpart here; {self._way_out}")

    def __call__(self, *args: Any, **keywords: Any) -> NoReturn:
        self._refuse()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_name", "_way_out"):  # read by copying, pickling and inspection
            raise AttributeError(name)
        self._refuse()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        self._refuse()

    def __repr__(self) -> str:
        return f"<{self._name}, which has no counterpart here>"


def stand_ins(module: str, way_out: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module whose names have no counterpart, so that each of them can be imported.

    Args:
        module: the original's name.
    """

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{module}.{name}", way_out)

    return __getattr__
