"""Installed objectives by name: from entry points, and from a folder that is named when the service starts.

Each is a module like those of ``raytune-hpo run FILE.py``: it has ``objective`` and ``space``, and may have ``settings``.
Requests can only name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from raytune_hpo.api.userfile import load_file
from raytune_hpo.errors import HpoError, SpecError, nearest
from raytune_hpo.space import Space

GROUP = "raytune_hpo.objectives"
KIND = "entry_point"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An installed objective.

    Attributes:
        summary: the first line of its module's docstring, or of its function's.
    """

    name: str
    objective: Any
    space: Space
    summary: str


def found(folder: Path | None) -> dict[str, Path | str]:
    """The objectives by name: their files, or the modules that entry points name."""
    modules: dict[str, Path | str] = {point.name: point.value for point in entry_points(group=GROUP)}
    files = {} if folder is None else {path.stem: path for path in sorted(folder.glob("[!_.]*.py"))}
    return {**modules, **files}


def load(name: str, folder: Path | None) -> Installed:
    """The objective of a name.

    Raises:
        SpecError: there is none, it cannot be loaded, or its module has no objective or no space.
    """
    known = found(folder)
    if name not in known:
        raise SpecError(f"no objective {name[:60]!r} is installed; {nearest(name, known)}")
    where = known[name]
    try:
        module = _module(where, where.stat().st_mtime_ns if isinstance(where, Path) else 0)
    except Exception as error:  # it is the user's code, which may raise anything
        cause = error.__cause__ if isinstance(error, HpoError) and error.__cause__ is not None else error
        raise SpecError(f"the objective {name!r} cannot be loaded: {type(cause).__name__}: {cause}") from error
    for needed in ("objective", "space"):
        if not hasattr(module, needed):
            raise SpecError(
                f"the module of an objective defines `objective` and `space`; that of {name!r} has no {needed!r}"
            )
    text = (module.__doc__ or module.objective.__doc__ or "").strip()
    return Installed(
        name=name, objective=module.objective, space=Space.of(module.space), summary=text.partition("\n")[0]
    )


@lru_cache(maxsize=64)
def _module(where: Path | str, changed_at: int) -> Any:
    """The module of a file, loaded again whenever the file has changed, or of a package."""
    return load_file(where) if isinstance(where, Path) else import_module(where)


def stored_name(settings: Mapping[str, Any]) -> str | None:
    """The name of the installed objective of a stored study; None if it has none."""
    stored = settings.get("objective")
    return str(stored["name"]) if isinstance(stored, Mapping) and stored.get("kind") == KIND else None
