"""scikit-learn's estimators are trained step by step, with a report after each."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from raytune_hpo.errors import SpecError
from raytune_hpo.integrations import partial_fit
from tests.integrations.neighbours import run_trial, set_aside

X, Y = make_classification(300, 6, random_state=0)
SPLIT = {"validation": (X[200:], Y[200:]), "steps": 5}


def train(estimator, **settings):
    return partial_fit.train(estimator, X[:200], Y[:200], **{**SPLIT, **settings})


def test_every_pass_is_reported_and_the_last_score_returned():
    model = SGDClassifier(random_state=0)
    ended, reports = run_trial(lambda config: train(model), metric="score")
    assert [step for step, _ in reports] == [1, 2, 3, 4, 5]
    assert ended.metrics == reports[-1][1] == {"score": model.score(X[200:], Y[200:])}


def test_a_stopped_trial_trains_no_further():
    forest = RandomForestClassifier(n_estimators=3, random_state=0)
    ended, reports = run_trial(lambda config: train(forest, steps=50), stop_at=2, metric="score")
    assert ended.status == "pruned" and len(reports) == 2 and len(forest.estimators_) == 6


def test_batches_are_rows_in_an_order_of_their_own_each_once():
    seen = []

    class Recorder(SGDRegressor):
        def partial_fit(self, X, y):
            seen.append(list(y))
            return super().partial_fit(X, y)

    rows, values = make_regression(10, 3, random_state=0)
    arguments = {"validation": (rows, values), "steps": 2, "batch_size": 4}
    partial_fit.train(Recorder(), rows, values, **arguments)
    assert [len(batch) for batch in seen] == [4, 4, 2, 4, 4, 2]
    first, second = list(chain(*seen[:3])), list(chain(*seen[3:]))
    assert first != second and sorted(first) == sorted(second) == sorted(values)
    again, seen = seen, []
    partial_fit.train(Recorder(), rows, values, **arguments)
    assert seen == again


def test_frames_with_an_index_of_their_own_are_taken_by_position():
    frame, labels = pd.DataFrame(X, index=range(300, 0, -1)), pd.Series(Y, index=range(300, 0, -1))
    model, other = SGDClassifier(random_state=0), SGDClassifier(random_state=0)
    arguments = {"validation": (frame, labels), "steps": 2, "batch_size": 32}
    score = partial_fit.train(model, frame, labels, **arguments)
    assert score == partial_fit.train(other, X, Y, **{**arguments, "validation": (X, Y)})


def test_ensembles_grow_by_as_many_members_as_they_were_made_with():
    forest = RandomForestClassifier(n_estimators=4, random_state=0)
    train(forest)
    assert len(forest.estimators_) == 20
    boosted = HistGradientBoostingClassifier(max_iter=2, early_stopping=False, random_state=0)
    train(boosted)
    assert boosted.n_iter_ == 10


def test_others_go_on_from_where_they_were():
    model = LogisticRegression(max_iter=1, C=100.0)
    losses = []
    train(model, scoring=lambda m, X, y: losses.append(float(np.linalg.norm(m.coef_))) or 0.0)
    assert losses == sorted(losses) and losses[0] < losses[-1]
    network = MLPClassifier(solver="lbfgs", max_iter=2, random_state=0)  # has no partial_fit with this solver
    assert train(network)["score"] > 0.5


def test_a_scorer_by_name_and_a_name_for_it():
    ended, reports = run_trial(
        lambda config: train(SGDClassifier(loss="log_loss"), scoring="neg_log_loss", metric="nll", every=2),
        metric="nll",
    )
    assert [step for step, _ in reports] == [2, 4]
    assert ended.metrics["nll"] < 0


def test_what_can_only_be_trained_in_one_go_is_refused():
    with pytest.raises(SpecError, match="KNeighborsClassifier has neither"):
        train(KNeighborsClassifier())


@pytest.mark.parametrize(
    "make", [lambda: SGDClassifier(random_state=0), lambda: RandomForestClassifier(n_estimators=3, random_state=0)]
)
def test_a_trial_that_pauses_goes_on_with_what_it_has_learned(make):
    curve, rows = [], {"validation": (X[200:], Y[200:]), "metric": "value", "steps": 9}
    scored = lambda model, X, y: curve.append(float(model.score(X, y))) or curve[-1]  # noqa: E731
    train(make(), scoring=scored, **rows)
    set_aside(lambda done, saved: train(make(), save=True, **rows), curve)


@pytest.mark.parametrize(
    ("estimator", "wrong", "match"),
    [
        (SGDClassifier, {}, r"SGDClassifier is a class; write SGDClassifier\(...\)"),
        (SGDClassifier(), {"validation": X}, r"validation is \(X, y\) to score on, got ndarray"),
        (SGDClassifier(), {"validation": None}, r"validation is \(X, y\) to score on, got NoneType"),
    ],
)
def test_wrong_arguments_are_named(estimator, wrong, match):
    with pytest.raises(SpecError, match=match):
        train(estimator, **wrong)
