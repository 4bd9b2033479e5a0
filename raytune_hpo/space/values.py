"""Values of parameters: whether one is plain, whether two are equal, how to show one, how to copy one."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

_SCALARS = (type(None), bool, int, float, str)
_LONGEST = 120  # characters of a value inside a message


def is_scalar(value: Any) -> bool:
    """Whether it is a JSON value other than a list or dict; instances of subclasses (numpy's float64, enums) are not."""
    return type(value) in _SCALARS


def is_plain(value: Any) -> bool:
    """Whether the value survives a round trip through JSON unchanged."""
    if type(value) is list:
        return all(map(is_plain, value))
    if type(value) is dict:
        # "$opaque" marks a value that JSON cannot hold, so a user's dict with that key is not plain.
        return all(type(key) is str and key != "$opaque" and is_plain(item) for key, item in value.items())
    return type(value) in _SCALARS


def plain(value: Any) -> Any:
    """The value with numpy's scalars turned into Python's; anything else is returned as it is."""
    if not isinstance(value, np.generic) or value.dtype.kind not in "biufU":
        return value
    return float(value) if value.dtype.kind == "f" else value.item()  # a longdouble's item is a longdouble


def fresh(value: Any) -> Any:
    """A copy of nested lists and dicts, which shares all other objects: who changes it changes nobody else's."""
    if type(value) is dict:
        return {key: fresh(item) for key, item in value.items()}
    if type(value) is list:
        return [fresh(item) for item in value]
    return value


def key_of(value: Any) -> Hashable:
    """A key that is equal for values that count as the same option: 1, 1.0 and True are three, all NaNs are one."""
    if isinstance(value, float) and math.isnan(value):
        return float, "nan"
    if isinstance(value, (list, tuple)):
        return type(value), tuple(key_of(item) for item in value)
    if isinstance(value, Mapping):
        return dict, frozenset((key, key_of(item)) for key, item in value.items())
    try:
        hash(value)
    except TypeError:
        return type(value), id(value)
    return type(value), value


def same(left: Any, right: Any) -> bool:
    """Equality that never returns an array, distinguishes True from 1, and takes NaN as equal to NaN."""
    if left is right:
        return True
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return type(left) is type(right) and np.array_equal(left, right)
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, (list, tuple)) and type(left) is type(right):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


def tidy(value: Any) -> Any:
    """The value with numpy's scalars turned into Python's, in lists, tuples and dicts as well."""
    if type(value) in _SCALARS:
        return value
    if type(value) is list or type(value) is tuple:
        return type(value)(map(tidy, value))
    if type(value) is dict:
        return {plain(key): tidy(item) for key, item in value.items()}
    return plain(value)


def stable_repr(value: Any) -> str:
    """A repr that is the same in every process: without memory addresses, sets in order. It never raises."""
    try:
        return _repr(value)
    except Exception:  # a foreign class's repr raises, an int is too long for text, or a list contains itself
        return f"<{type(value).__module__}.{type(value).__qualname__} object>"


def _repr(value: Any) -> str:
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__") and hasattr(value, "__module__")):
        return f"{value.__module__}.{value.__qualname__}"
    if type(value) is list:
        return f"[{', '.join(map(_repr, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(_repr, value))}{',' if len(value) == 1 else ''})"
    if type(value) is dict:
        return f"{{{', '.join(f'{_repr(key)}: {_repr(item)}' for key, item in value.items())}}}"
    if type(value) in (set, frozenset) and value:
        items = f"{{{', '.join(sorted(map(_repr, value)))}}}"
        return items if type(value) is set else f"frozenset({items})"
    return _without_addresses(value)


def _without_addresses(value: Any) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def texts_of(value: Any) -> set[str]:
    """The texts as which releases have stored the value: the first releases did not look into tuples, lists and dicts."""
    texts = {stable_repr(value)}
    with suppress(Exception):  # see ``stable_repr``
        texts.add(_without_addresses(value))
    return texts


def show(value: Any) -> str:
    """A short repr for a message."""
    text = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else stable_repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
