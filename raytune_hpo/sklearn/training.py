"""How an estimator is trained: at once, or in steps after each of which it can be scored and given up."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from sklearn.base import is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning

from raytune_hpo.errors import SpecError

PASSES = "partial_fit"


class Training(Protocol):
    """A way to train.

    Attributes:
        num_steps: how many steps make a whole training.
    """

    @property
    def num_steps(self) -> int: ...

    def fit(self, model: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        """Train from the beginning to the end."""
        ...

    def advance(self, model: Any, blank: Any, way: range, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        """Train on by some steps; a ``way`` from 0 begins.

        Args:
            blank: an estimator of the same parameters that has not been trained.
        """
        ...


def make_training(steps: str | None, num_steps: int, estimator: Any, y: Any) -> Training:
    """The training that ``steps`` asks for.

    Raises:
        SpecError: the estimator cannot be trained so.
    """
    if steps is None:
        return AtOnce()
    if steps == PASSES:
        return _passes(num_steps, estimator, y)
    return _growth(steps, num_steps, estimator)


@dataclass(frozen=True)
class AtOnce:
    """One call of ``fit``."""

    num_steps: int = 1

    def fit(self, model: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        _on(model.fit, X, y, params)

    def advance(self, model: Any, blank: Any, way: range, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        self.fit(model, X, y, params)


@dataclass(frozen=True)
class Passes:
    """A step is one call of ``partial_fit`` with all of the data.

    Attributes:
        extra: what it wants to know beside them: the classes.
    """

    num_steps: int
    extra: Mapping[str, Any]

    def fit(self, model: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        self.advance(model, model, range(self.num_steps), X, y, params)

    def advance(self, model: Any, blank: Any, way: range, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        for _ in way:
            _on(model.partial_fit, X, y, {**self.extra, **params})


@dataclass(frozen=True)
class Growth:
    """A step is a call of ``fit`` that goes on where the last one ended (``warm_start``), for a part of the way.

    Attributes:
        parameter: says how far the way is: ``n_estimators``, ``clf__max_iter`` ...
    """

    num_steps: int
    parameter: str

    def fit(self, model: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        _on(model.fit, X, y, params)

    def advance(self, model: Any, blank: Any, way: range, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        total = self._total(blank)
        before, after = (math.ceil(total * step / self.num_steps) for step in (way.start, way.stop))
        if after == before:
            return
        amount = after - before if _adds(blank, self.parameter) else after
        model.set_params(**{self.parameter: amount, _beside(self.parameter, "warm_start"): True})
        with warnings.catch_warnings():
            if after < total:  # it is not meant to have converged yet
                warnings.simplefilter("ignore", ConvergenceWarning)
            _on(model.fit, X, y, params)

    def _total(self, blank: Any) -> int:
        total = blank.get_params()[self.parameter]
        if isinstance(total, bool) or not hasattr(total, "__index__") or total < 1:
            raise SpecError(f"steps={self.parameter!r} is a whole number of at least 1, got {total!r}")
        return int(total)


def _passes(num_steps: int, estimator: Any, y: Any) -> Passes:
    if not hasattr(estimator, PASSES):
        raise SpecError(
            f"steps='partial_fit' needs an estimator that has it, {type(estimator).__name__} has not; name the parameter "
            f"that says how long it trains, such as steps='max_iter' or, in a pipeline, steps='clf__max_iter'"
        )
    return Passes(num_steps, {"classes": np.unique(y)} if is_classifier(estimator) else {})


def _growth(parameter: str, num_steps: int, estimator: Any) -> Growth:
    known = estimator.get_params()
    missing = [name for name in (parameter, _beside(parameter, "warm_start")) if name not in known]
    if missing:
        raise SpecError(
            f"steps={parameter!r} goes on with what was trained, for which {type(estimator).__name__} needs the "
            f"parameter {missing[0]!r}, and has not; leave steps out to stop early over folds"
        )
    return Growth(num_steps, parameter)


def _beside(parameter: str, name: str) -> str:
    """The name of another parameter of the same part of a pipeline."""
    return "__".join([*parameter.split("__")[:-1], name])


def _adds(estimator: Any, parameter: str) -> bool:
    """Whether ``fit`` adds so many iterations to what is there, instead of going on until there are so many."""
    *part, name = parameter.split("__")
    owner = estimator.get_params()["__".join(part)] if part else estimator
    return name == "max_iter" and not isinstance(owner, (HistGradientBoostingClassifier, HistGradientBoostingRegressor))


def _on(method: Callable[..., Any], X: Any, y: Any, params: Mapping[str, Any]) -> None:
    if y is None:
        method(X, **params)
    else:
        method(X, y, **params)
