"""Stepwise tuning of LightGBM's parameters: each step keeps the best values of those before.

All other names are LightGBM's own (``Dataset``, ``early_stopping`` ...), so that the module can replace it.
"""

from __future__ import annotations

import copy
import functools
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from raytune_hpo.compat.optuna.exceptions import OptunaError
from raytune_hpo.compat.optuna.logging import library_logger
from raytune_hpo.compat.optuna.samplers import BaseSampler, GridSampler, TPESampler
from raytune_hpo.compat.optuna.study import Study, create_study
from raytune_hpo.compat.optuna.trial import Trial

__all__ = ["LightGBMTuner", "LightGBMTunerCV", "train"]

_LARGER_IS_BETTER = ("auc", "auc_mu", "ndcg", "map", "average_precision", "mean_average_precision", "lambdarank")
_METRICS = {"binary": "binary_logloss", "regression": "l2", "multiclass": "multi_logloss", "lambdarank": "ndcg"}
_SPELLINGS = {"ndcg": ("lambdarank", "rank_xendcg"), "map": ("mean_average_precision",)}
_LEAST_FRACTION = 0.4
_STEP = "lightgbm_tuner:step"


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("lightgbm"), name)


class _Step(NamedTuple):
    """One step: its parameters, its sampler, and its number of trials."""

    name: str
    sampler: BaseSampler
    num_trials: int
    suggest: Callable[[Trial], dict[str, Any]]


class _Tuner:
    """The base of both tuners.

    Args:
        params: LightGBM's parameters; those that are tuned are changed.
        train_set: as LightGBM takes it.
        study: None: a new one, in memory.
        time_budget: seconds for all steps together.
        options: of LightGBM's function.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        train_set: Any,
        num_boost_round: int = 1000,
        *,
        time_budget: int | None = None,
        study: Study | None = None,
        optuna_callbacks: Sequence[Any] | None = None,
        optuna_seed: int | None = None,
        show_progress_bar: bool = False,
        verbosity: int | None = None,
        model_dir: str | None = None,
        **options: Any,
    ) -> None:
        self.lgbm_params, self.train_set, self.num_boost_round = dict(params), train_set, num_boost_round
        self.time_budget, self.callbacks, self.seed = time_budget, list(optuna_callbacks or ()), optuna_seed
        self.options = options
        direction = "maximize" if self._maximizes else "minimize"
        self.study = create_study(direction=direction) if study is None else study
        self._best: dict[str, Any] = {}

    @property
    def best_score(self) -> float:
        """The best value of the metric."""
        return self.study.best_value

    @property
    def best_params(self) -> dict[str, Any]:
        """LightGBM's parameters, with the best that were found."""
        return {**self.lgbm_params, **self._best}

    def run(self) -> None:
        """Tune, step by step."""
        begin = time.monotonic()
        self._set_up()
        for make in (self._fraction, self._leaves, self._bagging, self._near_fraction, self._penalties, self._children):
            left = None if self.time_budget is None else self.time_budget - (time.monotonic() - begin)
            if left is not None and left <= 0:
                return
            self._tune(make(), left)

    def _tune(self, step: _Step, timeout: float | None) -> None:
        self.study.sampler = step.sampler
        before = self.study.best_value if self._has_value else None
        self.study.optimize(
            functools.partial(self._objective, step),
            n_trials=step.num_trials,
            timeout=timeout,
            catch=(),
            callbacks=self.callbacks,
        )
        best = self.study.best_trial
        if before is None or best.value != before:
            self._best = dict(best.user_attrs["lightgbm_tuner:params"])
        library_logger().info("%s, val_score: %.6f", step.name, best.value)

    @property
    def _has_value(self) -> bool:
        return any(trial.value is not None for trial in self.study.get_trials(deepcopy=False))

    def _objective(self, step: _Step, trial: Trial) -> float:
        changed = {**self._best, **step.suggest(trial)}
        trial.set_system_attr(_STEP, step.name)
        trial.set_user_attr("lightgbm_tuner:params", changed)
        return self._measured({**self.lgbm_params, **changed}, trial)

    # -------------------------------------------------------------------------------------------- the steps

    def _fraction(self) -> _Step:
        values = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
        return self._grid("feature_fraction", "feature_fraction", values)

    def _leaves(self) -> _Step:
        depth = self.lgbm_params.get("max_depth", 8)
        most = 2 ** (depth if 0 < depth <= 8 else 8)
        return _Step("num_leaves", self._tpe(), 20, lambda t: {"num_leaves": t.suggest_int("num_leaves", 2, most)})

    def _bagging(self) -> _Step:
        def suggest(trial: Trial) -> dict[str, Any]:
            fraction = trial.suggest_float("bagging_fraction", _LEAST_FRACTION, 1.0)
            return {"bagging_fraction": fraction, "bagging_freq": trial.suggest_int("bagging_freq", 1, 7)}

        return _Step("bagging", self._tpe(), 10, suggest)

    def _near_fraction(self) -> _Step:
        best = self.best_params.get("feature_fraction", 1.0)
        near = [best + 0.032 * k - 0.08 for k in range(6)]
        values = [round(value, 6) for value in near if _LEAST_FRACTION <= value <= 1.0] or [best]
        return self._grid("feature_fraction_stage2", "feature_fraction", values)

    def _penalties(self) -> _Step:
        def suggest(trial: Trial) -> dict[str, Any]:
            return {name: trial.suggest_float(name, 1e-8, 10.0, log=True) for name in ("lambda_l1", "lambda_l2")}

        return _Step("regularization_factors", self._tpe(), 20, suggest)

    def _children(self) -> _Step:
        return self._grid("min_child_samples", "min_child_samples", [5, 10, 25, 50, 100])

    def _grid(self, name: str, parameter: str, values: list[Any]) -> _Step:
        sampler = GridSampler({name: values}, seed=self.seed or 0)
        return _Step(name, sampler, len(values), lambda t: {parameter: t.suggest_categorical(name, values)})

    def _tpe(self) -> BaseSampler:
        return TPESampler(seed=self.seed)

    # -------------------------------------------------------------------------------------------- LightGBM

    def _set_up(self) -> None:
        self._given, self.train_set = self.train_set, copy.copy(self.train_set)
        self.train_set.params = {**(self.train_set.params or {}), "feature_pre_filter": False}
        self.lgbm_params["feature_pre_filter"] = False

    @property
    def metric(self) -> str:
        """The first metric of the parameters, or the one of the objective."""
        given = next(
            (self.lgbm_params[k] for k in ("metric", "metrics", "metric_types") if k in self.lgbm_params), None
        )
        if isinstance(given, (list, tuple, set)):
            given = next(iter(given), None)
        if given is None or given == "":
            given = _METRICS.get(str(self.lgbm_params.get("objective", "regression")), "l2")
        name = str(given)
        return next((main for main, others in _SPELLINGS.items() if name in others), name)

    @property
    def _maximizes(self) -> bool:
        return self.metric.partition("@")[0] in _LARGER_IS_BETTER

    def _value_of(self, found: Mapping[str, Any]) -> Any:
        """A metric's value by its name, which may end in a position."""
        key = next((key for key in found if key == self.metric or key.startswith(f"{self.metric}@")), None)
        if key is None:
            raise OptunaError(f"LightGBM has not measured {self.metric!r}, it has {sorted(found)}; name it as metric")
        return found[key]

    def _measured(self, params: dict[str, Any], trial: Trial) -> float:
        raise OptunaError("use LightGBMTuner or LightGBMTunerCV")


class LightGBMTuner(_Tuner):
    """Tunes by the metric on the validation data, the last of ``valid_sets``. Options are those of ``lightgbm.train``."""

    def __init__(self, params: Mapping[str, Any], train_set: Any, num_boost_round: int = 1000, **options: Any) -> None:
        if not options.get("valid_sets"):
            raise ValueError("the tuner compares on validation data; give valid_sets=[...]")
        super().__init__(params, train_set, num_boost_round, **options)
        self._boosters: dict[int, Any] = {}

    def get_best_booster(self) -> Any:
        """The booster of the best trial."""
        return self._boosters[self.study.best_trial.number]

    def _measured(self, params: dict[str, Any], trial: Trial) -> float:
        lgb = importlib.import_module("lightgbm")
        data = copy.copy(self.train_set)  # LightGBM builds each once, for the parameters of one trial
        valid_sets = [data if valid is self._given else _referring(valid, data) for valid in self.options["valid_sets"]]
        booster = lgb.train(params, data, self.num_boost_round, **{**self.options, "valid_sets": valid_sets})
        names = self.options.get("valid_names")
        name = names[-1] if names else f"valid_{len(self.options['valid_sets']) - 1}"
        score = float(self._value_of(booster.best_score.get(name) or list(booster.best_score.values())[-1]))
        is_best = not self._has_value or (score > self.best_score if self._maximizes else score < self.best_score)
        if is_best:
            self._boosters = {trial.number: booster}
        return score


class LightGBMTunerCV(_Tuner):
    """Tunes by the mean of the metric over folds. The options are those of ``lightgbm.cv``."""

    def _measured(self, params: dict[str, Any], trial: Trial) -> float:
        lgb = importlib.import_module("lightgbm")
        found = lgb.cv(params, copy.copy(self.train_set), self.num_boost_round, **copy.copy(self.options))
        of_means = {k.removesuffix("-mean"): values for k, values in found.items() if k.endswith("-mean")}
        means = {key.removeprefix("valid "): values for key, values in of_means.items()}
        return float(self._value_of(means)[-1])


def _referring(valid: Any, data: Any) -> Any:
    """A copy of validation data that has the bins of this training data."""
    copied = copy.copy(valid)
    copied.reference = data
    return copied


def train(params: Mapping[str, Any], train_set: Any, num_boost_round: int = 1000, **options: Any) -> Any:
    """As ``lightgbm.train``, with the parameters tuned; returns the best booster."""
    tuner = LightGBMTuner(params, train_set, num_boost_round, **options)
    tuner.run()
    return tuner.get_best_booster()
