"""The array type for annotations in the whole package; docstrings give shapes and units."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
