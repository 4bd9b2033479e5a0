"""Callbacks that report each round of a boosting library, and end a trial if the pruner says so."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.optuna.exceptions import TrialPruned


class LightGBMPruningCallback:
    """Reports each round of LightGBM's training or cross-validation.

    Args:
        metric: the name of the metric, like "auc".
        valid_name: the name of the data on which it is measured.
        report_interval: the number of rounds between reports.
    """

    def __init__(self, trial: Any, metric: str, valid_name: str = "valid_0", report_interval: int = 1) -> None:
        self._trial, self._metric, self._valid_name = trial, metric, valid_name
        self._report_interval = report_interval

    def __call__(self, env: Any) -> None:
        if (env.iteration + 1) % self._report_interval:
            return
        for data, metric, value, *_ in env.evaluation_result_list or ():
            if _is_meant(data, metric, self._valid_name, self._metric):
                _report(self._trial, float(value), env.iteration)
                return
        raise ValueError(
            f"LightGBM has not measured {self._metric!r} on {self._valid_name!r}; it has "
            f"{[(name, metric) for name, metric, *_ in env.evaluation_result_list or ()]}"
        )


def _is_meant(data: str, metric: str, valid_name: str, wanted: str) -> bool:
    """Whether a result is that of the wanted metric.

    A cross-validation calls its data "cv_agg" or "valid", and may name both.
    """
    if data in ("cv_agg", "valid"):
        return wanted in (metric, " ".join(metric.split()[1:]), metric.partition("-")[2])
    return data == valid_name and metric == wanted


def XGBoostPruningCallback(trial: Any, observation_key: str) -> Any:
    """A callback for XGBoost that reports each round.

    Args:
        observation_key: the data and the metric, like "validation-auc" or "test-auc" of a cross-validation.
    """
    from xgboost.callback import TrainingCallback

    class _Reporting(TrainingCallback):  # type: ignore[misc]  # xgboost is loaded here
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            newest = {
                f"{data}-{metric}": values[-1] for data, log in evals_log.items() for metric, values in log.items()
            }
            if observation_key not in newest:
                raise ValueError(f"XGBoost has not measured {observation_key!r}; it has {sorted(newest)}")
            value = newest[observation_key]
            _report(trial, float(value[0] if isinstance(value, tuple) else value), epoch)
            return False

    return _Reporting()


def _report(trial: Any, value: float, step: int) -> None:
    trial.report(value, step=step)
    if trial.should_prune():
        raise TrialPruned(f"trial was pruned at iteration {step}.")
