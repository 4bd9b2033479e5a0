"""What model-based samplers learn from."""

from __future__ import annotations

import numpy as np

from raytune_hpo import testing
from raytune_hpo.facts import Status
from raytune_hpo.samplers.history import History, representatives
from raytune_hpo.space import Choice, Float, Space
from raytune_hpo.testing.trials import finish, report, start

SPACE = Space({"x": Float(0, 1), "c": Choice(["a", {"y": Float(0, 2)}])})


def told(*trials):
    history = History(SPACE, len(testing.GOALS))
    for trial in trials:
        history.tell(trial)
    return history


def test_finished_trials_stand_in_rows_of_the_cube():
    flat, branch = {"x": 0.25, "c": "a"}, {"x": 0.5, "c": {"y": 1.0}}
    failed = finish(start(2, flat), status=Status.FAILED)
    pruned = finish(report(start(3, flat), 1, 7.0), status=Status.PRUNED)
    observed = told(
        finish(start(0, flat), {"loss": 3.0}), finish(start(1, branch), {"loss": 1.0}), failed, pruned
    ).read()
    np.testing.assert_array_equal(observed.Y[:, 0], [3.0, 1.0, np.nan, 7.0])
    np.testing.assert_array_equal(observed.X[0], [0.25, 0.25, np.nan])
    np.testing.assert_array_equal(observed.X[1], [0.5, 0.75, 0.5])


def test_a_stopped_trial_may_count_with_its_best_a_completed_one_never():
    history = told()
    stopped, completed = (report(report(start(n, {"x": 0.25, "c": "a"}), 1, 2.0), 2, 7.0) for n in range(2))
    history.tell(finish(stopped, status=Status.PRUNED), at_its_best=True)
    history.tell(finish(completed, {"loss": 6.0}), at_its_best=True)
    history.tell(finish(start(2, {"x": 0.25, "c": "a"}), status=Status.PRUNED), at_its_best=True)
    np.testing.assert_array_equal(history.read().Y[:, 0], [2.0, 6.0, np.nan])


def test_what_was_read_stays_as_it_was_while_more_is_told():
    history = told()
    views = []
    for number in range(200):
        history.tell(finish(start(number, {"x": number / 200, "c": "a"}), {"loss": float(number)}))
        views.append(history.read())
    for number, view in enumerate(views):
        assert len(view) == number + 1
        np.testing.assert_array_equal(view.Y[:, 0], np.arange(number + 1.0))
    np.testing.assert_array_equal(views[-1].first(3).X[:, 0], [0.0, 0.005, 0.01])


def test_representatives_are_the_best_the_newest_and_some_from_all_over():
    y = np.random.default_rng(0).permutation(1000).astype(float)
    kept = representatives(y, 100)
    assert len(kept) == len(set(kept.tolist())) == 100
    assert set(np.argsort(y)[:50]) <= set(kept.tolist())
    assert set(range(975, 1000)) <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    others = [i for i in kept if i < 975 and y[i] >= 50]
    assert min(others) < 100
    assert max(others) > 850
    np.testing.assert_array_equal(representatives(y, 1000), np.arange(1000))
