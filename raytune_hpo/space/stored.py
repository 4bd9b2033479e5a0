"""Stored forms: how a journal keeps values that JSON cannot hold, and the stand-ins for those it cannot keep.

{"$value": [kind, data]}    by value: tuples, arrays and numbers of numpy, bytes, dates, Decimal, paths, ranges, sets, ...
{"$named": "module:name"}   by name: classes, functions and members of enums that can be imported
{"$opaque": text}           neither: the text says what it was

Nothing is pickled, and reading a form runs no code of others: a name is looked up among the modules that this process has
imported already. Otherwise a ``Named`` stands in for it, which imports the module when it is first called or asked for an
attribute.
"""

from __future__ import annotations

import base64
import enum
import functools
import inspect
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import BuiltinFunctionType, FunctionType
from typing import Any, NoReturn
from uuid import UUID

import numpy as np

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.values import is_scalar, show, stable_repr, texts_of

_LARGEST_ARRAY = 2**16  # bytes; a journal is no place for data sets
_SCRIPT = "__main__:"  # prefix of names in the script itself, which no other process can import
_LONGEST_NUMBER = 4_300  # digits of the longest int that Python converts to text and back


class NotStoredError(SpaceError, AttributeError, TypeError):
    """A value is needed, but the stored study kept only its text."""


class _StandIn(ABC):
    """A stand-in for a value of a stored study, which forwards every operation to ``_real``."""

    __slots__ = ()

    @abstractmethod
    def _real(self) -> Any:
        """The value itself.

        Raises:
            NotStoredError: it is not available.
        """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # looked up by copy, pickle and numpy on any object
            raise AttributeError(name)
        return getattr(self._real(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __float__(self) -> float:
        return float(self._real())


def _arithmetic(name: str) -> Callable[..., Any]:
    def method(self: Any, *others: Any) -> Any:
        return getattr(self._real(), name)(*others)

    return method


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "matmul", "rmatmul", "neg"):
    setattr(_StandIn, f"__{_name}__", _arithmetic(f"__{_name}__"))


class NotStored(_StandIn):
    """Stands in for an object that a journal could not keep: it has the object's repr, and using it raises an error.

    Attributes:
        text: the repr of the object.
        number: distinguishes it from others with the same text, from 1; 0 if it is the only one.
    """

    __slots__ = ("number", "text")

    def __init__(self, text: str, number: int = 0) -> None:
        self.text, self.number = text, number

    def _real(self) -> NoReturn:
        raise NotStoredError(
            f"{self!r} is all that a journal kept of this value, which can neither be imported by its name nor be "
            f"stored; take it from where the space was written"
        )

    def __repr__(self) -> str:
        text = self.text[1:-1] if self.text.startswith("<") and self.text.endswith(">") else self.text
        number = f" number {self.number}" if self.number else ""
        return f"<{text}{number}, not stored>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NotStored) and (self.text, self.number) == (other.text, other.number)

    def __hash__(self) -> int:
        return hash((self.text, self.number))

    def __reduce__(self) -> tuple[Any, ...]:
        return NotStored, (self.text, self.number)


class Named(_StandIn):
    """Stands in for a class, function or enum member whose module this process has not imported yet.

    Attributes:
        name: ``module:qualified.name``.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def _real(self) -> Any:
        module = self.name.partition(":")[0]
        try:
            import_module(module)
        except Exception as error:
            raise NotStoredError(f"{self!r} of a stored study cannot be imported here: {error!r}") from error
        found = _found(self.name)
        if found is None:
            raise NotStoredError(
                f"{self!r} of a stored study is not in {module!r} any more; use what has taken its place"
            )
        return found

    def __repr__(self) -> str:
        return self.name.replace(":", ".")

    def __eq__(self, other: object) -> bool:
        return self.name == (other.name if isinstance(other, Named) else _name_of(other))

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_name, (self.name,)


# ------------------------------------------------------------------------------------------------ by name


def _by_name(name: str) -> Any:
    """The object of that name if its module has been imported, otherwise a stand-in."""
    module = name.partition(":")[0]
    found = _found(name) if module in sys.modules else None
    if found is not None:
        return found
    return Named(name)


def _of_script(text: str) -> Any:
    """The object from the script that this process runs, or a stand-in; other processes cannot import it."""
    found = _found(text.replace(".", ":", 1)) if text.startswith("__main__.") else None
    return NotStored(text) if found is None else found


def _found(name: str) -> Any:
    """The class, function or enum member of that name in an imported module; None if there is none.

    Attributes are looked up statically, so that no code of the module runs.
    """
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = inspect.getattr_static(found, part, None)
        if isinstance(found, (staticmethod, classmethod)):
            return None
    is_thing = isinstance(found, (type, FunctionType, BuiltinFunctionType, np.ufunc, enum.Enum))
    is_its_own = module != "__main__" or getattr(found, "__module__", None) == "__main__"
    return found if is_thing and is_its_own else None


def _name_of(value: Any) -> str | None:
    """The name under which a value can be imported; None if it cannot."""
    if isinstance(value, enum.Enum):
        module, path = type(value).__module__, f"{type(value).__qualname__}.{value.name}"
    elif isinstance(value, (type, FunctionType, BuiltinFunctionType, np.ufunc)):
        module, path = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", value.__name__)
        if isinstance(value, np.ufunc):
            module = module or "numpy"
    else:
        return None
    name = f"{module}:{path}"
    return name if _found(name) is value else None


# ------------------------------------------------------------------------------------------------ by value


def _array(value: Any) -> list[Any]:
    return [value.dtype.str, list(value.shape), base64.b64encode(value.tobytes()).decode()]


def _array_back(data: Any) -> Any:
    dtype, shape, text = data
    return np.frombuffer(base64.b64decode(text), dtype=np.dtype(dtype)).reshape(shape).copy()


_TO: dict[type, tuple[str, Callable[[Any], Any]]] = {
    tuple: ("tuple", lambda value: list(map(to_stored, value))),
    dict: ("dict", lambda value: [[to_stored(key), to_stored(item)] for key, item in value.items()]),
    set: ("set", lambda value: _in_order(value)),
    frozenset: ("frozenset", lambda value: _in_order(value)),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
    bytearray: ("bytearray", lambda value: base64.b64encode(value).decode()),
    complex: ("complex", lambda value: [value.real, value.imag]),
    Decimal: ("decimal", str),
    Fraction: ("fraction", str),
    datetime: ("datetime", datetime.isoformat),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    timedelta: ("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    UUID: ("uuid", str),
    type(Path()): ("path", str),
    PurePosixPath: ("posix path", str),
    PureWindowsPath: ("windows path", str),
    range: ("range", lambda value: [value.start, value.stop, value.step]),
    slice: ("slice", lambda value: list(map(to_stored, (value.start, value.stop, value.step)))),
    functools.partial: (
        "partial",
        lambda value: list(map(to_stored, (value.func, list(value.args), dict(value.keywords)))),
    ),
    np.ndarray: ("array", _array),
    type(Ellipsis): ("ellipsis", lambda value: None),
}
_FROM: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda data: tuple(map(from_stored, data)),
    "dict": lambda data: {from_stored(key): from_stored(item) for key, item in data},
    "set": lambda data: set(map(from_stored, data)),
    "frozenset": lambda data: frozenset(map(from_stored, data)),
    "bytes": base64.b64decode,
    "bytearray": lambda data: bytearray(base64.b64decode(data)),
    "complex": lambda data: complex(*data),
    "decimal": Decimal,
    "fraction": Fraction,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda data: timedelta(*data),
    "uuid": UUID,
    "path": Path,
    "posix path": PurePosixPath,
    "windows path": PureWindowsPath,
    "range": lambda data: range(*data),
    "slice": lambda data: slice(*map(from_stored, data)),
    "partial": lambda data: _partial_back(*map(from_stored, data)),
    "array": _array_back,
    "scalar": lambda data: _array_back(data)[()],
    "ellipsis": lambda data: ...,
}


def _in_order(values: Any) -> list[Any]:
    return sorted(map(to_stored, values), key=repr)  # the order of a set differs between processes


def _partial_back(function: Any, args: Any, keywords: Any) -> Any:
    return functools.partial(function, *args, **keywords)


def _can_be_kept(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype.kind in "biufcSUmM" and value.nbytes <= _LARGEST_ARRAY
    if isinstance(value, (datetime, time)):
        return value.tzinfo is None or type(value.tzinfo) is timezone
    return not isinstance(value, functools.partial) or not vars(value)


# ------------------------------------------------------------------------------------------------ both


def to_stored(value: Any) -> Any:
    """The stored form of a value: JSON, and the same in every process."""
    if is_scalar(value):
        return value
    try:
        return _form(value)
    except Exception:  # its parts are not accessible, or it contains itself: only its text is kept
        return {"$opaque": stable_repr(value)}


def _form(value: Any) -> Any:
    if type(value) is list:
        return list(map(to_stored, value))
    if type(value) is dict and all(type(key) is str and not key.startswith("$") for key in value):
        return {key: to_stored(item) for key, item in value.items()}
    if isinstance(value, NotStored):
        return {"$opaque": value.text}
    name = value.name if isinstance(value, Named) else _name_of(value)
    if name is not None and not name.startswith(_SCRIPT):
        return {"$named": name}
    if type(value) in _TO and _can_be_kept(value):
        kind, form = _TO[type(value)]
        return {"$value": [kind, form(value)]}
    if isinstance(value, np.generic) and _can_be_kept(value):
        return {"$value": ["scalar", _array(value)]}
    return {"$opaque": stable_repr(value)}


def from_stored(data: Any) -> Any:
    """The value of a stored form, or a stand-in for it."""
    if type(data) is list:
        return list(map(from_stored, data))
    if not isinstance(data, dict):
        return data
    if len(data) != 1:
        return {key: from_stored(item) for key, item in data.items()}
    ((key, body),) = data.items()
    if key == "$opaque":
        return NotStored(*body) if isinstance(body, list) else _of_script(body)
    if key == "$named":
        return _by_name(body)
    if key == "$live":
        return from_stored(body[1])
    if key != "$value":
        return {key: from_stored(body)}
    try:
        return _FROM[body[0]](body[1])
    except Exception:  # a form of a later release: the rest of the study can still be read
        return NotStored(f"a {body[0]}" if isinstance(body, list) and body else show(body))


def numbered(forms: Any) -> Any:
    """The stored forms with values that share the same text numbered from 1, to tell them apart."""
    texts = Counter(_texts(forms))
    seen: Counter[str] = Counter()

    def number(form: Any) -> Any:
        if isinstance(form, list):
            return list(map(number, form))
        if not isinstance(form, dict):
            return form
        if form.keys() != {"$opaque"}:
            return {key: number(item) for key, item in form.items()}
        text = form["$opaque"]
        seen[text] += 1
        return {"$opaque": [text, seen[text]]} if texts[text] > 1 else form

    return number(forms)


def _texts(form: Any) -> Iterator[str]:
    if isinstance(form, dict) and form.keys() == {"$opaque"}:
        yield form["$opaque"]
    elif isinstance(form, (list, dict)):
        for item in form.values() if isinstance(form, dict) else form:
            yield from _texts(item)


def in_todays_form(stored: Any, today: Any) -> Any:
    """Stored forms as this release would write them, as far as known: each release has kept more kinds by value.

    Args:
        stored: the forms in a journal; a value that an older release kept by its text gets today's form if today's value
            has that text.
        today: the forms of today's values in the same places.
    """
    if isinstance(stored, dict) and stored.keys() == {"$opaque"}:
        return today if stored["$opaque"] in texts_of(from_stored(today)) else stored
    if isinstance(stored, dict) and isinstance(today, dict) and stored.keys() == today.keys():
        return {key: in_todays_form(form, today[key]) for key, form in stored.items()}
    if isinstance(stored, list) and isinstance(today, list) and len(stored) == len(today):
        return list(map(in_todays_form, stored, today))
    return stored


def is_form(data: Any) -> bool:
    """Whether it is the stored form of one value that JSON cannot hold."""
    return isinstance(data, dict) and len(data) == 1 and bool(data.keys() & {"$value", "$named", "$opaque"})


def is_kept(form: Any) -> bool:
    """Whether the value can be restored from its stored form: no part of it is kept only as text."""
    if isinstance(form, dict):
        return "$opaque" not in form and all(map(is_kept, form.values()))
    return not isinstance(form, list) or all(map(is_kept, form))


def check_storable(value: Any, what: str) -> None:
    """Refuse a value that cannot be stored: an int with more digits than Python converts to text.

    Raises:
        SpaceError: it is such an int; the message names what the value is for.
    """
    if type(value) is int and value.bit_length() > _LONGEST_NUMBER / 0.302:
        raise SpaceError(
            f"{what} may have a whole number of {_LONGEST_NUMBER:,} digits at most, got one of "
            f"{value.bit_length()} bits; take its logarithm, or make a float of it"
        )
    if type(value) is dict:
        value = [*value, *value.values()]
    if type(value) in (list, tuple, set, frozenset):
        for item in value:
            check_storable(item, what)
