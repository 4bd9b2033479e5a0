"""The trial that is recommended: the best by a model of all results, not the luckiest."""

from __future__ import annotations

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import NoCompletedTrial, SpecError

SPACE = {"x": hpo.uniform(0, 1), "y": hpo.uniform(0, 1)}


def true(config):
    return 10 * ((config["x"] - 0.3) ** 2 + (config["y"] - 0.7) ** 2)


def searched(sd, *, num=60, seed=0, **settings):
    rng = np.random.default_rng(seed)
    study = hpo.Study(SPACE, sampler="random", seed=seed, storage="memory", **settings)
    for _ in range(num):
        trial = study.ask()
        study.tell(trial, true(trial.config) + sd * rng.standard_normal())
    return study.results()


def test_under_noise_it_is_better_than_the_luckiest():
    found = [searched(1.0, seed=seed) for seed in range(10)]
    assert np.mean([true(r.recommended_config) for r in found]) < 0.7 * np.mean([true(r.best_config) for r in found])


def test_without_noise_it_is_as_good_as_the_best():
    for seed in range(3):
        results = searched(0.0, seed=seed)
        assert true(results.recommended_config) == pytest.approx(results.best_value, abs=0.02)


def test_a_metric_that_is_maximised():
    study = hpo.Study(SPACE, sampler="random", seed=1, storage="memory", metric="score", mode="max")
    for _ in range(20):
        trial = study.ask()
        study.tell(trial, -true(trial.config))
    assert study.results().recommended.metrics["score"] == pytest.approx(study.results().best_value, abs=0.001)


def test_of_few_trials_it_is_the_best():
    results = searched(1.0, num=3)
    assert results.recommended == results.best_trial


def test_configurations_that_are_all_the_same():
    study = hpo.Study({"x": 1.0}, seed=0, storage="memory")
    for value in (3.0, 1.0, 2.0, 5.0, 4.0, 6.0):
        study.tell(study.ask(), value)
    assert study.results().recommended.metrics["loss"] == 1.0


def test_before_any_trial_has_completed():
    with pytest.raises(NoCompletedTrial):
        _ = searched(0.0, num=0).recommended


def test_several_goals_have_a_front():
    study = hpo.Study(SPACE, metric=["a", "b"], mode=["min", "min"], storage="memory")
    with pytest.raises(SpecError, match="best_trials"):
        _ = study.results().recommended
