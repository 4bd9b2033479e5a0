"""Fitting and scoring folds: what runs in other processes."""

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
from raytune_hpo.sklearn.training import Training

Outcome = dict[
    str, Any
]  # of a fold, in scikit-learn's words: test_scores, train_scores, fit_time, score_time, fit_error


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What all fits of a search share; it travels once.

    Attributes:
        splits: train and test rows of each fold.
        scorer: called with an estimator and data; returns a number, or a dict of them.
        fit_params, score_params: sample weights and the like, of all rows.
        config: scikit-learn's own settings, which belong to a thread.
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
    training: Training
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What one call does with a candidate.

    Attributes:
        split: the fold, by number.
        way: the steps of the training; where they are not the first, the call goes on with the model that is there.
    """

    params: Mapping[str, Any]
    split: int
    way: range


def fit_and_score(experiment: Experiment, fit: Fit, model: bytes | None) -> tuple[Outcome, bytes | None]:
    """Fit a fold and score it; the outcome, and the model where further steps follow.

    A model travels as bytes, because arrays that Ray hands from process to process are read-only.

    Raises:
        Exception: the estimator's own, where ``error_score`` says so, or one that knows no such parameters.
    """
    with config_context(**experiment.config):
        # Parameters may be estimators, which a fit would change.
        blank = clone(experiment.estimator).set_params(**clone(dict(fit.params), safe=False))
        trained = clone(blank) if model is None else pickle.loads(model)
        outcome = _outcome(experiment, fit, trained, blank)
    return outcome, None if fit.way.stop == experiment.training.num_steps else pickle.dumps(trained)


def failed(experiment: Experiment, error: str) -> Outcome:
    """The outcome of a fold whose fit has failed."""
    names = named_scorers(experiment.scorer)
    scores = experiment.error_score if names is None else dict.fromkeys(names, experiment.error_score)
    outcome = {"test_scores": scores, "fit_time": 0.0, "score_time": 0.0, "fit_error": error}
    return {**outcome, "train_scores": scores} if experiment.return_train_score else outcome


def _outcome(experiment: Experiment, fit: Fit, model: Any, blank: Any) -> Outcome:
    X, y, training = experiment.X, experiment.y, experiment.training
    train, test = experiment.splits[fit.split]
    fit_params = params_of(X, params=experiment.fit_params, indices=train)
    begin = time.perf_counter()
    X_train, y_train = part_of(model, X, y, train)
    X_test, y_test = part_of(model, X, y, test, train)
    try:
        if len(fit.way) == training.num_steps:
            training.fit(model, X_train, y_train, fit_params)
        else:
            training.advance(model, blank, fit.way, X_train, y_train, fit_params)
    except Exception:
        if experiment.error_score == "raise":
            raise
        return {**failed(experiment, traceback.format_exc()), "fit_time": time.perf_counter() - begin}
    fitted = time.perf_counter()
    outcome = {"fit_time": fitted - begin, "fit_error": None}
    outcome["test_scores"] = _scores(experiment, model, X_test, y_test, test)
    outcome["score_time"] = time.perf_counter() - fitted
    if experiment.return_train_score:
        outcome["train_scores"] = _scores(experiment, model, X_train, y_train, train)
    return outcome


def _scores(experiment: Experiment, model: Any, X: Any, y: Any, rows: Any) -> Any:
    params = params_of(experiment.X, params=experiment.score_params, indices=rows)
    return score(model, X, y, experiment.scorer, params, experiment.error_score)
