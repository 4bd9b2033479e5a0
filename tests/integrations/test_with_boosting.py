"""LightGBM and XGBoost report every round, end cleanly when they are stopped, and can be used again afterwards."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
import xgboost

from raytune_hpo.integrations.lightgbm import reporter as lightgbm_reporter
from raytune_hpo.integrations.xgboost import reporter as xgboost_reporter
from tests.integrations.neighbours import run_trial, set_aside

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4))
Y = (X[:, 0] + 0.5 * RNG.normal(size=200) > 0).astype(int)
FOREST = {"objective": "binary", "metric": ["auc", "binary_logloss"], "num_threads": 1, "verbose": -1, "seed": 0}
GRADIENTS = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "nthread": 1, "seed": 0}


def train_lightgbm(callbacks, rounds=6, **settings):
    data = lightgbm.Dataset(X[:150], Y[:150])
    valid = lightgbm.Dataset(X[150:], Y[150:], reference=data)
    return lightgbm.train(FOREST, data, rounds, valid_sets=[valid], callbacks=callbacks, **settings)


def train_xgboost(callbacks, rounds=6, **settings):
    data, valid = xgboost.DMatrix(X[:150], Y[:150]), xgboost.DMatrix(X[150:], Y[150:])
    settings = {"evals": [(data, "train"), (valid, "valid")], "verbose_eval": False, **settings}
    return xgboost.train(GRADIENTS, data, rounds, callbacks=callbacks, **settings)


def lightgbm_curve(rounds=6):
    curves = {}
    train_lightgbm([lightgbm.record_evaluation(curves)], rounds)
    return curves["valid_0"]["auc"]


def xgboost_curve(rounds=6):
    curves = {}
    train_xgboost([], rounds, evals_result=curves)
    return curves["valid"]["auc"]


LIBRARIES = [
    pytest.param(train_lightgbm, lightgbm_reporter, "valid_0-auc", lightgbm_curve, id="lightgbm"),
    pytest.param(train_xgboost, xgboost_reporter, "valid-auc", xgboost_curve, id="xgboost"),
]


@pytest.mark.parametrize(("train", "reporter", "name", "curve"), LIBRARIES)
def test_every_round_is_reported_under_the_name_that_was_asked_for(train, reporter, name, curve):
    ended, reports = run_trial(lambda config: train([reporter({"auc": name})]) and None, metric="auc")
    assert reports == [(round_, {"auc": pytest.approx(value)}) for round_, value in enumerate(curve(), 1)]
    assert ended.status == "completed" and ended.metrics == reports[-1][1]


@pytest.mark.parametrize(("train", "reporter", "name", "curve"), LIBRARIES)
def test_all_metrics_are_reported_by_the_names_of_the_library(train, reporter, name, curve):
    _, reports = run_trial(lambda config: train([reporter()]) and None, metric=name)
    assert {name, name.replace("auc", "logloss").replace("_0-log", "_0-binary_log")} <= set(reports[0][1])


@pytest.mark.parametrize(("train", "reporter", "name", "curve"), LIBRARIES)
def test_a_stopped_trial_ends_its_training_at_once_and_the_next_one_is_as_if_nothing_had_been(
    train, reporter, name, curve
):
    ended, reports = run_trial(lambda config: train([reporter({"auc": name})], 1000), stop_at=3, metric="auc")
    assert ended.status == "pruned" and [step for step, _ in reports] == [1, 2, 3]
    _, again = run_trial(lambda config: train([reporter({"auc": name})]) and None, metric="auc")
    assert [values["auc"] for _, values in again] == pytest.approx(curve())


@pytest.mark.parametrize(("train", "reporter", "name", "curve"), LIBRARIES)
def test_rounds_may_be_left_out(train, reporter, name, curve):
    _, reports = run_trial(lambda config: train([reporter(name, every=3)], 7) and None, metric=name)
    assert [step for step, _ in reports] == [3, 6]


@pytest.mark.parametrize(("train", "reporter", "name", "curve"), LIBRARIES)
def test_a_metric_that_is_not_evaluated_fails_the_trial_and_names_those_that_are(train, reporter, name, curve):
    ended, _ = run_trial(lambda config: train([reporter({"auc": "valid-acu"})]), metric="auc")
    assert ended.status == "failed"
    assert "a reporter needs 'valid-acu' from the training, which gives" in ended.error and f"'{name}'" in ended.error


@pytest.mark.parametrize(("train", "reporter", "name", "curve"), LIBRARIES)
def test_outside_of_a_trial_nothing_is_reported_and_nothing_breaks(train, reporter, name, curve):
    assert train([reporter({"auc": name})]) is not None


def test_cross_validation_reports_means():
    def with_lightgbm(config):
        data = lightgbm.Dataset(X, Y)
        means = lightgbm.cv(FOREST, data, 4, nfold=3, callbacks=[lightgbm_reporter({"auc": "valid-auc"})])
        return {"auc": means["valid auc-mean"][-1]}

    def with_xgboost(config):
        means = xgboost.cv(
            GRADIENTS, xgboost.DMatrix(X, Y), 4, nfold=3, callbacks=[xgboost_reporter({"auc": "test-auc"})]
        )
        return {"auc": means["test-auc-mean"].iloc[-1]}

    for objective in (with_lightgbm, with_xgboost):
        ended, reports = run_trial(objective, metric="auc")
        assert [step for step, _ in reports] == [1, 2, 3, 4], ended.error
        assert reports[-1][1]["auc"] == pytest.approx(ended.metrics["auc"])


def test_the_scikit_learn_classes_take_them_too():
    def with_lightgbm(config):
        model = lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1)
        model.fit(X[:150], Y[:150], eval_X=(X[150:],), eval_y=(Y[150:],), callbacks=[lightgbm_reporter()])

    def with_xgboost(config):
        model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1, callbacks=[xgboost_reporter()])
        model.fit(X[:150], Y[:150], eval_set=[(X[150:], Y[150:])], verbose=False)

    _, reports = run_trial(with_lightgbm, metric="valid_0-binary_logloss")
    assert [step for step, _ in reports] == [1, 2, 3, 4]
    _, reports = run_trial(with_xgboost, metric="validation_0-logloss")
    assert [step for step, _ in reports] == [1, 2, 3, 4]


def test_training_that_goes_on_counts_its_own_rounds():
    first = train_xgboost([], 5)
    _, reports = run_trial(
        lambda config: train_xgboost([xgboost_reporter()], 3, xgb_model=first) and None, metric="valid-auc"
    )
    assert [step for step, _ in reports] == [1, 2, 3]
    model = train_lightgbm([], 5)
    data = lightgbm.Dataset(X, Y, free_raw_data=False)

    def train(config):
        callbacks = [lightgbm_reporter()]
        lightgbm.train(FOREST, data, 3, valid_sets=[data], init_model=model, callbacks=callbacks)

    _, reports = run_trial(train, metric="training-auc")
    assert [step for step, _ in reports] == [1, 2, 3]


def save(booster, folder):
    booster.save_model(folder / "model.json")


@pytest.mark.parametrize(
    ("train", "reporter", "name", "curve", "model"),
    [(*library.values, model) for library, model in zip(LIBRARIES, ("init_model", "xgb_model"), strict=True)],
    ids=["lightgbm", "xgboost"],
)
def test_a_training_is_set_aside_and_goes_on(train, reporter, name, curve, model):
    def after(done, saved):
        callbacks = [reporter({"value": name}, save=save, after=done)]
        train(callbacks, 9 - done, **{model: saved.path / "model.json"} if saved else {})

    path = set_aside(after, curve(9)) / "model.json"
    if train is train_lightgbm:
        assert lightgbm.Booster(model_file=path).num_trees() == 9
    else:
        assert xgboost.Booster(model_file=path).num_boosted_rounds() == 9


def test_rounds_before_count_where_rounds_are_left_out():
    reporting = xgboost_reporter("valid-auc", every=3, after=2)
    _, reports = run_trial(lambda config: train_xgboost([reporting], 7) and None, metric="valid-auc")
    assert [step for step, _ in reports] == [3, 6, 9]
