"""The scheduler that chooses: by how long trials are, by what their first values are worth, and by whether they save."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.core.audit import audit
from raytune_hpo.facts import Started
from raytune_hpo.schedulers.auto import _agreement
from tests.core.test_random_events import plain
from tests.schedulers.played import Played

STEPS = 27
SPACE = {"x": hpo.uniform(0, 1)}


def telling(config, step):
    """The order at the first step is that at the last."""
    return config["x"] + 1.0 / step


def misleading(config, step):
    """What is good in the end looks bad up to two thirds of the way."""
    return config["x"] if step > 2 * STEPS / 3 else -config["x"]


def turning(config, step):
    """The first steps mislead, a third of the way says enough."""
    return config["x"] if step >= STEPS / 3 else -config["x"]


def reporting(curve, num_steps=lambda config: STEPS):
    def objective(config):
        for step in range(1, num_steps(config) + 1):
            hpo.report(loss=curve(config, step), step=step, cost_s=float(step))
        return curve(config, num_steps(config))

    return objective


def simulated(objective, **settings):
    settings = {"num_trials": 100, "num_workers": 4, "sampler": "random", "scheduler": "auto", "seed": 2, **settings}
    return hpo.simulate(objective, SPACE, **settings)


def last_steps_of_stopped(results):
    return {trial.last_step for trial in results if trial.status == "pruned"}


def test_where_the_first_values_tell_trials_stop_at_a_twenty_seventh_of_the_way():
    results = simulated(reporting(telling))
    assert last_steps_of_stopped(results) == {1, 3, 9}
    assert results.num_by_status["completed"] < 30
    assert results.best_value < 0.1


def test_where_early_values_mislead_every_trial_runs_to_its_end():
    assert simulated(reporting(misleading)).num_by_status["completed"] == 100


def test_where_they_tell_from_a_third_on_trials_stop_there():
    assert last_steps_of_stopped(simulated(reporting(turning))) == {9}


def test_the_first_trials_run_to_their_end():
    results = simulated(reporting(telling), num_workers=8)
    begun_early = [trial for trial in results if trial.created_at < sorted(t.finished_at for t in results)[3]]
    assert len(begun_early) >= 8
    assert all(trial.status == "completed" for trial in begun_early)


def test_trials_that_save_are_paused_and_promoted():
    played = Played("auto", curve=telling, workers=4, num_trials=100, seed=2, space=SPACE)
    assert any(trial.status == "paused" for trial in played.trials)
    assert any(trial.attempt > 1 and trial.status == "completed" for trial in played.trials)
    assert not any(trial.status == "pruned" for trial in played.trials)


def test_a_replay_is_the_live_state_and_the_audit_finds_the_same_verdicts():
    played = Played("auto", curve=telling, workers=8, num_trials=100, seed=3, space=SPACE)
    num_continued = 0
    for fold, fact, _ in played.replayed():
        if isinstance(fact, Started) and fact.attempt > 1:
            chosen = fold.promotion(final=False)
            assert chosen is not None and (chosen.number, chosen.until) == (fact.number, fact.until)
            num_continued += 1
    assert num_continued > 5
    assert plain(played.fold.scheduler) == plain(played.scheduler)
    assert audit(played.facts).is_clean


def test_a_longer_trial_moves_the_rungs():
    """Only the first eight trials are short."""
    lengths = iter([STEPS] * 8 + [4 * STEPS] * 1000)

    def objective(config):
        length = next(lengths)
        for step in range(1, length + 1):
            hpo.report(loss=telling(config, step), step=step, cost_s=float(step))

    assert {4, 12} <= last_steps_of_stopped(simulated(objective, num_trials=200))


def test_an_objective_without_reports_is_left_alone():
    def objective(config):
        return {"loss": config["x"], "cost_s": 1.0}

    with_auto, without = (simulated(objective, scheduler=scheduler) for scheduler in ("auto", None))
    assert [t.metrics for t in with_auto] == [t.metrics for t in without]
    assert [t.finished_at for t in with_auto] == [t.finished_at for t in without]


def test_one_that_reports_only_its_result_is_left_alone():
    def objective(config):
        hpo.report(loss=config["x"], cost_s=1.0)

    assert simulated(objective).num_by_status["completed"] == 100


def test_trials_over_several_instances_are_raced():
    study = hpo.Study(
        {"x": hpo.uniform(0, 1)}, instances=20, scheduler="auto", sampler="random", seed=1, storage="memory"
    )
    verdicts = set()
    for number in range(10):
        trial = study.ask()
        for step in range(1, 21):
            verdict = study.report(trial, step, {"loss": number + 0.1 * (step % 3)})
            verdicts.add((verdict, step))
            if verdict == "pause":
                break
        else:
            study.tell(trial, number)
    assert {step for verdict, step in verdicts if verdict == "pause"} == {5}


def test_with_a_last_step_trials_are_completed_there():
    results = simulated(reporting(telling), scheduler={"name": "auto", "max_steps": 9})
    assert max(trial.last_step for trial in results) == 9
    assert last_steps_of_stopped(results) == {1, 3}


@pytest.mark.parametrize("num_workers", [1, 4, 32])
def test_trials_that_are_not_judged_take_no_more_than_a_third_of_the_steps(num_workers):
    """Each trial is worse than all before it: only the first two, and those that nobody judges, run to their ends."""
    losses = itertools.count()

    def objective(config):
        loss = next(losses)
        for step in range(1, STEPS + 1):
            hpo.report(loss=loss, step=step, cost_s=float(step))

    results = simulated(
        objective, num_trials=400, num_workers=num_workers, scheduler={"name": "auto", "max_steps": STEPS}
    )
    unjudged = [trial for trial in results[2:] if trial.status == "completed"]
    assert len(unjudged) >= 4
    for index, trial in enumerate(unjudged):
        judged_steps = sum(t.last_step for t in results[: trial.number] if t not in unjudged)
        assert judged_steps >= 2 * STEPS * (index + 1)


@pytest.mark.parametrize(("early", "share"), [([1, 2, 3], 1.0), ([3, 2, 1], 0.0), ([1, 1, 1], 0.5), ([2, 1, 3], 2 / 3)])
def test_agreement_is_the_share_of_pairs_in_the_same_order(early, share):
    assert _agreement(np.array(early)[:, None], np.array([[1], [2], [3]])) == pytest.approx(share)


def test_results_that_are_all_the_same_cannot_mislead():
    assert _agreement(np.array([[1.0], [2.0]]), np.ones((2, 1))) == 1.0
