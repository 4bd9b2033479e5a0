"""Versions of what computes suggestions: the same study may come out otherwise under another numpy."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

import raytune_hpo

_PACKAGES = ("numpy", "scipy", "scikit-learn")


@cache
def installed_versions() -> Mapping[str, str]:
    """Of Python, of this package, and of the packages for arithmetic that are installed; none of them is imported."""
    found = {"python": platform.python_version(), "raytune_hpo": raytune_hpo.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass  # the samplers that need it cannot run here
    return MappingProxyType(found)
