"""Search with cross-validation for scikit-learn's estimators, under Optuna's name."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import cross_validate
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import _check_method_params, _num_samples, check_is_fitted

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.distributions import BaseDistribution, domain_and_form
from raytune_hpo.compat.optuna.samplers import TPESampler
from raytune_hpo.compat.optuna.study import Study, create_study
from raytune_hpo.compat.optuna.terminator import report_cross_validation_scores
from raytune_hpo.compat.optuna.trial import FrozenTrial, Trial

if TYPE_CHECKING:
    import pandas as pd


class OptunaSearchCV(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
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
        enable_pruning, max_iter: without effect, with a warning: each trial is fitted whole.

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
        """Search, and refit the best.

        Raises:
            ValueError: the study minimises, while scores are to be large.
            OptunaError: a value of param_distributions is no distribution.
        """
        for distribution in self.param_distributions.values():
            domain_and_form(distribution)  # refuses what is no distribution
        if self.study is not None and self.study.direction is not StudyDirection.MAXIMIZE:
            raise ValueError(
                "scores are maximised, got a study that minimises; write create_study(direction='maximize')"
            )
        if self.enable_pruning:
            warnings.warn(
                "OptunaSearchCV: no effect of enable_pruning and max_iter: trials are fitted whole", stacklevel=2
            )
        rows = self._rows(_num_samples(X))
        X_part, y_part, groups_part = (None if data is None else _safe_indexing(data, rows) for data in (X, y, groups))
        params_part = _check_method_params(X, fit_params, indices=rows)
        self.study_ = self.study or create_study(direction="maximize", sampler=TPESampler(seed=self.random_state))
        self.study_.optimize(
            lambda trial: self._score(trial, X_part, y_part, groups_part, params_part),
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
            if name.endswith("_score"):
                for split, value in enumerate(values):
                    trial.set_user_attr(f"split{split}_{name}", float(value))
            trial.set_user_attr(f"mean_{name}", float(np.mean(values)))
            trial.set_user_attr(f"std_{name}", float(np.std(values)))
        report_cross_validation_scores(trial, list(found["test_score"]))
        return float(np.mean(found["test_score"]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = get_tags(self.estimator).estimator_type
        return tags

    # -------------------------------------------------------------------------------------------- the study

    @property
    def best_params_(self) -> dict[str, Any]:
        """The parameters of the best trial."""
        return self._fitted().study_.best_params

    @property
    def best_score_(self) -> float:
        """The score of the best trial."""
        return self._fitted().study_.best_value

    @property
    def best_trial_(self) -> FrozenTrial:
        """The best trial."""
        return self._fitted().study_.best_trial

    @property
    def best_index_(self) -> int:
        """The number of the best trial."""
        return self.best_trial_.number

    @property
    def trials_(self) -> list[FrozenTrial]:
        """All trials."""
        return self._fitted().study_.trials

    @property
    def n_trials_(self) -> int:
        """The number of trials."""
        return len(self.trials_)

    @property
    def cv_results_(self) -> dict[str, list[Any]]:
        """The scores and times of all trials; None where a trial has none."""
        attrs = [trial.user_attrs for trial in self.trials_]
        return {name: [each.get(name) for each in attrs] for name in sorted({name for each in attrs for name in each})}

    @property
    def user_attrs_(self) -> dict[str, Any]:
        """The user attributes of the study."""
        return self._fitted().study_.user_attrs

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute of the study."""
        self._fitted().study_.set_user_attr(key, value)

    def trials_dataframe(self, *args: Any, **options: Any) -> pd.DataFrame:
        """See ``Study.trials_dataframe``."""
        return self._fitted().study_.trials_dataframe(*args, **options)

    # -------------------------------------------------------------------------------------------- the best estimator

    @property
    def classes_(self) -> Any:
        """The classes of the best estimator."""
        return self._refitted().classes_

    def predict(self, X: Any) -> Any:
        """The predictions of the best estimator."""
        return self._refitted().predict(X)

    def predict_proba(self, X: Any) -> Any:
        """The class probabilities predicted by the best estimator."""
        return self._refitted().predict_proba(X)

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithms of the class probabilities predicted by the best estimator."""
        return self._refitted().predict_log_proba(X)

    def decision_function(self, X: Any) -> Any:
        """The decision function of the best estimator."""
        return self._refitted().decision_function(X)

    def transform(self, X: Any) -> Any:
        """The data transformed by the best estimator."""
        return self._refitted().transform(X)

    def inverse_transform(self, X: Any) -> Any:
        """The data from which ``transform`` of the best estimator makes ``X``."""
        return self._refitted().inverse_transform(X)

    def score_samples(self, X: Any) -> Any:
        """The log-likelihood of each row, by the best estimator."""
        return self._refitted().score_samples(X)

    def score(self, X: Any, y: Any = None) -> float:
        """The score of the best estimator, by ``scoring``."""
        best = self._refitted()
        return float(check_scoring(best, scoring=self.scoring)(best, X, y))

    def _fitted(self) -> OptunaSearchCV:
        check_is_fitted(self, "study_")
        return self

    def _refitted(self) -> Any:
        check_is_fitted(self, "best_estimator_", msg="the best estimator is there after fit with refit=True")
        return self.best_estimator_
