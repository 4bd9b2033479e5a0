"""The environment of the optimizer's process: the storage's address as seen from there, and the packages that it needs."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from typing import Any

from raytune_hpo import cluster
from raytune_hpo.errors import SpecError
from raytune_hpo.journal.opening import STORAGE_VARIABLE, default_storage, storage_class
from raytune_hpo.journal.storage import BaseStorage
from raytune_hpo.protocols import Sampler

_OF_JOBS = "/runtime_resources/working_dir_files/"  # where Ray unpacks working directories
_LEARNING = {"scipy": "scipy", "threadpoolctl": "threadpoolctl"}  # core.asking limits threads with it


def storage_words(storage: Any) -> str | None:
    """The storage as a URL or path that means the same on the head node, and in every folder of this machine.

    Through Ray Client, the head is another machine, and a relative path is left for it to resolve. None is the default of
    the head node's user.

    Raises:
        SpecError: the storage is not given as a URL or path, or as one that no storage understands.
    """
    if storage is None:
        storage = os.environ.get(STORAGE_VARIABLE) or None
    if storage is None:
        return None
    if not isinstance(storage, (str, os.PathLike)):
        raise SpecError(
            "on a cluster, storage is a URL, a file or 'memory', since another process opens it; "
            f"got an object of type {type(storage).__name__}"
        )
    kind, words = storage_class(storage)
    return words if cluster.is_remote() else kind.absolute(words)


def is_lost_with_job(storage: str) -> bool:
    """Whether a storage is a file in the working directory of a job, a copy of the user's that Ray makes and deletes."""
    return _OF_JOBS in storage


def is_movable(storage: str | None) -> bool:
    """Whether the storage can be reached from every node."""
    return _class_of(storage).is_movable


def optimizer_needs(storage: str | None, sampler: Sampler | None) -> dict[str, str]:
    """The modules that the optimizer needs beyond numpy, with pip requirements for the versions of this process."""
    needed = dict(_class_of(storage).needs)
    if sampler is not None:
        needed |= {} if sampler.traits.history_free else _LEARNING
        needed |= {_module_of(package): package for package in sampler.traits.needs}
    requirements = {}
    for module, package in needed.items():
        # A package that this process does without, such as one of two database drivers, is not needed there.
        with suppress(PackageNotFoundError):
            requirements[module] = f"{package}=={version(package)}"
    return requirements


def _class_of(storage: str | None) -> type[BaseStorage]:
    return storage_class(default_storage() if storage is None else storage)[0]


def _module_of(package: str) -> str:
    """The module that a package installs: ``sklearn`` for ``scikit-learn``; the package's name if unknown."""
    if find_spec(package):
        return package
    by_module = packages_distributions()  # reads the metadata of all installed packages, which takes a second
    return next((module for module, packages in by_module.items() if package in packages), package)
