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
class Fits:
    """What one call does with a candidate.

    Attributes:
        splits: the folds, by number.
        step: of the training, which goes on with the models of the step before; None: all of it.
    """

    params: Mapping[str, Any]
    splits: Sequence[int]
    step: int | None = None


def fit_and_score(experiment: Experiment, fits: Fits, models: bytes | None) -> tuple[list[Outcome], bytes | None]:
    """Fit and score folds; the outcomes, and the models where another step follows.

    Models travel as bytes, because arrays that Ray hands from process to process are read-only.

    Raises:
        Exception: the estimator's own, where ``error_score`` says so, or one that knows no such parameters.
    """
    with config_context(**experiment.config):
        # Parameters may be estimators, which a fit would change.
        blank = clone(experiment.estimator).set_params(**clone(dict(fits.params), safe=False))
        trained = [clone(blank) for _ in fits.splits] if models is None else pickle.loads(models)
        outcomes = [
            _outcome(experiment, fits.step, split, model, blank)
            for split, model in zip(fits.splits, trained, strict=True)
        ]
    is_last = fits.step is None or fits.step + 1 == experiment.training.num_steps
    return outcomes, None if is_last else pickle.dumps(trained)


def failed(experiment: Experiment, error: str) -> Outcome:
    """The outcome of a fold whose fit has failed."""
    names = named_scorers(experiment.scorer)
    scores = experiment.error_score if names is None else dict.fromkeys(names, experiment.error_score)
    outcome = {"test_scores": scores, "fit_time": 0.0, "score_time": 0.0, "fit_error": error}
    return {**outcome, "train_scores": scores} if experiment.return_train_score else outcome


def _outcome(experiment: Experiment, step: int | None, split: int, model: Any, blank: Any) -> Outcome:
    X, y, training = experiment.X, experiment.y, experiment.training
    train, test = experiment.splits[split]
    fit_params = params_of(X, params=experiment.fit_params, indices=train)
    begin = time.perf_counter()
    X_train, y_train = part_of(model, X, y, train)
    X_test, y_test = part_of(model, X, y, test, train)
    try:
        if step is None:
            training.fit(model, X_train, y_train, fit_params)
        else:
            training.advance(model, blank, step, X_train, y_train, fit_params)
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
