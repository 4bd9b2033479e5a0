"""Versions of the packages that compute suggestions: under another numpy, the same study may come out differently."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

import raytune_hpo

_PACKAGES = ("numpy", "scipy", "scikit-learn")


@cache
def installed_versions() -> Mapping[str, str]:
    """The versions of Python, this package, and the installed numeric packages, none of which is imported."""
    found = {"python": platform.python_version(), "raytune_hpo": raytune_hpo.__version__}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):  # the samplers that need it cannot run here
            found[package] = version(package)
    return MappingProxyType(found)
