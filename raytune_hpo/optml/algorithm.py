"""Algorithms as four functions, taken from a file, a module, a class or a dict."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_hpo.api.userfile import load_file
from raytune_hpo.errors import SpecError

# Each function with the arguments it is called with.
FUNCTIONS = {
    "generate_data": (),
    "initialization": ("data", "hyperparameters"),
    "train": ("model", "data", "hyperparameters"),
    "test_error": ("model", "data"),
}
METRIC = "error"


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """An algorithm: four functions that generate data, make a model, train it and test it.

    Attributes:
        generate_data: called once; what it returns is handed to every trial, and no trial may change it.
        initialization: called with ``(data, hyperparameters)``; returns a fresh model.
        train: called with ``(model, data, hyperparameters)``; returns the trained model, or None if it trained in place.
        test_error: called with ``(model, data)``; returns a number, the smaller the better.
        valid_range: the errors that make sense; a trial whose error lies outside this range fails.
        name: what the algorithm is called in studies and tables.
    """

    generate_data: Callable[[], Any]
    initialization: Callable[[Any, dict[str, Any]], Any]
    train: Callable[[Any, Any, dict[str, Any]], Any]
    test_error: Callable[[Any, Any], Any]
    valid_range: tuple[float, float] | None = None
    name: str = "algorithm"

    def __post_init__(self) -> None:
        for function, arguments in FUNCTIONS.items():
            _check_signature(self.name, function, getattr(self, function), arguments)

    @staticmethod
    def of(given: Any) -> Algorithm:
        """The algorithm in a file, a module, a class or a dict that has the four functions.

        Raises:
            SpecError: a function is missing or takes other arguments, or there is no such file.
            HpoError: the file cannot be run.
        """
        if isinstance(given, Algorithm):
            return given
        if isinstance(given, (str, os.PathLike)):
            path = Path(given)
            if not path.is_file():
                names = ", ".join(FUNCTIONS)
                raise SpecError(f"an algorithm is a Python file with {names}; there is no file {str(path)!r}")
            return _gathered(vars(load_file(path)), path.stem, str(path))
        found = given if isinstance(given, Mapping) else _Attributes(given)
        name = str(found.get("__name__", type(given).__name__)).rpartition(".")[2]
        return _gathered(found, name, name)


class _Attributes:
    """An object's attributes, read like a dict."""

    def __init__(self, owner: object) -> None:
        self._owner = owner

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self._owner, name, default)


def error_of(config: dict[str, Any], algorithm: Algorithm, data: Any) -> dict[str, Any]:
    """The objective: the test error of one configuration's trained model."""
    model = algorithm.initialization(data, config)
    trained = algorithm.train(model, data, config)
    return {METRIC: algorithm.test_error(model if trained is None else trained, data)}


def _gathered(found: Mapping[str, Any] | _Attributes, name: str, where: str) -> Algorithm:
    missing = [function for function in FUNCTIONS if found.get(function) is None]
    if missing:
        raise SpecError(f"an algorithm has {', '.join(FUNCTIONS)}; {where} has no {' and no '.join(missing)}")
    functions: dict[str, Any] = {function: found.get(function) for function in FUNCTIONS}
    return Algorithm(**functions, valid_range=found.get("valid_range"), name=name)


def _check_signature(algorithm: str, name: str, function: Any, arguments: tuple[str, ...]) -> None:
    wanted = f"{name}({', '.join(arguments)})"
    if not callable(function):
        raise SpecError(f"{algorithm} needs a function {wanted}, its {name} is a {type(function).__name__}")
    try:
        signature = inspect.signature(function)
    except ValueError:  # a built-in function whose signature is not available
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise SpecError(f"{algorithm} needs a function {wanted}, its own is {name}{signature}: {error}") from error
