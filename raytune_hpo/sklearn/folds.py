"""Fitting and scoring of single folds, which runs in other processes."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn import config_context
from sklearn.base import clone

from raytune_hpo.sklearn.borrowed import named_scorers, params_of, part_of, score
from raytune_hpo.sklearn.training import TrainingMethod

# With scikit-learn's own keys: test_scores, train_scores, fit_time, score_time, fit_error.
FoldOutcome = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FitContext:
    """The data and settings that all fits of a search share, sent to the workers once.

    Attributes:
        splits: the train and test rows of each fold.
        scorer: called with an estimator and data; returns a number or a dict of numbers.
        fit_params, score_params: sample weights and the like, for all rows.
        config: scikit-learn's own settings, which are kept per thread.
    """

    estimator: Any
    X: Any
    y: Any
    splits: Sequence[tuple[Any, Any]]
    scorer: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]
    error_score: Any
    return_train_score: bool
    training: TrainingMethod
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One fit of a candidate: on one fold, for some or all steps of the training.

    Attributes:
        split: number of the fold.
        steps: the steps of the training; later ones continue with the model of the steps before.
    """

    params: Mapping[str, Any]
    split: int
    steps: range


def fit_and_score(context: FitContext, fit: Fit, model: bytes | None) -> tuple[FoldOutcome, bytes | None]:
    """Fit one fold and score it; returns the outcome, and the pickled model where further steps follow.

    Models travel as bytes because arrays that Ray passes between processes are read-only.

    Raises:
        Exception: the estimator's own, with ``error_score="raise"``, or because it does not know a parameter.
    """
    with config_context(**context.config):
        # Parameters may be estimators, which a fit would change.
        blank = clone(context.estimator).set_params(**clone(dict(fit.params), safe=False))
        trained = clone(blank) if model is None else pickle.loads(model)
        outcome = _fit_fold(context, fit, trained, blank)
    return outcome, None if fit.steps.stop == context.training.num_steps else pickle.dumps(trained)


def failed(context: FitContext, error: str) -> FoldOutcome:
    """The outcome of a fold whose fit has failed."""
    names = named_scorers(context.scorer)
    scores = context.error_score if names is None else dict.fromkeys(names, context.error_score)
    outcome = {"test_scores": scores, "fit_time": 0.0, "score_time": 0.0, "fit_error": error}
    return {**outcome, "train_scores": scores} if context.return_train_score else outcome


def _fit_fold(context: FitContext, fit: Fit, model: Any, blank: Any) -> FoldOutcome:
    X, y, training = context.X, context.y, context.training
    train, test = context.splits[fit.split]
    fit_params = params_of(X, params=context.fit_params, indices=train)
    begin = time.perf_counter()
    X_train, y_train = part_of(model, X, y, train)
    X_test, y_test = part_of(model, X, y, test, train)
    try:
        if len(fit.steps) == training.num_steps:
            training.fit(model, X_train, y_train, fit_params)
        else:
            training.advance(model, blank, fit.steps, X_train, y_train, fit_params)
    except KeyboardInterrupt:
        raise
    except BaseException:  # SystemExit, for one: it is the fit that fails, not its process
        if context.error_score == "raise":
            raise
        return {**failed(context, traceback.format_exc()), "fit_time": time.perf_counter() - begin}
    fitted = time.perf_counter()
    outcome = {"fit_time": fitted - begin, "fit_error": None}
    outcome["test_scores"] = _scores(context, model, X_test, y_test, test)
    outcome["score_time"] = time.perf_counter() - fitted
    if context.return_train_score:
        outcome["train_scores"] = _scores(context, model, X_train, y_train, train)
    return outcome


def _scores(context: FitContext, model: Any, X: Any, y: Any, rows: Any) -> Any:
    params = params_of(context.X, params=context.score_params, indices=rows)
    return score(model, X, y, context.scorer, params, context.error_score)
