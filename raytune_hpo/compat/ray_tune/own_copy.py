"""Copies of what a script gives to its trials, so that no trial changes what another, or the script, has."""

from __future__ import annotations

import io
import pickle
from types import FunctionType, ModuleType
from typing import Any

_SHARED = (FunctionType, ModuleType, type)


def own_copy(value: Any) -> Any:
    """A copy of a configuration, or of parameters, as a trial gets it from Ray, which sends it to a process of its own.

    As there, the memory of arrays is shared, and a copy cannot write to it. Shared as well are functions, classes, objects
    of Ray's, and what cannot be pickled.
    """
    try:
        return _pickled_and_back(value)
    except Exception:  # whatever the pickling of a user's object raises
        if type(value) is dict:
            return {key: own_copy(child) for key, child in value.items()}
        return [own_copy(child) for child in value] if type(value) is list else value


def _pickled_and_back(value: Any) -> Any:
    file, shared, arrays = io.BytesIO(), list[Any](), list[pickle.PickleBuffer]()
    _Pickler(file, shared, arrays).dump(value)
    file.seek(0)
    return _Unpickler(file, shared, [array.raw().toreadonly() for array in arrays]).load()


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, shared: list[Any], arrays: list[pickle.PickleBuffer]) -> None:
        super().__init__(file, protocol=5, buffer_callback=arrays.append)
        self._shared = shared

    def persistent_id(self, obj: Any) -> int | None:
        if not isinstance(obj, _SHARED) and not type(obj).__module__.startswith("ray."):
            return None
        self._shared.append(obj)
        return len(self._shared) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: list[Any], arrays: list[memoryview]) -> None:
        super().__init__(file, buffers=arrays)
        self._shared = shared

    def persistent_load(self, pid: int) -> Any:
        return self._shared[pid]
