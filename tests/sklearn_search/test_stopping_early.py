"""A scheduler stops candidates that are behind: after some folds, or after some steps of their training."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from search_support import Known, X, Y, search
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import raytune_hpo as hpo
from raytune_hpo.facts import Verdict

VALUES = {"value": [0.9, 0.8, 0.7, 0.1, 0.2, 0.95]}  # the grid is walked in this order


@pytest.fixture(autouse=True)
def _from_zero():
    Known.num_fits = 0


# ---------------------------------------------------------------------------------------------- folds


def test_a_bad_candidate_does_not_see_all_folds():
    ours = search(Known(), VALUES, n_iter=6, cv=5, scheduler={"name": "asha", "eta": 2}, refit=False).fit(X, Y)
    table = ours.cv_results_
    assert table["status"].tolist() == ["completed", "pruned", "pruned", "pruned", "pruned", "completed"]
    assert table["n_steps"].tolist() == [5, 1, 1, 1, 1, 5]
    assert Known.num_fits == sum(table["n_steps"]) == 14 < 6 * 5
    assert ours.best_params_ == {"value": 0.95} and ours.best_score_ == 0.95


def test_a_scheduler_that_the_sampler_brings_is_shown_in_the_table():
    space = {"value": hpo.uniform(0, 1)}
    ours = search(Known(), space, n_iter=9, cv=9, sampler={"name": "bohb", "max_steps": 9}, random_state=0).fit(X, Y)
    table = ours.cv_results_
    assert {"completed", "paused"} == set(table["status"]) and set(table["n_steps"]) > {9}
    assert [status == "completed" for status in table["status"]] == (table["n_steps"] == 9).tolist()


@pytest.mark.parametrize("name", ["pbt", "pb2"])
def test_a_population_is_refused_since_candidates_have_no_checkpoints(name):
    with pytest.raises(hpo.errors.SpecError, match="independent candidates.* use another sampler"):
        search(Known(), VALUES, cv=3, sampler={"name": name, "max_steps": 3}).fit(X, Y)


def test_what_was_not_seen_is_not_known_and_ranks_last():
    ours = search(Known(), VALUES, n_iter=6, cv=3, scheduler={"name": "asha", "eta": 2}, return_train_score=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.fit(X, Y)
    table = ours.cv_results_
    assert table["split0_test_score"].tolist() == VALUES["value"]
    for name in ("split1_test_score", "split2_test_score", "mean_test_score", "std_test_score", "mean_train_score"):
        assert np.isnan(table[name]).tolist() == [False, True, True, True, True, False], name
    assert table["rank_test_score"].tolist() == [2, 3, 3, 3, 3, 1]


def test_a_candidate_that_has_seen_every_fold_is_complete_whatever_the_last_one_says():
    ours = search(
        Known(),
        {"value": [0.9, 0.8, 0.7]},
        n_iter=3,
        cv=3,
        scheduler={"name": "median", "min_trials": 1, "grace_steps": 3},
    )
    assert ours.fit(X, Y).cv_results_["status"].tolist() == ["completed"] * 3


def test_the_scheduler_sees_the_mean_of_the_folds_so_far():
    ours = search(LogisticRegression(), scheduler="median", n_iter=2, cv=4).fit(X, Y)
    table, trial = ours.cv_results_, ours.results_[0]
    folds = [table[f"split{k}_test_score"][0] for k in range(4)]
    reported = [report.metrics["mean_test_score"] for report in trial.reports]
    assert reported == pytest.approx([np.mean(folds[: k + 1]) for k in range(3)])
    assert trial.metrics["mean_test_score"] == table["mean_test_score"][0]


def test_without_a_scheduler_the_table_has_no_more_than_usual():
    assert not {"n_steps", "status"} & set(search(Known(), VALUES).fit(X, Y).cv_results_)


@pytest.mark.filterwarnings("ignore")
def test_a_candidate_that_fails_in_its_first_fold_has_no_second_one():
    ours = search(Known(), {"fails": [False, True], "value": [0.5]}, n_iter=2, cv=5, scheduler="asha").fit(X, Y)
    assert ours.cv_results_["n_steps"].tolist() == [5, 1]
    assert ours.cv_results_["status"].tolist() == ["completed", "failed"]


def test_where_everything_was_stopped_there_is_no_best():
    class Never(hpo.schedulers.Median):
        def judge(self, trial):
            return Verdict.STOP

        def bind(self, goals):
            return Never()

    with pytest.raises(hpo.errors.NoCompletedTrial, match="must have seen all 3 folds, and none of 4 has"):
        search(Known(), VALUES, scheduler=Never(), n_iter=4).fit(X, Y)


def test_where_every_fit_fails_that_is_said_first():
    with pytest.raises(ValueError, match="All the 2 fits failed"):
        search(Known(fails=True), {"value": [0.1, 0.2]}, n_iter=2, scheduler="asha").fit(X, Y)


# ---------------------------------------------------------------------------------------------- time


def test_the_search_ends_when_its_time_is_over():
    class Slow(Known):
        def fit(self, X, y=None):
            time.sleep(0.05)
            return super().fit(X, y)

    ours = search(Slow(), {"value": hpo.uniform(0, 1)}, n_iter=None, time_budget_s=0.5, cv=2).fit(X, Y)
    assert 1 <= len(ours.cv_results_["params"]) <= 6


def test_ctrl_c_keeps_what_is_complete():
    class Interrupted(Known):
        def fit(self, X, y=None):
            if Interrupted.num_fits == 9:  # in the fourth candidate
                Interrupted.num_fits += 1
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
            Interrupted.num_fits += 1
            return super().fit(X, y)

    Interrupted.num_fits = 0
    assert threading.current_thread() is threading.main_thread()
    ours = search(Interrupted(), {"value": hpo.uniform(0, 1)}, n_iter=50, cv=3).fit(X, Y)
    assert len(ours.cv_results_["params"]) == 3
    assert ours.best_score_ == max(ours.cv_results_["mean_test_score"]) and hasattr(ours, "best_estimator_")


# ---------------------------------------------------------------------------------------------- steps


class Counting(ClassifierMixin, BaseEstimator):
    """Learns by passes: its score is a rate times their number."""

    def __init__(self, rate=1.0):
        self.rate = rate

    def fit(self, X, y):
        raise AssertionError("trained by passes only")

    def partial_fit(self, X, y, classes=None):
        self.classes_, self.num_passes_ = classes, getattr(self, "num_passes_", 0) + 1
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return self.rate * self.num_passes_


RATES = {"rate": [9.0, 8.0, 7.0, 10.0]}
ASHA = {"name": "asha", "eta": 2}


def test_a_training_by_passes_is_stopped_after_some():
    ours = search(Counting(), RATES, steps="partial_fit", n_steps=5, scheduler=ASHA).fit(X, Y)
    assert ours.cv_results_["n_steps"].tolist() == [5, 1, 1, 5]
    assert np.isnan(ours.cv_results_["split0_test_score"]).tolist() == [False, True, True, False]
    reports = [(r.step, r.metrics["mean_test_score"]) for r in ours.results_[0].reports]
    assert reports == [(1, 9.0), (2, 18.0), (4, 36.0)]  # where asha judges
    assert ours.best_score_ == 50.0 and ours.best_estimator_.num_passes_ == 5


def test_without_a_scheduler_all_passes_are_made():
    ours = search(Counting(), RATES, steps="partial_fit", n_steps=4).fit(X, Y)
    assert ours.cv_results_["mean_test_score"].tolist() == [36.0, 32.0, 28.0, 40.0]


@pytest.mark.parametrize(
    ("estimator", "parameter"),
    [
        (SGDClassifier(random_state=0), "alpha"),
        (SGDRegressor(random_state=0), "alpha"),
        (MLPClassifier((4,), random_state=0), "learning_rate_init"),
    ],
)
def test_estimators_of_scikit_learn_are_trained_by_passes(estimator, parameter):
    distributions = {parameter: hpo.loguniform(1e-6, 1e2)}
    ours = search(estimator, distributions, steps="partial_fit", n_steps=4, n_iter=8, scheduler="asha").fit(X, Y)
    table = ours.cv_results_
    assert table["n_steps"].max() == 4 and table["n_steps"].min() < 4
    assert ours.best_score_ == np.nanmax(table["mean_test_score"])
    assert ours.best_estimator_.predict(X).shape == (120,)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("estimator", "steps", "trained"),
    [
        (RandomForestClassifier(20, random_state=0), "n_estimators", lambda model: len(model.estimators_)),
        (HistGradientBoostingClassifier(max_iter=20, random_state=0), "max_iter", lambda model: model.n_iter_),
        (
            MLPClassifier((4,), max_iter=20, random_state=0, n_iter_no_change=99),
            "max_iter",
            lambda model: len(model.loss_curve_),
        ),
    ],
)
def test_a_training_goes_on_where_it_was(estimator, steps, trained):
    """Trained in steps or at once, it comes to the same length, and where nothing is random to the same scores."""
    settings = {"distributions": {"random_state": [0]}, "n_iter": 1, "n_steps": 6, "steps": steps}
    seen = []

    def score(model, X, y):
        seen.append(trained(model))
        return model.score(X, y)

    stepwise = search(estimator, **settings, scheduler="asha", scoring=score, cv=2).fit(X, Y)
    assert seen == [4, 4, 10, 10, 20, 20]  # scored after the steps at which asha judges, and at the end
    at_once = search(estimator, **settings, scoring=score, cv=2).fit(X, Y)
    assert seen[-2:] == [20, 20] and trained(stepwise.best_estimator_) == 20
    if not isinstance(estimator, MLPClassifier):  # whose fit begins with a fresh order of the data
        assert stepwise.best_score_ == at_once.best_score_


def test_the_length_of_a_training_may_be_searched_and_stand_in_a_pipeline():
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", RandomForestClassifier(random_state=0))])
    distributions = {"clf__n_estimators": hpo.randint(1, 30), "clf__max_depth": hpo.randint(1, 5)}
    ours = search(pipeline, distributions, steps="clf__n_estimators", n_steps=4, scheduler="asha", n_iter=6).fit(X, Y)
    best = ours.best_estimator_[-1]
    assert len(best.estimators_) == ours.best_params_["clf__n_estimators"] and best.warm_start is False


@pytest.mark.parametrize(
    ("estimator", "settings", "said"),
    [
        (Ridge(), {"steps": "partial_fit"}, "needs an estimator with that method, Ridge has none"),
        (KNeighborsClassifier(), {"steps": "n_neighbors"}, "needs the parameter 'warm_start'"),
        (Ridge(), {"steps": "max_iters"}, "needs the parameter 'max_iters'"),
        (Ridge(), {"n_steps": 0}, "n_steps is a whole number of at least 1"),
    ],
)
def test_a_training_that_has_no_such_steps_is_refused(estimator, settings, said):
    with pytest.raises(hpo.errors.SpecError, match=said):
        search(estimator, {"alpha": [1.0]}, scheduler="asha", **settings).fit(X, Y)


def test_a_length_that_is_none_is_refused():
    forest = RandomForestClassifier(n_estimators=0)
    with pytest.raises(hpo.errors.SpecError, match="a whole number of at least 1, got 0"):
        search(forest, {"max_depth": [1]}, n_iter=1, steps="n_estimators", scheduler="asha", error_score="raise").fit(
            X, Y
        )


# ---------------------------------------------------------------------------------------------- scores and choices


def test_a_choice_of_ones_own_is_among_the_candidates_that_saw_all_folds():
    asha = {"scheduler": {"name": "asha", "eta": 2}, "n_iter": 6, "cv": 3}
    with pytest.raises(hpo.errors.SpecError, match="seen all 3 folds, it chose 1, which has not.*np.nanargmax"):
        search(Known(), VALUES, refit=lambda table: int(np.argmax(table["mean_test_score"])), **asha).fit(X, Y)
    ours = search(Known(), VALUES, refit=lambda table: int(np.nanargmax(table["mean_test_score"])), **asha).fit(X, Y)
    assert ours.best_params_ == {"value": 0.95}


@pytest.mark.filterwarnings("ignore")
def test_scores_that_are_not_finite_are_named_as_the_reason():
    ours = search(Known(), VALUES, scheduler="asha", n_iter=4, scoring=lambda *_: float("nan"))
    with pytest.raises(hpo.errors.NoCompletedTrial, match="none of 4 has; a score that is not finite ends a candidate"):
        ours.fit(X, Y)
