"""Search with cross-validation for scikit-learn's estimators, under Optuna's name."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raytune_hpo.compat.optuna.distributions import BaseDistribution
from raytune_hpo.compat.optuna.samplers import TPESampler
from raytune_hpo.compat.optuna.study import Study, create_study
from raytune_hpo.compat.optuna.terminator import report_cross_validation_scores
from raytune_hpo.compat.optuna.trial import FrozenTrial, Trial


class OptunaSearchCV:
    """Searches an estimator's parameters by cross-validation.

    Args:
        param_distributions: each parameter's Optuna distribution.
        cv, scoring: as scikit-learn's ``cross_validate`` takes them.
        error_score: the score of a fit that raises; "raise" propagates its exception.
        n_jobs: the number of threads.
        n_trials, timeout, callbacks: see ``Study.optimize``.
        refit: whether the best estimator is fitted to all data in the end.
        subsample: the share of the data, or the number of rows, on which trials are measured.
        study: None: a new one that maximises.

    Attributes:
        study_: the study.
        best_estimator_: the best estimator, refitted.
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Mapping[str, BaseDistribution],
        *,
        cv: Any = None,
        enable_pruning: bool = False,
        error_score: float | str = np.nan,
        max_iter: int = 1000,
        n_jobs: int | None = None,
        n_trials: int | None = 10,
        random_state: int | None = None,
        refit: bool = True,
        return_train_score: bool = False,
        scoring: Any = None,
        study: Study | None = None,
        subsample: float | int = 1.0,
        timeout: float | None = 600.0,
        verbose: int = 0,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.estimator, self.param_distributions = estimator, param_distributions
        self.cv, self.enable_pruning, self.error_score, self.max_iter = cv, enable_pruning, error_score, max_iter
        self.n_jobs, self.n_trials, self.random_state, self.refit = n_jobs, n_trials, random_state, refit
        self.return_train_score, self.scoring, self.study = return_train_score, scoring, study
        self.subsample, self.timeout, self.verbose, self.callbacks = subsample, timeout, verbose, callbacks

    def fit(self, X: Any, y: Any = None, groups: Any = None, **fit_params: Any) -> OptunaSearchCV:
        """Search, and refit the best."""
        from sklearn.base import clone
        from sklearn.utils import _safe_indexing

        rows = self._rows(len(y) if y is not None else X.shape[0])
        X_part = _safe_indexing(X, rows)
        y_part = None if y is None else _safe_indexing(y, rows)
        groups_part = None if groups is None else _safe_indexing(groups, rows)
        self.study_ = self.study or create_study(direction="maximize", sampler=TPESampler(seed=self.random_state))
        self.study_.optimize(
            lambda trial: self._score(trial, X_part, y_part, groups_part, fit_params),
            n_trials=self.n_trials,
            timeout=self.timeout,
            n_jobs=self.n_jobs or 1,
            callbacks=self.callbacks,
        )
        if self.refit:
            begin = time.perf_counter()
            self.best_estimator_ = clone(self.estimator).set_params(**self.best_params_)
            self.best_estimator_.fit(X, y, **fit_params) if y is not None else self.best_estimator_.fit(X, **fit_params)
            self.refit_time_ = time.perf_counter() - begin
        return self

    def _rows(self, n: int) -> np.ndarray:
        """Positions of the rows on which trials are measured."""
        size = int(self.subsample * n) if isinstance(self.subsample, float) else min(self.subsample, n)
        if size >= n:
            return np.arange(n)
        return np.sort(np.random.RandomState(self.random_state or 0).choice(n, size, replace=False))

    def _score(self, trial: Trial, X: Any, y: Any, groups: Any, fit_params: Mapping[str, Any]) -> float:
        from sklearn.base import clone
        from sklearn.model_selection import cross_validate

        params = {name: trial._suggest(name, distribution) for name, distribution in self.param_distributions.items()}
        found = cross_validate(
            clone(self.estimator).set_params(**params),
            X,
            y,
            groups=groups,
            cv=self.cv,
            error_score=self.error_score,
            return_train_score=self.return_train_score,
            scoring=self.scoring,
            **({"params": dict(fit_params)} if fit_params else {}),
        )
        for name, values in found.items():
            trial.set_user_attr(f"mean_{name}", float(np.mean(values)))
            trial.set_user_attr(f"std_{name}", float(np.std(values)))
        report_cross_validation_scores(trial, list(found["test_score"]))
        return float(np.mean(found["test_score"]))

    @property
    def best_params_(self) -> dict[str, Any]:
        """The parameters of the best trial."""
        return self.study_.best_params

    @property
    def best_score_(self) -> float:
        """The score of the best trial."""
        return self.study_.best_value

    @property
    def best_trial_(self) -> FrozenTrial:
        """The best trial."""
        return self.study_.best_trial

    @property
    def best_index_(self) -> int:
        """The number of the best trial."""
        return self.best_trial_.number

    @property
    def trials_(self) -> list[FrozenTrial]:
        """All trials."""
        return self.study_.trials

    @property
    def n_trials_(self) -> int:
        """The number of trials."""
        return len(self.trials_)

    @property
    def classes_(self) -> Any:
        """The classes of the best estimator."""
        return self.best_estimator_.classes_

    def predict(self, X: Any) -> Any:
        """The predictions of the best estimator."""
        return self.best_estimator_.predict(X)

    def predict_proba(self, X: Any) -> Any:
        """The class probabilities predicted by the best estimator."""
        return self.best_estimator_.predict_proba(X)

    def decision_function(self, X: Any) -> Any:
        """The decision function of the best estimator."""
        return self.best_estimator_.decision_function(X)

    def transform(self, X: Any) -> Any:
        """The data transformed by the best estimator."""
        return self.best_estimator_.transform(X)

    def score(self, X: Any, y: Any = None) -> float:
        """The score of the best estimator, by ``scoring``."""
        from sklearn.metrics import check_scoring

        return float(check_scoring(self.best_estimator_, scoring=self.scoring)(self.best_estimator_, X, y))
