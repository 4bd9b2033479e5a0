import numpy as np
import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.samplers import DE
from raytune_hpo.space import Choice, Float, Int, Space

PLANE = Space({"x": Float(-5, 5), "y": Float(-5, 5)})


def play(loop, f, num, *, workers=1):
    for _ in range(num):
        loop.ask()
        if len(loop.pending) >= workers:
            loop.tell(loop.pending[0], {"loss": f(loop.pending[0].config)})
    return min(trial.losses[0] for trial in loop.finished if trial.losses)


def valley(config):
    return (config["x"] - 1) ** 2 + 10 * (config["y"] - config["x"]) ** 2


@pytest.mark.parametrize("workers", [1, 8])
def test_it_finds_a_minimum_with_few_and_with_many_workers(workers):
    assert np.median([play(testing.Loop.of(DE, PLANE, seed=s), valley, 400, workers=workers) for s in range(3)]) < 1e-4


def test_mixed_and_conditional_parameters_are_found():
    svm, tree = {"kind": "svm", "C": Float(1e-3, 1e3, log=True)}, {"kind": "tree", "deep": Int(1, 9)}
    space = Space({"model": Choice([tree, svm]), "act": Choice(["a", "b", "c"]), "x": Float(0, 1)})

    def loss(config):
        model = config["model"]
        inner = 1.0 if model["kind"] == "tree" else abs(np.log10(model["C"]) - 1)
        return inner + (config["act"] != "b") + (config["x"] - 0.2) ** 2

    assert np.median([play(testing.Loop.of(DE, space, seed=seed), loss, 300) for seed in range(3)]) < 0.02


def test_options_that_no_member_has_are_tried_too():
    """Ten members have ten of 200 options at most."""
    space = Space({"a": Choice(list(range(200))), "x": Float(0, 1)})
    loops = [testing.Loop.of(DE, space, seed=seed) for seed in range(3)]
    found = [play(loop, lambda config: abs(config["a"] - 99) / 100 + config["x"] ** 2, 150) for loop in loops]
    assert np.median(found) < 0.05
    assert min(len({trial.config["a"] for trial in loop.finished}) for loop in loops) > 30


def test_a_child_replaces_its_target_only_if_it_is_no_worse():
    loop = testing.Loop.of(lambda: DE(population=4), PLANE).run(4)
    members = [trial.losses[0] for trial in loop.finished]
    for _ in range(40):
        trial = loop.ask()
        loop.tell(trial)
        target = trial.meta["target"]
        members[target] = min(members[target], loop.finished[-1].losses[0])
    assert sorted(loop.sampler._members.losses) == pytest.approx(sorted(members))


def test_what_worked_sets_the_rates_of_what_comes():
    def rates(adaptation):
        loop = testing.Loop.of(lambda: DE(adaptation=adaptation), PLANE)
        play(loop, valley, 120)
        return loop.sampler._members.mu_F, loop.sampler._members.mu_CR

    assert rates(0) == (DE().scale, DE().crossover)
    assert rates(0.2) != rates(0)


def test_a_users_point_takes_the_place_of_the_worst_member():
    loop = testing.Loop.of(DE, PLANE)
    play(loop, lambda config: 100 + valley(config), 20)
    loop.tell(loop.enqueue({"x": 1.0, "y": 1.0}), {"loss": 0.0})
    assert play(loop, valley, 100) < 0.1
    assert loop.sampler._members.losses.min() == 0.0


def test_failures_never_enter_the_population():
    loop = testing.Loop.of(DE, PLANE)
    for _ in range(100):
        trial = loop.ask()
        if trial.config["x"] > 0:
            loop.pending.clear()
            loop.learn(testing.finish(trial, status=Status.FAILED))
        else:
            loop.tell(trial, {"loss": -trial.config["x"]})
    X, losses = loop.sampler._members.X, loop.sampler._members.losses
    assert (X[np.isfinite(losses), 0] <= 0.5).all()
    assert np.isfinite(losses).sum() >= 8


def test_a_replay_of_many_workers_is_the_live_run():
    loop = testing.Loop.of(DE, Space({"x": Float(0, 1), "c": Choice(["a", "b"])}))
    play(loop, lambda config: abs(config["x"] - 0.7) + (config["c"] == "a"), 150, workers=6)
    again = testing.Loop(loop.sampler.bind(loop.space, loop.goals, loop.seed), loop.space)
    for trial in loop.finished:
        again.learn(trial)
    again.pending = loop.pending
    assert again.peek() == loop.peek()


def test_a_finite_space_is_tried_out_without_repeating_anything():
    loop = testing.Loop.of(DE, Space({"a": Int(0, 4), "b": Choice(["x", "y", "z"])})).run(15, workers=4)
    assert len({tuple(trial.config.values()) for trial in loop.finished}) == 15


@pytest.mark.parametrize(
    "options",
    [{"population": 3}, {"population": 8.0}, {"best": 0}, {"scale": 1.5}, {"crossover": -0.1}, {"adaptation": 2}],
)
def test_options_out_of_range_are_refused(options):
    name, value = next(iter(options.items()))
    with pytest.raises(SpecError, match=f"de needs .*{name}.*{value}"):
        DE(**options)
