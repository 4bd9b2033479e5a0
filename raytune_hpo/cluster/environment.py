"""What the optimizer's process needs beyond this package."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from typing import Any

from raytune_hpo import cluster
from raytune_hpo.errors import SpecError
from raytune_hpo.protocols import Sampler

_DATABASE = {"sqlalchemy": "SQLAlchemy"}
_POSTGRES = {"psycopg": "psycopg", "psycopg2": "psycopg2-binary"}
_LEARNING = {"scipy": "scipy", "threadpoolctl": "threadpoolctl"}  # by which core.asking keeps algebra in one thread


def storage_words(storage: Any) -> Any:
    """The storage as words that mean the same on the head node, and on this machine in every folder.

    Seen through Ray Client, the head is another machine, and a relative path is its own business.
    """
    storage = _checked_words(storage)
    return storage if storage is None or cluster.is_remote() else _absolute(storage)


def _absolute(storage: str) -> str:
    """A relative SQLite path names a file below the folder of whoever typed it, not of Ray's workers."""
    scheme, found, path = storage.partition("sqlite:///")
    if found and not scheme:
        file, question, options = path.partition("?")
        return f"{found}{_absolute_path(file)}{question}{options}"
    is_path = "://" not in storage and (os.sep in storage or os.path.splitext(storage)[1] != "")
    return _absolute_path(storage) if is_path else storage


def _absolute_path(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _checked_words(storage: Any) -> str | None:
    if storage is None:
        return os.environ.get("RAYTUNE_HPO_STORAGE")
    if isinstance(storage, os.PathLike):
        return str(os.fspath(storage))
    if not isinstance(storage, str):
        raise SpecError(f"on a cluster, storage is a URL, a file or 'memory', got {storage!r}: it is opened elsewhere")
    return storage


def is_movable(storage: Any) -> bool:
    """Whether the storage can be reached from every node."""
    return isinstance(storage, str) and storage.startswith("postgres")


def optimizer_needs(storage: Any, sampler: Sampler | None) -> dict[str, str]:
    """Modules beyond numpy, and the pip requirements that bring them in the versions that this process has."""
    needed = dict(_DATABASE) if storage != "memory" else {}
    if is_movable(storage):
        needed |= _POSTGRES
    if sampler is not None:
        needed |= {} if sampler.traits.history_free else _LEARNING
        needed |= {_module_of(package): package for package in sampler.traits.needs}
    return {module: f"{name}=={version(name)}" for module, name in needed.items() if _installed(name)}


def _module_of(package: str) -> str:
    """What is imported of a package: ``sklearn`` of ``scikit-learn``; its own name where that cannot be told."""
    modules = (module for module, packages in packages_distributions().items() if package in packages)
    return package if find_spec(package) else next(modules, package)


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
