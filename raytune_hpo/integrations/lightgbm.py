"""LightGBM: a callback that reports every boosting round.

lightgbm.train(params, train_set, valid_sets=[valid_set], callbacks=[reporter({"auc": "valid_0-auc"})])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raytune_hpo.integrations.reporting import Metrics, Reporting, Save


def reporter(
    metrics: Metrics = None, *, every: int = 1, save: Save | None = None, after: int = 0
) -> Callable[[Any], None]:
    """A callback for ``lightgbm.train``, ``lightgbm.cv`` and ``fit`` of LightGBM's scikit-learn classes.

    LightGBM's metrics are called ``<data>-<metric>``, such as "valid_0-auc"; those of ``cv``, such as "valid-auc", are
    means.

    Args:
        metrics: which to report: all by default, a list of names, or {your name: LightGBM's name}.
        every: the number of rounds from one report to the next.
        save: ``save(booster, folder)`` writes what the trial needs to resume; see ``hpo.report``.
        after: the rounds already trained in the model that this training continues, the ``step`` of its checkpoint.
    """
    reporting = Reporting(metrics, every, save, after)

    def report_round(env: Any) -> None:
        # (data, metric, value, is higher better); cv adds the standard deviation.
        values = {f"{data}-{metric}": value for data, metric, value, *_ in env.evaluation_result_list or ()}
        reporting(env.iteration - env.begin_iteration + 1, values, env.model)

    return report_round
