"""Studies of Optuna's names that are optimised from other processes, as Dask's workers do."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import AuthenticationError, get_context
from multiprocessing.connection import Client
from types import SimpleNamespace

import pytest

import raytune_hpo.compat.optuna as optuna
from raytune_hpo.compat.optuna.study import distant


def objective(trial):
    x = trial.suggest_float("x", -1, 1)
    trial.set_user_attr("pid", os.getpid())
    trial.report(x, 0)
    if x > 0.9:
        raise optuna.TrialPruned
    return x**2


def fails(trial):
    raise OSError("no room")


@pytest.fixture(scope="module")
def elsewhere():
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.integration.dask.DaskStorage()
    yield optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
    optuna.logging.set_verbosity(optuna.logging.INFO)


def test_trials_run_in_the_process_that_optimises_and_are_kept_in_the_one_that_holds_the_study(study, elsewhere):
    for done in [elsewhere.submit(study.optimize, objective, n_trials=4) for _ in range(3)]:
        done.result(timeout=60)
    assert [trial.number for trial in study.trials] == list(range(12))
    assert os.getpid() not in {trial.user_attrs["pid"] for trial in study.trials}
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}
    assert study.trials[0].intermediate_values == {0: study.trials[0].params["x"]}
    assert elsewhere.submit(getattr, study, "best_value").result(timeout=60) == study.best_value


def test_what_the_objective_raises_leaves_optimize_there_and_fails_the_trial_here(study, elsewhere):
    with pytest.raises(OSError, match="no room"):
        elsewhere.submit(study.optimize, fails, n_trials=3).result(timeout=60)
    elsewhere.submit(study.optimize, fails, n_trials=2, catch=(OSError,)).result(timeout=60)
    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 3


def test_a_process_that_goes_fails_its_trial(study):
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, pytest.raises(Exception, match="terminated"):
        pool.submit(study.optimize, _goes, n_trials=3).result(timeout=60)
    assert _until(lambda: study.trials[0].state.name == "FAIL")
    assert len(study.trials) == 1


def test_a_method_that_is_pickled_as_a_function_and_its_object_runs_too(study, elsewhere):
    elsewhere.submit(type(study).optimize, study, objective, n_trials=2).result(timeout=60)
    assert [trial.user_attrs["pid"] != os.getpid() for trial in study.trials] == [True, True]


def test_a_connection_that_says_nothing_keeps_no_other_waiting(study, elsewhere):
    address = distant.distant(study)[1][0]
    with socket.create_connection(address):
        assert elsewhere.submit(getattr, study, "study_name").result(timeout=20) == study.study_name
    with pytest.raises(AuthenticationError):
        Client(address, authkey=b"another")


def test_where_no_connection_can_be_accepted_it_is_tried_again_after_a_while():
    tried = []

    def accept():
        tried.append(time.monotonic())
        if len(tried) == 3:
            raise SystemExit  # ends the thread
        raise OSError(errno.EMFILE, "too many open files")

    server = distant._Server.__new__(distant._Server)
    server._listener = SimpleNamespace(accept=accept)
    with pytest.raises(SystemExit):
        server._listen()
    assert tried[2] - tried[0] >= 2 * distant._RETRY_S


def test_studies_that_are_not_shared_go_along_as_they_are(study):
    alone = optuna.create_study()
    alone.optimize(objective, n_trials=2)
    assert [trial.params for trial in pickle.loads(pickle.dumps(alone)).trials] == [t.params for t in alone.trials]


def _goes(trial):
    os._exit(1)


def _until(condition):
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False
