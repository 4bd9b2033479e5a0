"""Whatever works with RandomizedSearchCV works the same with TunedSearchCV."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform, randint
from search_support import C, Known, X, Y, assert_same_table, scores_of, search
from sklearn import config_context
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    ParameterSampler,
    PredefinedSplit,
    RandomizedSearchCV,
    StratifiedShuffleSplit,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import raytune_hpo as hpo
from raytune_hpo.errors import StudyExists

PIPELINE = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])


def both(estimator, distributions, fit_params=None, data=(X, Y), **settings):
    """Our search and scikit-learn's, fitted on the same."""
    settings = {"n_iter": 4, "cv": 3, "random_state": 0, **settings}
    ours = search(estimator, distributions, sampler="random", **settings).fit(*data, **(fit_params or {}))
    theirs = RandomizedSearchCV(estimator, distributions, **settings).fit(*data, **(fit_params or {}))
    return ours, theirs


CASES = {
    "one parameter": (LogisticRegression(), C, {}),
    "lists": (KNeighborsClassifier(), {"n_neighbors": [1, 3, 5, 9], "weights": ["uniform", "distance"]}, {}),
    "an array": (KNeighborsClassifier(), {"n_neighbors": np.arange(1, 20)}, {}),
    "pipeline": (PIPELINE, {"clf__C": loguniform(1e-3, 1e2), "scale": [StandardScaler(), "passthrough"]}, {}),
    "branches": (
        PIPELINE,
        [
            {"clf": [SVC()], "clf__gamma": loguniform(1e-3, 1)},
            {"clf": [LogisticRegression()], "clf__C": loguniform(1e-3, 1e2)},
        ],
        {"n_iter": 6},
    ),
    "tuples and None": (
        DecisionTreeClassifier(random_state=0),
        {"max_depth": [None, 2], "class_weight": [None, {0: 1, 1: 5}], "min_samples_leaf": randint(1, 9)},
        {"n_iter": 8},
    ),
    "train scores": (LogisticRegression(), C, {"return_train_score": True}),
    "a scorer": (LogisticRegression(), C, {"scoring": "neg_log_loss"}),
    "a function": (LogisticRegression(), C, {"scoring": lambda e, X, y: float(np.mean(e.predict(X) == y)) - 1}),
    "several scorers": (LogisticRegression(), C, {"scoring": ["accuracy", "roc_auc"], "refit": "roc_auc"}),
    "scorers by name": (
        LogisticRegression(),
        C,
        {"scoring": {"a": "accuracy", "f": make_scorer(f1_score)}, "refit": "f", "return_train_score": True},
    ),
    "a function of several": (
        LogisticRegression(),
        C,
        {
            "scoring": lambda e, X, y: {"acc": accuracy_score(y, e.predict(X)), "f1": f1_score(y, e.predict(X))},
            "refit": "f1",
        },
    ),
    "a splitter": (LogisticRegression(), C, {"cv": StratifiedShuffleSplit(4, random_state=1)}),
    "splits": (LogisticRegression(), C, {"cv": [(np.arange(80), np.arange(80, 120)), (np.arange(40, 120), np.arange(40))]}),
    "a predefined split": (LogisticRegression(), C, {"cv": PredefinedSplit(np.repeat([-1, 0], [80, 40]))}),
    "fewer than asked for": (LogisticRegression(), {"C": [0.1, 1.0]}, {"n_iter": 5}),
    "a choice of the best": (LogisticRegression(), C, {"refit": lambda table: int(np.argmin(table["mean_fit_time"] * 0))}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:The total space")
@pytest.mark.parametrize("case", CASES)
def test_the_same_candidates_give_the_same_table(case):
    estimator, distributions, settings = CASES[case]
    ours, theirs = both(estimator, distributions, **settings)
    assert_same_table(ours.cv_results_, theirs.cv_results_)
    assert (ours.best_index_, ours.best_params_) == (theirs.best_index_, theirs.best_params_)
    assert ours.multimetric_ == theirs.multimetric_ and ours.n_splits_ == theirs.n_splits_
    assert hasattr(ours, "best_score_") == hasattr(theirs, "best_score_")
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    if not callable(ours.scoring):
        assert ours.score(X, Y) == theirs.score(X, Y)


def test_a_regressor_and_a_clusterer_are_searched_too():
    ours, theirs = both(Ridge(), {"alpha": loguniform(1e-3, 1e3)}, data=(X, X[:, 0] * 2 + Y))
    assert_same_table(ours.cv_results_, theirs.cv_results_)
    ours, theirs = both(KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3, 4, 5]}, data=(X,))
    assert_same_table(ours.cv_results_, theirs.cv_results_)


def test_several_outputs_are_searched_too():
    data = make_multilabel_classification(n_samples=60, random_state=0)
    ours, theirs = both(KNeighborsClassifier(), {"n_neighbors": [1, 3, 5, 7]}, data=data)
    assert_same_table(ours.cv_results_, theirs.cv_results_)


def test_a_table_of_pandas_stays_one():
    frame, labels = pd.DataFrame(X).add_prefix("x"), pd.Series(np.where(Y == 1, "yes", "no"))
    is_frame = FunctionTransformer(check_frame, feature_names_out="one-to-one")
    pipeline = make_pipeline(is_frame, StandardScaler().set_output(transform="pandas"), LogisticRegression())
    ours, theirs = both(pipeline, {"logisticregression__C": loguniform(1e-3, 1e2)}, data=(frame, labels))
    assert_same_table(ours.cv_results_, theirs.cv_results_)
    assert list(ours.feature_names_in_) == list(frame.columns) and ours.n_features_in_ == 8
    assert list(ours.classes_) == ["no", "yes"]
    assert ours.predict(frame[:3]).tolist() == theirs.predict(frame[:3]).tolist()


def check_frame(X):
    assert isinstance(X, pd.DataFrame)
    return X


@pytest.mark.parametrize("cv", [GroupKFold(3), LeaveOneGroupOut()])
def test_groups_go_to_the_splitter(cv):
    groups = np.arange(120) % 5
    ours, theirs = both(LogisticRegression(), C, {"groups": groups}, cv=cv)
    assert_same_table(ours.cv_results_, theirs.cv_results_)
    with pytest.raises(ValueError, match="groups"):
        search(cv=cv).fit(X, Y)


@pytest.mark.filterwarnings("ignore:The scoring")
def test_weights_go_to_the_fits_and_the_refit():
    weights = np.where(np.arange(120) % 2, 1.0, 0.01)
    ours, theirs = both(LogisticRegression(), C, {"sample_weight": weights})
    assert_same_table(ours.cv_results_, theirs.cv_results_)
    unweighted = search(sampler="random").fit(X, Y)
    assert not np.array_equal(ours.best_estimator_.coef_, unweighted.best_estimator_.coef_)
    np.testing.assert_array_equal(ours.best_estimator_.coef_, theirs.best_estimator_.coef_)


def test_metadata_goes_where_it_was_requested():
    with config_context(enable_metadata_routing=True):
        estimator = LogisticRegression().set_fit_request(sample_weight=True)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        given = {"sample_weight": np.arange(1.0, 121.0), "groups": np.arange(120) % 4}
        ours, theirs = both(estimator, C, given, cv=GroupKFold(4), scoring=scorer)
        assert_same_table(ours.cv_results_, theirs.cv_results_)
        again = search(estimator, sampler="random", cv=GroupKFold(4), scoring=scorer, n_jobs=2).fit(X, Y, **given)
        assert_same_table(again.cv_results_, theirs.cv_results_)  # threads of ours know the settings of the caller's
        with pytest.raises(TypeError, match="unexpected"):
            search().fit(X, Y, nonsense=[1])


def test_failing_fits_are_scored_and_said():
    distributions = {"fails": [False, True], "value": [0.5]}
    ours = search(Known(), distributions, n_iter=2)
    with (
        pytest.warns(FitFailedWarning, match="3 fits failed out of a total of 6"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        ours.fit(X, Y)
    assert ours.cv_results_["mean_test_score"].tolist()[0] == 0.5 and np.isnan(ours.cv_results_["mean_test_score"][1])
    assert ours.cv_results_["rank_test_score"].tolist() == [1, 2]
    assert [str(trial.status) for trial in ours.results_] == ["completed", "failed"]
    assert "ZeroDivisionError: as asked" in ours.results_[1].error


def test_an_error_score_counts_as_a_score():
    ours = search(
        Known(), {"fails": [False, True], "value": [0.5]}, n_iter=2, error_score=-1.0, return_train_score=True
    )
    with pytest.warns(FitFailedWarning):
        ours.fit(X, Y)
    assert ours.cv_results_["mean_test_score"].tolist() == [0.5, -1.0] == ours.cv_results_["mean_train_score"].tolist()


@pytest.mark.parametrize("fails", [SystemExit, asyncio.CancelledError])
def test_a_fit_that_would_end_the_process_is_a_failed_fit(fails):
    ours = search(Known(), {"fails": [False, fails], "value": [0.5]}, n_iter=2)
    with pytest.warns(FitFailedWarning, match=fails.__name__):
        ours.fit(X, Y)
    assert [str(trial.status) for trial in ours.results_] == ["completed", "failed"]


def test_an_error_is_raised_as_it_came():
    with pytest.raises(ZeroDivisionError, match="as asked"):
        search(Known(), {"fails": [False, True]}, n_iter=2, error_score="raise").fit(X, Y)


def test_where_all_fits_fail_there_is_nothing_to_search():
    with pytest.raises(ValueError, match="All the 6 fits failed"):
        search(Known(fails=True), {"value": [0.1, 0.2]}, n_iter=2).fit(X, Y)


def test_a_scorer_that_fails_is_heard():
    def broken(estimator, X, y):
        raise RuntimeError("no score")

    with pytest.warns(UserWarning, match="Scoring failed"):
        ours = search(scoring=broken, refit=False, n_iter=1).fit(X, Y)
    assert np.isnan(ours.cv_results_["mean_test_score"]).all()
    with pytest.raises(RuntimeError, match="no score"):
        search(scoring=broken, error_score="raise").fit(X, Y)


def test_several_metrics_need_one_to_refit_by():
    with pytest.raises(ValueError, match="For multi-metric scoring"):
        search(scoring=["accuracy", "f1"], refit=True).fit(X, Y)
    with pytest.raises(ValueError, match="For multi-metric scoring"):
        search(scoring=lambda e, X, y: {"a": 1.0, "b": 2.0}, refit="c", n_iter=1).fit(X, Y)


def test_several_metrics_without_a_favourite_are_searched_together():
    ours = search(scoring=["accuracy", "roc_auc"], refit=False, n_iter=6).fit(X, Y)
    assert not hasattr(ours, "best_index_") and not hasattr(ours, "best_estimator_")
    assert [goal.metric for goal in ours.results_.goals] == ["mean_test_accuracy", "mean_test_roc_auc"]
    front = ours.results_.best_trials
    best = max(trial.metrics["mean_test_roc_auc"] for trial in front)
    assert max(ours.cv_results_["mean_test_roc_auc"]) == pytest.approx(best)  # numpy rounds its means differently


def test_the_best_may_be_chosen_by_a_function_of_the_table():
    ours = search(Known(), {"value": [0.1, 0.5, 0.3]}, n_iter=3, refit=lambda table: table["mean_test_score"].argmin())
    assert ours.fit(X, Y).best_params_ == {"value": 0.1}
    assert not hasattr(ours, "best_score_")
    for wrong, error in ((7, IndexError), (0.5, TypeError)):
        with pytest.raises(error):
            search(Known(), {"value": [0.1]}, n_iter=1, refit=lambda table, wrong=wrong: wrong).fit(X, Y)


def test_without_refit_there_is_no_estimator():
    ours = search(refit=False).fit(X, Y)
    assert ours.best_params_ == ours.cv_results_["params"][ours.best_index_]
    assert not hasattr(ours, "best_estimator_") and not hasattr(ours, "refit_time_")
    with pytest.raises(AttributeError, match="predict"):
        ours.predict(X)


def test_options_that_are_estimators_are_not_trained():
    scaler = MinMaxScaler()
    search(PIPELINE, {"scale": [scaler, "passthrough"]}, n_iter=2).fit(X, Y)
    assert not hasattr(scaler, "scale_")


def test_an_unknown_parameter_is_refused():
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        search(LogisticRegression(), {"nonsense": [1, 2, 3, 4, 5]}).fit(X, Y)


def test_it_nests_in_scikit_learns_own_tools():
    inner = search(n_iter=2, cv=2)
    assert len(cross_val_score(inner, X, Y, cv=2)) == 2
    outer = make_pipeline(StandardScaler(), clone(inner)).fit(X, Y)
    assert outer.score(X, Y) > 0.5
    assert "TunedSearchCV" in (html := outer[-1]._repr_html_()) and "LogisticRegression" in html


def test_parameters_are_read_set_and_cloned():
    ours = search(sampler=hpo.samplers.TPE(), scheduler={"name": "asha", "eta": 2})
    ours.set_params(estimator__C=7.0, n_iter=5)
    twin = clone(ours)
    assert twin.estimator.C == 7.0 and twin.n_iter == 5 and twin.get_params()["scheduler"]["eta"] == 2
    assert twin.fit(X, Y).results_.spec.sampler.name == "tpe"


def test_it_is_pickled_after_the_fit():
    ours = search(scheduler="asha").fit(X, Y)
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(again.predict(X), ours.predict(X))
    assert again.results_.best_value == ours.results_.best_value
    assert list(scores_of(again.cv_results_)) == list(scores_of(ours.cv_results_))


@pytest.mark.parametrize("settings", [{}, {"scheduler": "asha"}, {"sampler": "tpe"}, {"sampler": "random"}])
def test_the_same_random_state_gives_the_same_search(settings):
    first, second = (search(n_iter=6, **settings).fit(X, Y).cv_results_ for _ in range(2))
    assert first["params"] == second["params"]
    other = search(n_iter=6, random_state=1, **settings).fit(X, Y).cv_results_
    assert other["params"] != first["params"]


def test_a_random_state_that_moves_on_gives_another_search_each_time():
    ours = search(random_state=np.random.RandomState(0), sampler="random")
    first, second = (ours.fit(X, Y).cv_results_["params"] for _ in range(2))
    assert first != second
    assert first == list(ParameterSampler(C, 4, random_state=np.random.RandomState(0)))


def test_threads_find_what_one_does():
    one, two = (search(sampler="random", n_iter=6, n_jobs=n).fit(X, Y) for n in (1, 2))
    assert_same_table(two.cv_results_, one.cv_results_)


def test_warnings_of_fits_are_heard():
    with pytest.warns(UserWarning, match="Maximum number of iteration"):
        search(SGDClassifier(max_iter=1, random_state=0), {"alpha": [1e-4]}, n_iter=1).fit(X, Y)


def test_lists_alone_need_no_number_of_candidates():
    lists = {"value": [0.1, 0.5, 0.3], "fails": [False]}
    ours = search(Known(), lists, n_iter=None).fit(X, Y)
    assert [params["value"] for params in ours.cv_results_["params"]] == lists["value"]


def test_progress_is_shown_where_it_is_asked_for(capsys):
    search(Known(), {"value": [0.1]}, n_iter=1).fit(X, Y)
    assert capsys.readouterr() == ("", "")
    search(Known(), {"value": [0.1]}, n_iter=1, verbose=1).fit(X, Y)
    shown = capsys.readouterr()
    assert "1/1 trials, best mean_test_score=0.1" in shown.out + shown.err


def test_y_that_is_needed_is_asked_for():
    with pytest.raises(ValueError, match="requires y to be passed"):
        search().fit(X)


def test_splits_are_made_once_for_all_candidates():
    ours = search(Known(), {"value": [0.1, 0.2]}, n_iter=2, cv=KFold(3, shuffle=True)).fit(X, Y)
    assert ours.n_splits_ == 3 and len(ours.cv_results_["params"]) == 2
    with pytest.raises(ValueError, match="No fits were performed. Was the CV iterator empty"):
        search(cv=Empty()).fit(X, Y)


class Empty:
    def split(self, X, y=None, groups=None):
        return iter(())

    def get_n_splits(self, X=None, y=None, groups=None):
        return 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_iter": 0}, "n_iter is a whole number of at least 1, got 0"),
        ({"n_iter": None}, "give n_iter or time_budget_s"),
        ({"n_jobs": 0}, "n_jobs is a whole number"),
        ({"runtime": "dask"}, "unknown runtime 'dask'"),
        ({"resources": {"num_cpus": 1}}, "did you mean 'cpu'"),
        ({"error_score": "nan"}, "error_score is a number or 'raise'"),
        ({"time_budget_s": -1}, "time_budget_s is a number of seconds above 0"),
        ({"sampler": "gpp"}, "did you mean 'gp'"),
        ({"scheduler": "ash"}, "did you mean 'asha'"),
        ({"verbose": "yes"}, "verbose is a whole number"),
    ],
)
def test_wrong_settings_are_refused_with_the_way_out(settings, said):
    with pytest.raises(hpo.errors.SpecError, match=said):
        search(**settings).fit(X, Y)


@pytest.mark.parametrize(
    "settings",
    [
        {"scoring": "acuracy"},
        {"scoring": ["accuracy", "auc"], "refit": "accuracy"},
        {"scoring": {"a": "auc"}, "refit": "a"},
        {"scoring": [1]},
        {"scoring": 5},
    ],
    ids=str,
)
def test_a_scorer_that_does_not_exist_is_refused_in_scikit_learns_words(settings):
    with pytest.raises(ValueError, match="scor") as ours:
        search(**settings).fit(X, Y)
    assert "convert_multimetric" not in str(ours.value)
    with pytest.raises(type(ours.value)):
        RandomizedSearchCV(LogisticRegression(), C, n_iter=2, **settings).fit(X, Y)


def test_an_estimator_without_a_score_is_told_apart_from_a_y_that_is_missing():
    for y in (None, Y):
        with pytest.raises(TypeError, match="the estimator passed should have a 'score' method"):
            search(StandardScaler(), {"with_mean": [True, False]}).fit(X, y)


@pytest.mark.parametrize(
    "settings", [{"sampler": "bayes"}, {"sampler": {"name": "tpe", "gama": 1}}, {"scheduler": "sha"}]
)
def test_names_are_checked_where_the_grid_is_small_too(settings):
    with pytest.raises(hpo.errors.SpecError, match="unknown|no option"):
        search(Known(), {"value": [0.1, 0.2]}, n_iter=2, **settings).fit(X, Y)


@pytest.mark.filterwarnings("ignore:The total space")
@pytest.mark.parametrize("nothing", [{}, [{}]])
@pytest.mark.parametrize("sampler", ["random", "auto"])
def test_with_nothing_to_search_the_estimator_is_tried_as_it_is(nothing, sampler):
    ours = search(Known(0.5), nothing, sampler=sampler).fit(X, Y)
    assert ours.best_params_ == {} and ours.best_score_ == 0.5
    assert len(ours.cv_results_["params"]) == 1


def test_a_splitter_that_does_not_keep_its_word_is_refused_in_scikit_learns_words():
    class Fickle(KFold):
        def get_n_splits(self, X=None, y=None, groups=None):
            return 7

    with pytest.raises(ValueError, match="inconsistent results. Expected 7 splits, got 3"):
        search(cv=Fickle(3)).fit(X, Y)


def test_callbacks_of_scikit_learn_are_refused_by_name():
    with pytest.raises(hpo.errors.SpecError, match="calls no callbacks of scikit-learn, got"):
        search().set_callbacks(object())
    assert search().set_callbacks().fit(X, Y).best_params_


# ------------------------------------------------------------------------------------------------ kept searches


def test_a_search_that_is_kept_is_found_by_its_name(tmp_path: Path) -> None:
    found = search(name="svm", storage=tmp_path / "s.db").fit(X, Y)
    stored = hpo.load("svm", storage=tmp_path / "s.db")
    assert stored.best_config == found.best_params_ and stored.best_value == pytest.approx(found.best_score_)
    assert [trial.config for trial in stored] == found.cv_results_["params"]


def test_a_kept_search_is_not_mixed_with_another_one(tmp_path: Path) -> None:
    kept = search(name="svm", storage=tmp_path / "s.db").fit(X, Y)
    with pytest.raises(StudyExists, match="each fit is a search of its own.*'svm'.*another name.*raytune-hpo delete"):
        clone(kept).fit(X, Y)
    assert len(hpo.load("svm", storage=tmp_path / "s.db")) == 4
    clone(kept).set_params(name="svm 2").fit(X, Y)


def test_without_a_storage_a_name_is_for_the_results_only() -> None:
    for _ in range(2):
        assert search(name="svm").fit(X, Y).results_.name == "svm"
