import numpy as np
import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.rng import derive
from raytune_hpo.samplers import CMAES
from raytune_hpo.space import Choice, Float, Int, Space


def cube(d):
    return Space({f"x{i}": Float(-5, 5) for i in range(d)})


def play(loop, f, num, *, workers=1, until=-np.inf):
    """Run trials with a loss of f(config); says after how many the loss was below ``until``."""
    lowest = np.inf
    for used in range(num):
        loop.ask()
        if len(loop.pending) >= workers:
            trial = loop.pending[0]
            loss = f(trial.config)
            loop.tell(trial, {"loss": loss})
            lowest = min(lowest, loss)
            if lowest < until:
                return used
    return num


def ellipsoid(config):
    x = np.array(list(config.values())) - 1.3
    return float((10 ** (3 * np.arange(len(x)) / (len(x) - 1)) * x**2).sum())


def rosenbrock(config):
    x = np.array(list(config.values()))
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


@pytest.mark.parametrize(("f", "most"), [(ellipsoid, 800), (rosenbrock, 1000)])
def test_it_solves_what_evolution_strategies_solve(f, most):
    assert play(testing.Loop.of(CMAES, cube(3)), f, most, until=1e-8) < most


def test_workers_that_do_not_wait_cost_few_trials():
    alone, together = (play(testing.Loop.of(CMAES, cube(4)), ellipsoid, 1500, workers=w, until=1e-2) for w in (1, 8))
    assert together < 2 * alone


def test_generations_grow_where_most_trials_are_late():
    def generations(workers):
        loop = testing.Loop.of(CMAES, cube(2))
        play(loop, ellipsoid, 200, workers=workers)
        return loop.finished[-1].meta["generation"]

    assert generations(1) >= 25
    assert 5 <= generations(40) <= 10


def test_an_optimum_at_the_bounds_is_found():
    loop = testing.Loop.of(CMAES, cube(4))
    play(loop, lambda config: 20 - sum(config.values()), 300)
    assert min(trial.losses[0] for trial in loop.finished) < 0.05


def test_grids_and_categories_are_found_and_never_given_up():
    space = Space({"n": Int(1, 20), "act": Choice(["a", "b", "c", "d"]), "x": Float(0, 1), "deep": Int(1, 4)})

    def loss(config):
        off = abs(config["n"] - 13) / 20 + (config["act"] != "c") + abs(config["deep"] - 4) / 4
        return off + (config["x"] - 0.4) ** 2

    for seed in range(3):
        loop = testing.Loop.of(CMAES, space, seed=seed)
        play(loop, loss, 300)
        assert min(trial.losses[0] for trial in loop.finished) < 1e-2
        late = [trial.config for trial in loop.finished[-100:]]
        assert len({config["act"] for config in late}) > 1
        assert len({config["n"] for config in late}) > 1


def test_a_finite_space_is_tried_out_without_repeating_anything():
    space = Space({"a": Int(0, 4), "b": Choice(["x", "y", "z"])})
    loop = testing.Loop.of(CMAES, space).run(15, workers=4)
    assert len({tuple(trial.config.values()) for trial in loop.finished}) == 15
    assert loop.ask() is not None


def test_a_users_point_draws_the_search_to_it():
    loop = testing.Loop.of(CMAES, cube(3))
    far = lambda config: float(np.mean((np.array(list(config.values())) - 4) ** 2))  # noqa: E731
    play(loop, lambda config: 100 + abs(config["x0"] + 4), 60)  # all it has seen lies at the other end
    before = np.mean([far(loop.ask().config) for _ in range(8)])
    for _ in range(6):
        trial = loop.enqueue({"x0": 4.0, "x1": 4.0, "x2": 4.0})
        loop.tell(trial, {"loss": 0.0})
        play(loop, lambda config: 100 + far(config), 10)
    after = np.mean([far(loop.ask().config) for _ in range(8)])
    assert after < before / 2


def test_a_flat_function_makes_it_begin_elsewhere_with_more_trials_a_generation():
    loop = testing.Loop.of(lambda: CMAES(population=4), cube(2))
    seen = []
    for _ in range(400):
        seen.append(loop.peek().meta.get("generation", -1))
        play(loop, lambda config: 1.0, 1)
    lengths = np.bincount(np.array(seen)[10:])
    assert set(lengths[:5]) == {4}, "of the first run"
    assert lengths[-2] >= 8, "of a later one"


def test_failures_are_kept_away_from():
    loop = testing.Loop.of(CMAES, cube(2))
    late = []
    for number in range(150):
        trial = loop.ask()
        if trial.config["x0"] > 1:
            loop.pending.clear()
            loop.learn(testing.finish(trial, status=Status.FAILED))
            late.append(number > 75)
        else:
            loop.tell(trial, {"loss": -trial.config["x0"] + 0.1 * abs(trial.config["x1"])})
    good = [trial.config["x0"] for trial in loop.finished if trial.status is Status.COMPLETED]
    assert max(good) > 0.9
    assert np.mean(late) < 0.7


def test_nothing_but_failures_is_answered_by_the_even_design():
    loop = testing.Loop.of(CMAES, cube(2))
    for trial in testing.history(cube(2), 30):
        loop.learn(testing.finish(testing.start(trial.number, trial.config), status=Status.FAILED))
    assert loop.peek().meta == {}


def test_parameters_that_are_not_active_do_not_stop_the_others():
    svm = {"kind": "svm", "C": Float(1e-3, 1e3, log=True), "gamma": Float(1e-3, 1e3, log=True)}
    tree = {"kind": "tree", "deep": Int(1, 9)}
    space = Space({"model": Choice([tree, svm])})

    def loss(config):
        model = config["model"]
        return 1.0 if model["kind"] == "tree" else abs(np.log10(model["C"]) - 1) + abs(np.log10(model["gamma"]) + 2)

    loop = testing.Loop.of(CMAES, space)
    play(loop, loss, 150)
    assert min(trial.losses[0] for trial in loop.finished) < 0.05


def test_a_replay_of_workers_and_restarts_is_the_live_run():
    loop = testing.Loop.of(lambda: CMAES(population=4), Space({"x": Float(0, 1), "c": Choice(["a", "b"])}))
    play(loop, lambda config: round(config["x"], 1), 400, workers=6)
    again = testing.Loop(loop.sampler.bind(loop.space, loop.goals, loop.seed), loop.space)
    for trial in loop.finished:
        again.learn(trial)
    again.pending = loop.pending
    assert again.peek() == loop.peek()
    assert loop.sampler.ask(9999, (), derive(0, "any")) == again.sampler.ask(9999, (), derive(0, "any"))


@pytest.mark.parametrize(
    "options",
    [{"population": 3}, {"population": 8.0}, {"sigma": 0}, {"sigma": 1.5}, {"n_initial": 0}, {"growth": 0.5}],
)
def test_options_out_of_range_are_refused(options):
    name, value = next(iter(options.items()))
    with pytest.raises(SpecError, match=f"cmaes needs .*{name}={value}"):
        CMAES(**options)
