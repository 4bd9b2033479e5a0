"""The array type that the whole package annotates with; docstrings say shapes and units."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
