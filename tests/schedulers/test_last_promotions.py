"""When a study ends: the best trial comes to a result, whatever has completed before."""

from __future__ import annotations

import pytest

import raytune_hpo as hpo
from raytune_hpo.facts import Status

SPACE = {"floor": hpo.uniform(0, 9), "ends": hpo.choice([False, True])}
PAUSING = [
    {"name": "asha", "promote": True, "max_steps": 27},
    {"name": "asha", "promote": True, "delay": True, "max_steps": 27},
    {"name": "hyperband", "promote": True, "max_steps": 27},
    {"name": "hyperband", "promote": True, "delay": True, "max_steps": 27},
    {"name": "pasha", "max_steps": 27},
    {"name": "successive_halving", "max_steps": 27},
]
NAMES = [" ".join(str(value) for value in scheduler.values()) for scheduler in PAUSING]


def curve(config):
    """It falls towards the floor, step by step; one that ends is there before its first report."""
    if config["ends"]:
        return {"loss": config["floor"], "cost_s": 1.0}
    saved = hpo.checkpoint()
    for step in range(1 if saved is None else saved.step + 1, 28):
        loss = config["floor"] + 1 / step
        hpo.report(loss=loss, step=step, cost_s=float(step), save=lambda folder: (folder / "model").write_text(""))
    return {"loss": loss, "cost_s": 27.0}


def searched(scheduler, floors, ending=(), **settings):
    points = [{"floor": floor, "ends": number in ending} for number, floor in enumerate(floors)]
    given = {"sampler": "random", "seed": 1, "num_trials": len(points), **settings}
    return hpo.simulate(curve, SPACE, scheduler=scheduler, points_to_evaluate=points, **given)


@pytest.mark.parametrize("scheduler", PAUSING, ids=NAMES)
def test_after_an_extension_the_best_of_all_trials_is_the_result(scheduler, tmp_path):
    floors = [0.9, 0.8, 0.7, 0.6, 0.95, 0.85, 0.75, 0.65, 0.99, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01, 0.45, 0.35]
    study = {"storage": tmp_path / "studies.db", "name": "extended"}
    first = searched(scheduler, floors, num_trials=9, **study)
    assert min(trial.metrics["loss"] for trial in first if trial.status is Status.PAUSED) > first.best_value
    extended = searched(scheduler, floors, **study)
    assert extended.best_value < first.best_value / 2
    assert min(trial.metrics["loss"] for trial in extended if trial.status is Status.PAUSED) > extended.best_value
    assert sum(trial.status is Status.COMPLETED for trial in extended) < 12


@pytest.mark.parametrize("scheduler", PAUSING, ids=NAMES)
def test_a_bad_trial_that_ended_early_is_no_reason_to_finish_no_other(scheduler):
    floors = [0.9, 0.8, 0.7, 9.0, 0.6, 0.85, 0.75, 0.65, 0.5, 0.4, 0.3, 0.2]
    results = searched(scheduler, floors, ending=[3])
    assert results[3].status is Status.COMPLETED and results[3].last_step is None
    assert results.best_trial.config["floor"] <= 0.3  # hyperband compares within its brackets


@pytest.mark.parametrize("scheduler", PAUSING, ids=NAMES)
def test_a_good_trial_that_ended_early_is_a_result(scheduler):
    results = searched(scheduler, [0.9, 0.0], ending=[1])
    assert results.best_trial.number == 1
    assert [trial.number for trial in results if trial.status is Status.COMPLETED] == [1]


def test_where_the_best_fail_the_next_one_is_finished():
    def fails(config):
        saved = hpo.checkpoint()
        for step in range(1 if saved is None else saved.step + 1, 28):
            if step > 5 and config["floor"] < 0.5:
                raise ArithmeticError("too good")
            hpo.report(loss=config["floor"], step=step, cost_s=float(step), save=lambda folder: None)
        return {"loss": config["floor"], "cost_s": 27.0}

    points = [{"floor": floor} for floor in (0.9, 0.8, 0.1, 0.2, 0.7, 0.6)]
    settings = {"num_trials": len(points), "points_to_evaluate": points, "sampler": "random", "seed": 1}
    for scheduler in (PAUSING[0], PAUSING[-1]):
        results = hpo.simulate(fails, {"floor": hpo.uniform(0, 1)}, scheduler=scheduler, **settings)
        assert results.best_value == 0.6


def test_pasha_without_num_trials_is_said_to_finish_no_trial():
    with pytest.warns(
        UserWarning, match="no trial may have completed; give num_trials as well, or read results.best_so_f"
    ):
        results = searched({"name": "pasha", "max_steps": 27}, [0.9, 0.8, 0.7], num_trials=None, time_budget_s=9.0)
    assert results.num_by_status["completed"] == 0 and results.best_so_far is not None


@pytest.mark.parametrize("ending", [{"num_trials": 9}, {"sampler": {"name": "grid", "points": 2}}])
def test_pasha_with_an_end_of_its_own_is_taken_as_it_is(ending, recwarn):
    given = {"num_trials": None, "time_budget_s": 99.0, "progress": False, "runtime": "local", **ending}
    hpo.Tuner(curve, SPACE, scheduler={"name": "pasha", "max_steps": 27}, **given)
    assert not recwarn.list


def fattens(config):
    """It keeps the bound up to step 20; one with a loss below 0.5 breaks it after that."""
    saved = hpo.checkpoint()
    for step in range(1 if saved is None else saved.step + 1, 28):
        mb = 11.0 if config["fattens"] and step > 20 else 1.0
        hpo.report(loss=config["floor"], mb=mb, step=step, cost_s=float(step), save=lambda folder: None)
    return {"loss": config["floor"], "mb": mb, "cost_s": 27.0}


@pytest.mark.parametrize("scheduler", [*PAUSING, {"name": "race", "max_steps": 27}], ids=[*NAMES, "race"])
@pytest.mark.parametrize("all_fatten", [False, True])
def test_one_that_comes_to_break_a_bound_does_not_keep_the_best_feasible_one_from_its_end(scheduler, all_fatten):
    floors = (0.9, 0.8, 0.1, 0.2, 0.7, 0.6, 0.95, 0.99)
    points = [{"floor": floor, "fattens": all_fatten or floor < 0.5} for floor in floors]
    results = hpo.simulate(
        fattens, {"floor": hpo.uniform(0, 1), "fattens": hpo.choice([False, True])}, scheduler=scheduler,
        outcome_constraints=["mb <= 10"], num_trials=len(points), points_to_evaluate=points, sampler="random", seed=1,
    )  # fmt: skip
    if all_fatten:
        assert not any(trial.is_feasible for trial in results if trial.status is Status.COMPLETED)
    else:
        assert results.best_trial.config["floor"] == 0.6
