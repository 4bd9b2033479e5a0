"""Functions inside a space: values derived from the rest of a configuration, and constraints.

JSON cannot hold a function, so the JSON form has its name and a digest of its source, which tells whether two functions
are the same. A space read from JSON has stand-ins instead, which raise an error when they are called.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeAlias

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.values import show, stable_repr

Function: TypeAlias = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class SampleFrom:
    """A value that ``function(config)`` derives from the rest of the configuration; it is not a parameter."""

    function: Function

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SpaceError(f"sample_from takes a function of the configuration, got {show(self.function)}")

    def sample(self, config: Mapping[str, Any] | None = None, size: int = 1, random_state: object = None) -> Any:
        """The function's value, or a list of ``size`` of them: for a look, and for functions of one's own.

        Named as in ``ray.tune``, and as the method of domains.

        Args:
            config: the rest of the configuration; None: an empty one, for a function that does not read it.
            random_state: has no effect, since the function draws what it draws.
        """
        values = [self.function(dict(config or {})) for _ in range(size)]
        return values[0] if size == 1 else values


@dataclass(frozen=True)
class MissingFunction:
    """Stands in for a function that the JSON form of a space could not hold."""

    function: str
    source: str

    def __call__(self, config: dict[str, Any]) -> Any:
        raise SpaceError(
            f"the function {self.function!r} of this space is needed, and was not stored with it: "
            f"a stored space keeps only the names of functions; pass the original space"
        )


@dataclass(frozen=True)
class Lifted:
    """A constraint on a part of a configuration, as a function of the whole."""

    function: Function
    path: tuple[str | int, ...]

    def __call__(self, config: dict[str, Any]) -> Any:
        part: Any = config
        for key in self.path:
            part = part[key]
        return self.function(part)


def name_of(function: Any) -> str:
    """The name of a function in a message; for a lambda, its file and line."""
    if isinstance(function, MissingFunction):
        return function.function
    if isinstance(function, Lifted):
        return f"{'/'.join(map(str, function.path))}: {name_of(function.function)}"
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is not None and function.__name__ == "<lambda>":
        return f"<lambda> at {code.co_filename.rpartition('/')[2]}:{code.co_firstlineno}"
    return _qualname(function)


def function_to_json(function: Any) -> dict[str, str]:
    """The JSON form of a function: equal for functions of the same name and source."""
    if isinstance(function, MissingFunction):
        return {"function": function.function, "source": function.source}
    if isinstance(function, Lifted):
        inner = function_to_json(function.function)
        return {**inner, "function": f"{'/'.join(map(str, function.path))}: {inner['function']}"}
    function = inspect.unwrap(function)
    text = "\n".join(_texts(function))
    return {"function": _qualname(function), "source": hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}


def _qualname(function: Any) -> str:
    if isinstance(function, functools.partial):
        return _qualname(function.func)
    named = function if hasattr(function, "__qualname__") else type(function)
    return str(named.__qualname__)


def _texts(function: Any) -> list[str]:
    """The texts that distinguish a function from others of the same name."""
    if isinstance(function, functools.partial):
        return [*_texts(function.func), stable_repr(function.args), stable_repr(sorted(function.keywords.items()))]
    code = getattr(function, "__code__", None)
    try:
        source = inspect.getsource(function if hasattr(function, "__qualname__") else type(function))
    except (OSError, TypeError):  # typed at a prompt, or built in
        return _code_texts(code) if code is not None else [stable_repr(function)]
    texts = [textwrap.dedent(source).strip()]
    if not hasattr(function, "__qualname__"):
        texts.append(stable_repr(function))  # an object that can be called: its state counts too
    if code is not None and function.__name__ == "<lambda>":
        # Two lambdas may share a line; names and constants tell them apart, alike in all versions of Python.
        texts += [repr(code.co_names), repr([c for c in code.co_consts if isinstance(c, (int, float, str))])]
    return texts


def _code_texts(code: CodeType) -> list[str]:
    texts = [code.co_code.hex(), repr(code.co_names)]
    for constant in code.co_consts:
        texts += _code_texts(constant) if isinstance(constant, CodeType) else [repr(constant)]
    return texts
