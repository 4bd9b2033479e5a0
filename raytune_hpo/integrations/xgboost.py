"""XGBoost: a callback that reports every boosting round.

xgboost.train(params, dtrain, evals=[(dvalid, "valid")], callbacks=[reporter({"auc": "valid-auc"})])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_hpo.integrations.recording import require
from raytune_hpo.integrations.reporting import Metrics, Reporting, Save


def reporter(metrics: Metrics = None, *, every: int = 1, save: Save | None = None, after: int = 0) -> Any:
    """A callback for ``xgboost.train``, ``xgboost.cv`` and XGBoost's scikit-learn classes.

    XGBoost's metrics are called ``<data>-<metric>``: "valid-auc", "validation_0-logloss"; those of ``cv`` are means.

    Args:
        metrics: which to report: all by default, a list of names, or {your name: XGBoost's name}.
        every: the number of rounds from one report to the next.
        save: ``save(booster, folder)`` writes what the trial needs to resume; see ``hpo.report``.
        after: the rounds already trained in the model that this training continues, the ``step`` of its checkpoint.
    """
    require("xgboost", "xgboost")
    from xgboost.callback import TrainingCallback

    reporting = Reporting(metrics, every, save, after)

    class Reporter(TrainingCallback):  # type: ignore[misc]  # the library carries no types
        """Reports every boosting round to the trial around it."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
            newest = {
                f"{data}-{metric}": values[-1] for data, log in evals_log.items() for metric, values in log.items()
            }
            means = {name: value[0] if isinstance(value, tuple) else value for name, value in newest.items()}
            reporting(epoch + 1, means, model)
            return False  # continue training

    return Reporter()
