"""Calls as Ray tasks, and searches of scikit-learn's estimators on top of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import types
import warnings

import numpy as np
import pytest
import ray
import ray.cloudpickle
from cluster_support import wait_until
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RandomizedSearchCV

import raytune_hpo as hpo
from raytune_hpo import cluster as clusters

# Workers cannot import the tests.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

X, Y = make_classification(n_samples=120, n_features=8, n_informative=4, random_state=0)
C = {"C": hpo.loguniform(1e-3, 1e2)}


def calls(shared, **settings):
    """Calls of ``shared["does"]``: the function itself must be one of the package, which workers can import."""
    return clusters.start_calls(perform, shared, **{"resources": {"cpu": 1}, **settings})


def collect(running, num):
    """How so many calls ended, by number."""
    ended = {}
    while len(ended) < num:
        ended |= {each.key: each for each in running.wait()}
    return ended


# ---------------------------------------------------------------------------------------------- calls


def perform(shared, task, kept):
    """What a test wants done."""
    if task == "die":
        os._exit(1)
    if task == "raise":
        raise ZeroDivisionError("as asked")
    if task == "warn":
        warnings.warn("mind the gap", UserWarning, stacklevel=1)
    if task == "sleep":
        time.sleep(600)
    if task == "write":
        kept = np.zeros(3) if kept is None else kept
        return float(shared.sum()), kept.tobytes()
    return float(shared.sum()), task


def test_values_errors_and_warnings_come_back_under_their_numbers():
    running = calls(np.ones(10))
    for key, task in enumerate([1, "raise", "warn"]):
        running.begin(key, task)
    with pytest.warns(UserWarning, match="mind the gap") as heard:
        ended = collect(running, 3)
    assert ended[0].value == ended[2].value == 10.0
    assert isinstance(ended[1].error, ZeroDivisionError) and "perform" in str(ended[1].error.__cause__)
    assert len(heard) == 1
    running.close()


@pytest.mark.slow
def test_what_a_call_keeps_goes_to_the_next_one_and_never_to_us():
    running = calls(np.ones(10))
    running.begin(0, "first")
    [first] = running.wait()
    assert type(first.kept).__name__ == "ObjectRef"
    running.begin(1, "write", first.kept)
    assert isinstance(running.wait()[0].error, AttributeError)  # it was given the text that the first one kept


@pytest.mark.slow
def test_a_call_that_takes_its_process_down_is_tried_again_and_then_given_up():
    running = calls(np.ones(10))
    running.begin(0, "die")
    running.begin(1, "lives")
    ended = collect(running, 2)
    assert ended[0].error is None and "lost 3 times" in ended[0].lost
    assert ended[1].value == 10.0


@pytest.mark.slow
def test_there_is_one_call_more_than_fits_unless_fewer_are_wanted():
    assert calls(None).num_slots() == 3
    assert calls(None, max_slots=1).num_slots() == 1
    assert calls(None, resources={"cpu": 2}).num_slots() == 2
    assert calls(None, resources={"cpu": 0.5, "lamp": 1}).num_slots() == 3


@pytest.mark.slow
def test_calls_for_which_there_is_no_room_are_said_to_wait():
    with pytest.warns(UserWarning, match="no node of the cluster has room for a call with resources={'gold': 1}"):
        assert calls(None, resources={"gold": 1}).num_slots() == 1


@pytest.mark.slow
def test_calls_under_way_end_when_they_are_closed():
    running = calls(np.ones(10))
    for key in range(2):
        running.begin(key, "sleep")
    time.sleep(1.0)
    running.close()
    again = calls(np.ones(10), resources={"cpu": 2})
    again.begin(0, "lives")
    assert collect(again, 1)[0].value == 10.0, "it did not have to wait for those"


@pytest.mark.slow
def test_what_workers_cannot_import_is_named():
    module = types.ModuleType("only_here")
    exec("class Local: pass", vars(module))
    sys.modules["only_here"] = module
    running = calls(module.Local())
    running.begin(0, "any")
    with pytest.raises(hpo.errors.ClusterError, match="No module named 'only_here'.*installed on every node"):
        raise running.wait()[0].error


def test_what_cannot_be_sent_is_refused():
    with pytest.raises(hpo.errors.SpecError, match="cannot be sent to other processes"):
        calls(threading.Lock())


# ---------------------------------------------------------------------------------------------- searches


def search(estimator, distributions, **settings):
    return hpo.sklearn.TunedSearchCV(estimator, distributions, **{"n_iter": 4, "cv": 3, "random_state": 0, **settings})


@pytest.mark.slow
def test_a_search_on_ray_finds_what_scikit_learns_own_finds():
    lists = {"C": [0.01, 0.1, 1.0, 10.0], "class_weight": [None, "balanced"]}
    ours = search(LogisticRegression(), lists, sampler="random").fit(X, Y)
    theirs = RandomizedSearchCV(LogisticRegression(), lists, n_iter=4, cv=3, random_state=0).fit(X, Y)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    np.testing.assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


class Counted(np.ndarray):
    """Rows that count how often they are packed to be sent."""

    num_packed = 0

    def __reduce_ex__(self, protocol):
        Counted.num_packed += 1
        return np.asarray(self).__reduce_ex__(protocol)


@pytest.mark.slow
def test_the_data_are_sent_once():
    Counted.num_packed = 0
    search(LogisticRegression(), C, n_iter=6).fit(X.view(Counted), Y)
    assert Counted.num_packed == 1


class Where(ClassifierMixin, BaseEstimator):
    """Scores by its parameter; takes a while, and writes down where and when it was fitted."""

    def __init__(self, value=0.0, log=None):
        self.value, self.log = value, log

    def fit(self, X, y):
        begin = time.time()
        time.sleep(0.3)
        self.classes_ = np.unique(y)
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {begin} {time.time()}\n")
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return self.value


def fits_of(log):
    """Process, begin and end of each fit, in the order of their ends."""
    return [tuple(map(float, line.split())) for line in log.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_the_folds_of_one_candidate_are_fitted_side_by_side(tmp_path):
    log = tmp_path / "log"
    search(Where(log=str(log)), {"value": [0.5]}, n_iter=1, cv=4, refit=False).fit(X, Y)
    fits = fits_of(log)
    assert len(fits) == 4 and len({pid for pid, *_ in fits} - {float(os.getpid())}) == 2
    assert any(a[0] != b[0] and a[1] < b[2] and b[1] < a[2] for a in fits for b in fits)


@pytest.mark.slow
def test_one_job_is_one_fit_at_a_time_and_the_same_search_each_time(tmp_path):
    log = tmp_path / "log"
    search(Where(log=str(log)), {"value": [0.5, 0.6]}, n_iter=2, cv=2, n_jobs=1, refit=False).fit(X, Y)
    fits = sorted(fits_of(log), key=lambda fit: fit[1])
    assert all(one[2] <= next_one[1] + 0.01 for one, next_one in zip(fits, fits[1:], strict=False))
    first, second = (search(LogisticRegression(), C, n_iter=6, n_jobs=1).fit(X, Y) for _ in range(2))
    assert first.cv_results_["params"] == second.cv_results_["params"]


@pytest.mark.slow
def test_folds_that_are_not_seen_are_not_fitted(tmp_path):
    log = tmp_path / "log"
    values, asha = {"value": [0.9, 0.8, 0.1, 0.2]}, {"name": "asha", "eta": 2}
    ours = search(Where(log=str(log)), values, cv=5, n_jobs=1, scheduler=asha, refit=False).fit(X, Y)
    assert ours.cv_results_["n_steps"].tolist() == [5, 1, 1, 1] and len(fits_of(log)) == 8


@pytest.mark.slow
def test_trainings_go_on_in_whichever_process_is_free():
    forest = RandomForestClassifier(random_state=0)
    ours = search(
        forest,
        {"max_depth": hpo.randint(1, 9), "n_estimators": [12]},
        steps="n_estimators",
        n_steps=4,
        scheduler="asha",
    )
    assert ours.fit(X, Y).cv_results_["n_steps"].max() == 4
    assert len(ours.best_estimator_.estimators_) == 12


@pytest.mark.slow
def test_a_fit_that_takes_its_process_down_is_a_failed_fit():
    once = [(np.arange(80), np.arange(80, 120))]
    with pytest.warns(FitFailedWarning, match="1 fits failed out of a total of 2"):
        ours = search(Deadly(), {"dies": [False, True]}, n_iter=2, cv=once).fit(X, Y)
    assert ours.best_params_ == {"dies": False}
    assert np.isnan(ours.cv_results_["mean_test_score"][1]) and "lost 3 times" in ours.results_[1].error


class Deadly(LogisticRegression):
    def __init__(self, dies=False):
        super().__init__()
        self.dies = dies

    def fit(self, X, y, sample_weight=None):
        if self.dies:
            os._exit(1)
        return super().fit(X, y)


INTERRUPTED = """
import sys, time
from pathlib import Path
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
import raytune_hpo as hpo

class Slow(ClassifierMixin, BaseEstimator):
    def __init__(self, value=0.0, path=None):
        self.value, self.path = value, path
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        if self.value > 0.5:
            Path(self.path).touch()
            time.sleep(60)
        return self
    def predict(self, X):
        return np.full(len(X), self.classes_[0])
    def score(self, X, y):
        return self.value

values = {"value": [0.1, 0.2, 0.9, 0.8]}
search = hpo.sklearn.TunedSearchCV(Slow(path=sys.argv[1]), values, n_iter=4, cv=2, n_jobs=1)
search.fit(np.zeros((40, 1)), np.repeat([0, 1], 20))
print("kept", len(search.cv_results_["params"]), search.best_params_, flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_search_and_keeps_what_is_complete(tmp_path):
    script, sign = tmp_path / "script.py", tmp_path / "sign"
    script.write_text(INTERRUPTED)
    driver = subprocess.Popen(
        [sys.executable, str(script), str(sign)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address},
    )
    try:
        wait_until(lambda: sign.exists() or driver.poll() is not None, timeout_s=200.0)
        driver.send_signal(signal.SIGINT)
        out, err = driver.communicate(timeout=150)
    finally:
        driver.kill()
    assert "kept 2 {'value': 0.2}" in out, err
