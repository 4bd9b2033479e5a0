"""What samplers with a model learn from trials that are stopped or paused before their end."""

from __future__ import annotations

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.core.asking import ask
from raytune_hpo.facts import Paused, Status
from raytune_hpo.rng import derive
from raytune_hpo.samplers import GP, RF, TPE, Auto
from raytune_hpo.samplers.history import History
from raytune_hpo.space import Float, Space
from raytune_hpo.testing.trials import GOALS, SEED, Loop, finish, report, start
from raytune_hpo.trial import evolve

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1)})
MODELS = [GP, TPE, RF, Auto]


def pause(trial):
    return evolve(trial, Paused(number=trial.number, attempt=1, step=trial.last_step, at=0.0), GOALS)


def misleading(number, config, *, to_the_end):
    """A trial whose first loss is best at x = 1, and its last at x = 0.2."""
    trial = report(start(number, config), 1, 1 - config["x"])
    if not to_the_end:
        return pause(trial)
    last = (config["x"] - 0.2) ** 2
    return finish(report(trial, 9, last), {"loss": last})


def study(make, num_paused, num_completed, seed=0):
    """A sampler that has heard of paused trials everywhere, and of some that ended."""
    sampler = make().bind(SPACE, GOALS, SEED)
    configs = SPACE.sample(num_paused + num_completed, derive(seed, "some"))
    for number, config in enumerate(configs):
        trial = misleading(number, config, to_the_end=number < num_completed)
        (sampler.tell if trial.status is Status.COMPLETED else sampler.observe)(trial)
    return sampler, len(configs)


@pytest.mark.parametrize("make", MODELS)
def test_early_losses_that_mislead_are_not_learned_as_final_ones(make):
    suggested = []
    for seed in range(5):
        sampler, number = study(make, num_paused=30, num_completed=15, seed=seed)
        suggested.append(ask(sampler, number, (), seed).config["x"])
    assert np.median(suggested) < 0.45, f"early losses lead to x = 1, the last ones to 0.2; suggested were {suggested}"


@pytest.mark.parametrize("make", MODELS)
def test_paused_trials_teach_where_nothing_else_is_known(make):
    suggested = []
    for seed in range(5):
        sampler, number = study(make, num_paused=25, num_completed=0, seed=seed)
        suggested.append(ask(sampler, number, (), seed).config["x"])
    assert np.median(suggested) > 0.75, f"the best first losses are at x = 1; suggested were {suggested}"


@pytest.mark.parametrize("make", MODELS)
def test_a_trial_that_goes_on_replaces_what_it_was(make):
    """What a sampler says depends on the newest of each trial, not on how often it paused before."""
    often, once = (make().bind(SPACE, GOALS, SEED) for _ in range(2))
    for number, config in enumerate(SPACE.sample(20, derive(0, "some"))):
        first = report(start(number, config), 1, config["x"])
        second = report(first, 3, config["x"] / 2)
        often.observe(pause(first))
        often.observe(pause(second))
        once.observe(pause(second))
    assert ask(often, 20, (), SEED) == ask(once, 20, (), SEED)


@pytest.mark.parametrize("make", MODELS)
def test_asked_twice_or_after_a_replay_it_says_the_same(make):
    sampler, number = study(make, num_paused=20, num_completed=6)
    running = [report(start(number, {"x": 0.3, "y": 0.3}), 1, 0.1), start(number + 1, {"x": 0.4, "y": 0.3})]
    first = ask(sampler, number + 2, running, SEED)
    assert ask(sampler, number + 2, running, SEED) == first
    assert ask(study(make, num_paused=20, num_completed=6)[0], number + 2, running, SEED) == first


@pytest.mark.parametrize("make", MODELS)
def test_reports_of_running_trials_count_once_others_were_stopped(make):
    """While all trials run to their ends they do not, as ever."""

    def says(history, loss):
        sampler = make().bind(SPACE, GOALS, SEED)
        for trial in history:
            sampler.tell(trial)
        others = SPACE.sample(6, derive(1, "others"))
        running = [report(start(30 + i, config), 1, loss) for i, config in enumerate(others)]
        return [ask(sampler, 40, running, SEED, turn=turn) for turn in range(3)]  # one may be a draw

    ended = testing.samplers.history(SPACE, 16)
    stopped = [finish(report(start(t.number, t.config), 1, t.losses[0]), status=Status.PRUNED) for t in ended]
    assert says(ended, 0.0) == says(ended, 9.0)
    assert says(stopped, 0.0) != says(stopped, 9.0)


@pytest.mark.parametrize(("num_paused", "refits"), [(25, False), (5, True)])
def test_length_scales_do_not_depend_on_running_trials_once_enough_have_paused(num_paused, refits, monkeypatch):
    """Otherwise, every report of one of many workers would mean new fits."""
    sampler, number = study(GP, num_paused=num_paused, num_completed=0)
    configs = SPACE.sample(12, derive(1, "some"))
    running = [report(start(number + i, config), 1, 1 - config["x"]) for i, config in enumerate(configs)]
    ask(sampler, number + len(running), running, SEED)
    num_fits, fitted = 0, GP._hyperparameters

    def counted(*args):
        nonlocal num_fits
        num_fits += 1
        return fitted(*args)

    monkeypatch.setattr(GP, "_hyperparameters", counted)
    for i, config in enumerate(SPACE.sample(12, derive(2, "some"))):
        running[i] = report(start(number + len(running) + i, config), 1, 1 - config["x"])
        ask(sampler, number + len(running) + i, running, SEED)
    assert num_fits == (12 if refits else 0)


def test_a_history_is_by_trial_and_knows_the_steps():
    history = History(SPACE, 1, keeps_curves=True)
    config = {"x": 0.5, "y": 0.5}
    history.tell(finish(report(start(0, config), 1, 2.0), {"loss": 1.0}))
    assert history.read().curves is None, "all losses are final"
    paused = report(start(1, config), 1, 5.0)
    history.tell(pause(paused))
    before = history.read()
    history.tell(finish(report(paused, 3, 4.0), status=Status.PRUNED))
    after = history.read()
    assert len(history) == len(after) == 2
    np.testing.assert_array_equal(before.Y[:, 0], [1.0, 5.0])
    np.testing.assert_array_equal(after.Y[:, 0], [1.0, 4.0])
    np.testing.assert_array_equal(after.curves.at(3)[:, 0], [np.nan, 4.0])
    with_running = history.read([report(start(7, config), 1, 9.0), report(start(1, config), 1, 6.0)])
    np.testing.assert_array_equal(with_running.Y[:, 0], [1.0, 6.0, 9.0])
    np.testing.assert_array_equal(history.read().Y[:, 0], [1.0, 4.0])


def test_running_trials_come_last_and_are_counted():
    history = History(SPACE, 1, keeps_curves=True)
    configs = SPACE.sample(4, derive(0, "some"))
    paused = [pause(report(start(number, config), 1, 0.1)) for number, config in enumerate(configs)]
    for trial in paused[:2]:
        history.tell(trial)
    goes_on = report(report(start(1, configs[1]), 1, 0.1), 3, 0.05)
    observed = history.read([goes_on, report(start(2, configs[2]), 1, 0.1), report(start(3, configs[3]), 1, 0.2)])
    assert (len(observed), observed.num_running) == (4, 2)  # the one that goes on has its row already
    assert [observed.first(n).num_running for n in (1, 2, 3, 4)] == [0, 0, 1, 2]
    assert history.read().num_running == 0


def test_a_long_curve_is_thinned_to_its_first_and_ever_fewer():
    history = History(SPACE, 1, keeps_curves=True)
    trial = start(0, {"x": 0.5, "y": 0.5})
    for step in range(1, 2001):
        trial = report(trial, step, 1.0 / step)
    history.tell(pause(trial))
    curves = history.read().curves
    assert len(curves.steps) <= 200
    for step in (1, 3, 9, 27, 243, 2000):
        np.testing.assert_allclose(curves.at(step)[0, 0], 1 / step, rtol=0.05)


@pytest.mark.parametrize("promote", [False, True])
@pytest.mark.parametrize("sampler", ["gp", "tpe", "rf", pytest.param("auto", marks=pytest.mark.slow)])
def test_a_study_with_rungs_can_be_played_again(sampler, promote):
    asha = {"name": "asha", "max_steps": 9, "promote": promote}

    def play():
        study, seen = hpo.Study(SPACE, metric="loss", sampler=sampler, scheduler=asha, storage="memory", seed=0), []
        for _ in range(40):
            trial = study.ask()
            seen.append((trial.number, trial.config["x"]))
            for step in range((trial.last_step or 0) + 1, 10):
                loss = (trial.config["x"] - 0.2) ** 2 + 1 / step
                if study.report(trial.number, step, {"loss": loss}) != "continue":
                    break
            if not promote:
                study.tell(trial)
        return seen

    assert play() == play()


def test_the_loop_of_a_contract_without_reports_is_as_ever():
    """Losses of completed trials are what they were: nothing is warped, linked or lifted."""
    loop = Loop.of(GP, SPACE).run(12)
    observed, running = loop.sampler.compared(())
    assert observed.curves is None and not len(running)
    np.testing.assert_array_equal(observed.Y[:, 0], [trial.losses[0] for trial in loop.finished])
