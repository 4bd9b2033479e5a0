"""Searches of hyperopt's ``SparkTrials`` on Ray."""

from __future__ import annotations

import os

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.compat.hyperopt import STATUS_OK, SparkTrials, fmin, hp, rand

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def test_spark_trials_run_on_workers_and_bring_their_attachments():
    def loss(x):
        if x > 1:
            raise ValueError("too far")
        return {"loss": (x + 1) ** 2, "status": STATUS_OK, "pid": os.getpid(), "attachments": {"x": repr(x)}}

    hpo.connect()
    trials = SparkTrials(parallelism=2)
    best = fmin(
        loss, hp.uniform("x", -3, 3), rand.suggest, max_evals=8, trials=trials, rstate=np.random.default_rng(0),
        show_progressbar=False,
    )  # fmt: skip
    results = [result for result in trials.results if result["status"] == STATUS_OK]
    assert os.getpid() not in {result["pid"] for result in results} and "attachments" not in results[0]
    assert trials.count_total_trials() == 8 > trials.count_successful_trials() == len(results) > 0
    assert best == trials.argmin
    assert float(trials.trial_attachments(trials.best_trial)["x"]) == best["x"]
