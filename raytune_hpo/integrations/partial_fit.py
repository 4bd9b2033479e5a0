"""scikit-learn: training in steps with a report after each, so that a scheduler can stop the trial early."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpecError
from raytune_hpo.integrations.reporting import Reporting
from raytune_hpo.options import whole
from raytune_hpo.runtime.trial_run import checkpoint

_FILE = "estimator.pickle"

Scorer = Callable[[Any, Any, Any], float]


def train(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    validation: tuple[Any, Any],
    steps: int,
    scoring: str | Scorer | None = None,
    metric: str = "score",
    batch_size: int | None = None,
    seed: int = 0,
    every: int = 1,
    save: bool = False,
) -> dict[str, float]:
    """Train an estimator in steps, report its score on the validation data after each, and return the last one.

    With ``partial_fit`` a step is one pass over the data. Otherwise ``warm_start`` is used: each step adds the initial
    number of members to an ensemble (``n_estimators``; ``max_iter`` of histogram gradient boosting), or trains another
    estimator for ``max_iter`` more iterations. The estimator is trained in place, so it can be used afterwards.

    Args:
        estimator: an estimator that has ``partial_fit`` or ``warm_start``.
        X, y: the training data.
        validation: X and y to score on.
        steps: the number of steps of a whole training.
        scoring: a scorer or its name; by default the estimator's own ``score``.
        metric: the name under which the score is reported and returned; higher is better.
        batch_size: rows passed to one call of ``partial_fit``; by default all.
        seed: seed of the order of rows, which changes from pass to pass.
        every: the number of steps from one report to the next.
        save: whether the estimator is pickled where a checkpoint is wanted, and a resumed trial continues with it; otherwise
            it trains from the first step again. See ``hpo.report``.

    Raises:
        TrialStopped: the scheduler stops the trial; do not catch it.
        SpecError: the estimator cannot be trained in steps, or an argument is of another kind.
    """
    if isinstance(estimator, type):
        raise SpecError(
            f"an estimator is an object, and {estimator.__name__} is a class; write {estimator.__name__}(...)"
        )
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise SpecError(f"validation is (X, y) to score on, got {type(validation).__name__}; write validation=(X, y)")
    if scoring is None:
        score: Scorer = lambda estimator, X, y: float(estimator.score(X, y))  # noqa: E731
    elif callable(scoring):
        score = scoring
    else:
        from sklearn.metrics import get_scorer

        score = get_scorer(scoring)
    step_once = (
        _passes(estimator, X, y, batch_size, seed) if hasattr(estimator, "partial_fit") else _growth(estimator, X, y)
    )
    saved = checkpoint() if save else None
    if saved is not None:
        _resume(estimator, saved.path)
    reporting = Reporting(None, every, _save if save else None)
    result: dict[str, float] = {}
    for step in range(1 if saved is None else saved.step + 1, whole("steps", steps, least=1) + 1):
        step_once(step)
        if step % every == 0 or step == steps:
            result = {metric: float(score(estimator, *validation))}
            reporting(step, result, estimator)
    return result


def _save(estimator: Any, folder: Path) -> None:
    (folder / _FILE).write_bytes(pickle.dumps(estimator))


def _resume(estimator: Any, folder: Path) -> None:
    """Give an estimator what a saved one has learned. It keeps its own parameters: another trial may have saved it."""
    params = estimator.get_params(deep=False)
    vars(estimator).update(vars(pickle.loads((folder / _FILE).read_bytes())))
    estimator.set_params(**params)


def _passes(estimator: Any, X: Any, y: Any, batch_size: int | None, seed: int) -> Callable[[int], None]:
    """Steps of ``partial_fit``: each is one pass over the data, with the rows in a new order."""
    import numpy as np
    from sklearn.base import is_classifier
    from sklearn.utils import gen_batches, shuffle

    size = len(y) if batch_size is None else whole("batch_size", batch_size, least=1)
    first: dict[str, Any] = {"classes": np.unique(y)} if is_classifier(estimator) else {}

    def step_once(step: int) -> None:
        rows_X, rows_y = shuffle(X, y, random_state=seed + step)
        for rows in gen_batches(len(rows_y), size):
            estimator.partial_fit(_at(rows_X, rows), _at(rows_y, rows), **first)
            first.clear()  # classes are given in the first call only

    return step_once


def _at(data: Any, rows: slice) -> Any:
    """Rows by position, for arrays and data frames alike."""
    return getattr(data, "iloc", data)[rows]


def _growth(estimator: Any, X: Any, y: Any) -> Callable[[int], None]:
    """Steps of ``warm_start``: each ``fit`` continues the last one."""
    from sklearn.exceptions import ConvergenceWarning

    params = estimator.get_params()
    if "warm_start" not in params:
        raise SpecError(f"training in steps needs partial_fit or warm_start, {type(estimator).__name__} has neither")
    grows = "n_estimators" if "n_estimators" in params else "max_iter"
    is_total = grows == "n_estimators" or type(estimator).__name__.startswith("HistGradientBoosting")

    def step_once(step: int) -> None:
        estimator.set_params(warm_start=True, **({grows: step * params[grows]} if is_total else {}))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # each step ends early, on purpose
            estimator.fit(X, y)

    return step_once
