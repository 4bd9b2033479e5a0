"""Training methods for estimators: at once, or in steps, after each of which a candidate can be scored and stopped."""

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


class TrainingMethod(Protocol):
    """A way to train an estimator.

    Attributes:
        num_steps: number of steps of a whole training.
    """

    @property
    def num_steps(self) -> int: ...

    def fit(self, model: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        """Train from beginning to end."""
        ...

    def advance(self, model: Any, blank: Any, steps: range, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        """Train for some steps; ``steps`` that start at 0 begin the training, others continue it.

        Args:
            blank: an untrained estimator with the same parameters.
        """
        ...


def make_training(steps: str | None, num_steps: int, estimator: Any, y: Any) -> TrainingMethod:
    """The training method that ``steps`` asks for.

    Raises:
        SpecError: the estimator cannot be trained that way.
    """
    if steps is None:
        return AtOnce()
    name = type(estimator).__name__
    if steps == PASSES:
        if not hasattr(estimator, PASSES):
            raise SpecError(
                f"steps='partial_fit' needs an estimator with that method, {name} has none; name the parameter "
                f"that says how long it trains, such as steps='max_iter' or, in a pipeline, steps='clf__max_iter'"
            )
        return Passes(num_steps, {"classes": np.unique(y)} if is_classifier(estimator) else {})
    known = estimator.get_params()
    missing = [parameter for parameter in (steps, _sibling(steps, "warm_start")) if parameter not in known]
    if missing:
        raise SpecError(
            f"steps={steps!r} continues a training, for which {name} needs the parameter {missing[0]!r}, "
            f"which it does not have; leave steps out to stop early over folds"
        )
    return Growth(num_steps, steps)


@dataclass(frozen=True)
class AtOnce:
    """Training by a single call of ``fit``."""

    num_steps: int = 1

    def fit(self, model: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        _on(model.fit, X, y, params)

    def advance(self, model: Any, blank: Any, steps: range, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        self.fit(model, X, y, params)


@dataclass(frozen=True)
class Passes:
    """Training by ``partial_fit``: a step is one call with all of the data.

    Attributes:
        extra: further arguments of ``partial_fit``: the classes.
    """

    num_steps: int
    extra: Mapping[str, Any]

    def fit(self, model: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        self.advance(model, model, range(self.num_steps), X, y, params)

    def advance(self, model: Any, blank: Any, steps: range, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        for _ in steps:
            _on(model.partial_fit, X, y, {**self.extra, **params})


@dataclass(frozen=True)
class Growth:
    """Training by ``warm_start``: each step is a call of ``fit`` that continues the last one by a part of the training.

    Attributes:
        parameter: the parameter that says how long to train: ``n_estimators``, ``clf__max_iter`` ...
    """

    num_steps: int
    parameter: str

    def fit(self, model: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        _on(model.fit, X, y, params)

    def advance(self, model: Any, blank: Any, steps: range, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        total = blank.get_params()[self.parameter]
        if isinstance(total, bool) or not hasattr(total, "__index__") or total < 1:
            raise SpecError(f"steps={self.parameter!r} is a whole number of at least 1, got {total!r}")
        before, after = (math.ceil(total * step / self.num_steps) for step in (steps.start, steps.stop))
        if after == before:
            return
        amount = after - before if _adds(blank, self.parameter) else after
        model.set_params(**{self.parameter: amount, _sibling(self.parameter, "warm_start"): True})
        with warnings.catch_warnings():
            if after < total:  # it is not supposed to have converged yet
                warnings.simplefilter("ignore", ConvergenceWarning)
            _on(model.fit, X, y, params)


def _sibling(parameter: str, name: str) -> str:
    """The full name of another parameter of the same part of a pipeline."""
    return "__".join([*parameter.split("__")[:-1], name])


def _adds(estimator: Any, parameter: str) -> bool:
    """Whether ``fit`` with ``warm_start`` adds that many iterations, rather than continuing up to that many in total."""
    *part, name = parameter.split("__")
    owner = estimator.get_params()["__".join(part)] if part else estimator
    return name == "max_iter" and not isinstance(owner, (HistGradientBoostingClassifier, HistGradientBoostingRegressor))


def _on(method: Callable[..., Any], X: Any, y: Any, params: Mapping[str, Any]) -> None:
    if y is None:
        method(X, **params)
    else:
        method(X, y, **params)
