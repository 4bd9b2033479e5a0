"""Estimates of models before each step."""

import numpy as np
import pytest
from experiment_tables import written

import raytune_hpo as hpo
from raytune_hpo.errors import SpecError, SpecMismatch
from raytune_hpo.experiments import Experiment, Plan, Until, find_task, run_experiment, search
from raytune_hpo.experiments.estimates import with_estimates
from raytune_hpo.experiments.search import ESTIMATES
from raytune_hpo.samplers import GP

SECONDS = ["optimizer_s", "optimizer_s_total", "total_s"]
ARMS = ({"name": "gp", "marginalize": "slice"}, {"name": "rf", "num_trees": 5}, {"name": "tpe"}, {"name": "random"})


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return find_task(written(tmp_path_factory.mktemp("tables")))


def estimated(task, sampler, folder=None, num_trials=14):
    plan = Plan(sampler=sampler, until=Until(num_trials=num_trials))
    settings = {"estimates": True, "runtime": "local", "progress": False, "folder": folder}
    return plan, run_experiment(task, 1, plan, **settings)


def test_pauses_are_passed_on_to_the_sampler():
    def train(config):
        saved = hpo.checkpoint()
        for step in range(1 if saved is None else saved.step + 1, 10):
            loss = (config["x"] - 0.3) ** 2 + 1 / step
            hpo.report(loss=loss, cost_s=float(step), step=step, save=lambda folder: None)

    promoting = {"name": "asha", "promote": True, "max_steps": 9}
    settings = {"num_workers": 2, "num_trials": 20, "scheduler": promoting, "seed": 3}
    found = [
        [trial.config for trial in hpo.simulate(train, {"x": hpo.uniform(0, 1)}, sampler=sampler, **settings)]
        for sampler in (GP(), with_estimates(GP()))
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "sampler", ["gp", "rf", "auto", {"name": "portfolio", "arms": ARMS}, {"name": "portfolio", "strategy": "BO-HEDGE"}]
)
def test_a_search_with_estimates_is_the_search_without(task, sampler):
    plan, found = estimated(task, sampler)
    without = search(task, plan, 0)
    assert found.outcomes[0].steps.drop(columns=SECONDS).equals(without.drop(columns=SECONDS))
    assert list(found.estimates().columns) == ["repeat", *ESTIMATES]


def test_every_step_of_a_model_has_its_shortlist_in_order_and_one_that_was_chosen(task, tmp_path):
    _, found = estimated(task, {"name": "portfolio", "arms": ARMS, "n_initial": 2}, tmp_path)
    frame = found.estimates()
    by_arm = dict(list(frame.groupby("arm")))
    assert set(by_arm) == {"gp-log_ei", "rf-log_ei", "tpe"}, "who draws at random has nothing to estimate"
    for _, rows in frame.groupby("number"):
        assert rows["chosen"].sum() == 1 and rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert len(rows) <= 65 and (np.diff(rows["acquisition"].dropna()) <= 0).all()
    for arm in ("gp-log_ei", "rf-log_ei"):
        assert np.isfinite(by_arm[arm][["mean", "variance"]]).all(axis=None) and (by_arm[arm]["variance"] >= 0).all()
    assert by_arm["tpe"][["mean", "variance"]].isna().all(axis=None)
    assert Experiment.load(found.folder).estimates().equals(frame)


@pytest.mark.parametrize("sampler", [{"name": "gp", "marginalize": "map"}, {"name": "rf", "random_share": 0.0}])
def test_the_acquisition_is_that_of_the_mean_and_the_variance(task, sampler):
    """The upper confidence bound is the deviation less the mean."""
    _, found = estimated(task, {**sampler, "acquisition": "ucb", "n_initial": 5})
    frame = found.estimates()
    np.testing.assert_allclose(frame["acquisition"], np.sqrt(frame["variance"]) - frame["mean"], atol=1e-9)


def test_samplers_without_a_model_have_none_and_who_did_not_ask_has_none(task):
    _, found = estimated(task, "random", num_trials=3)
    assert found.estimates().empty
    plan = Plan(sampler="random", until=Until(num_trials=3))
    with pytest.raises(SpecError, match="kept no estimates"):
        run_experiment(task, 1, plan, runtime="local", progress=False).estimates()


def test_estimates_are_not_added_to_repeats_that_have_ended_without(task, tmp_path):
    plan = Plan(sampler="rf", until=Until(num_trials=4))
    settings = {"runtime": "local", "progress": False, "folder": tmp_path, "name": "mine"}
    run_experiment(task, 2, plan, **settings)
    with pytest.raises(SpecMismatch, match="'mine' has kept no estimates of 2 repeats .*; run it under another name"):
        run_experiment(task, 3, plan, estimates=True, **settings)
    assert len(run_experiment(task, 3, plan, **settings)) == 3
    told = {**settings, "name": "told"}
    first = run_experiment(task, 1, plan, estimates=True, **told)
    assert run_experiment(task, 1, plan, estimates=True, **told).estimates().equals(first.estimates())
