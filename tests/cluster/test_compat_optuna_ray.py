"""Studies of Optuna's name on Ray."""

from __future__ import annotations

import logging
import os
import threading

import pytest

import raytune_hpo as hpo
import raytune_hpo.compat.optuna as optuna
from raytune_hpo.errors import ClusterError

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def test_trials_run_on_workers_and_ask_their_way_back():
    def objective(trial):
        x = trial.suggest_float("x", -5, 5)
        for step in range(3):
            trial.report(x**2 + step, step)
        trial.set_user_attr("pid", os.getpid())
        if trial.should_prune():
            raise optuna.TrialPruned
        return x**2 + (trial.suggest_categorical("c", ["a", "b"]) == "b")

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=12, n_jobs=2, runtime="ray")
    assert len(study.trials) == 12
    assert {t.state.name for t in study.trials} <= {"COMPLETE", "PRUNED"}
    assert os.getpid() not in {t.user_attrs["pid"] for t in study.trials}
    assert all(len(t.intermediate_values) == 3 for t in study.trials)


def test_what_an_objective_raises_there_leaves_here():
    study = optuna.create_study()
    with pytest.raises(ZeroDivisionError):
        study.optimize(lambda trial: 1 / 0, n_trials=2, runtime="ray")
    assert [t.state.name for t in study.trials] == ["FAIL"]


def test_what_a_pruner_raises_here_arrives_there_even_if_it_cannot_be_sent():
    class Locked(Exception):
        def __init__(self, step):
            super().__init__(f"no verdict at step {step}")
            self.lock = threading.Lock()  # cannot be pickled

    class Picky(Exception):
        def __init__(self, step, reason):  # can be pickled, but not unpickled
            super().__init__(f"no verdict at step {step}: {reason}")

    class Pruner(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            raise Locked(trial.last_step) if trial.number == 0 else Picky(trial.last_step, "it is late")

    def objective(trial):
        trial.report(trial.suggest_float("x", -5, 5), 3)
        return trial.should_prune()

    study = optuna.create_study(pruner=Pruner())
    for words in ("Locked: no verdict at step 3", "Picky: no verdict at step 3: it is late"):
        with pytest.raises(ClusterError, match=words):
            study.optimize(objective, n_trials=1, runtime="ray")


@pytest.mark.slow
def test_a_space_that_the_objective_makes_on_ray(tmp_path):
    def objective(trial):
        x = trial.suggest_float("x", -5, 5)
        return abs(x) if x < 0 else x * trial.suggest_int("n", 1, 3)

    path = f"sqlite:///{tmp_path}/studies.db"
    results = hpo.tune(objective, None, num_trials=10, seed=0, storage=path, name="s", progress=False)
    assert results.num_by_status["completed"] == 10
    assert all(("n" in trial.config) == (trial.config["x"] >= 0) for trial in results)


def test_what_is_logged_of_a_failed_trial_begins_in_the_objective():
    class Heard(logging.Handler):
        def emit(self, record):
            texts.append(record.getMessage())

    def objective(trial):
        raise ValueError("too small")

    texts, handler = [], Heard()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.logging.get_logger("optuna").addHandler(handler)
    try:
        optuna.create_study().optimize(objective, n_trials=1, runtime="ray", catch=(ValueError,))
    finally:
        optuna.logging.get_logger("optuna").removeHandler(handler)
    assert texts[0].count('File "') == 1 and "in objective" in texts[0] and texts[0].endswith("ValueError: too small")
