"""The forest sampler: what it learns, in spaces of the kinds it is for."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.rng import derive
from raytune_hpo.samplers import RF
from raytune_hpo.samplers.rf import _best_of_each
from raytune_hpo.space import Choice, Float, Int, Space
from raytune_hpo.testing.trials import finish, start

SQUARE = Space({"x": Float(0, 1), "y": Float(0, 1)})
BRANCHES = Space(
    {
        "model": Choice(
            [
                {"kind": "svm", "C": Float(1e-3, 1e3, log=True), "gamma": Float(1e-4, 1e1, log=True)},
                {"kind": "tree", "depth": Int(1, 20), "leaf": Float(0, 1)},
                {"kind": "none"},
            ]
        )
    }
)
OPS = Space({f"op{i}": Choice(["none", "skip", "1x1", "3x3", "pool"]) for i in range(6)})


def branches_loss(config):
    """The svm is best, at C = 10 and gamma = 0.01; the tree is a little worse however good its leaf."""
    model = config["model"]
    if model["kind"] == "svm":
        return (np.log10(model["C"]) - 1) ** 2 / 9 + (np.log10(model["gamma"]) + 2) ** 2 / 9
    return 0.3 + (model["leaf"] - 0.5) ** 2 if model["kind"] == "tree" else 0.6


def ops_loss(config):
    """Each of six choices matters, and two of them together."""
    ops = list(config.values())
    good = sum(op == wanted for op, wanted in zip(ops, ["3x3", "skip", "1x1", "3x3", "pool", "3x3"], strict=True))
    return 1 - good / 8 - 0.25 * (ops[0] == ops[3] == "3x3")


def play(sampler, space, loss, num, *, seed=testing.trials.SEED):
    """A loop after so many trials; a loss of None is a failure."""
    loop = testing.Loop.of(lambda: sampler, space, seed=seed)
    for _ in range(num):
        trial = loop.ask()
        value = loss(trial.config)
        loop.pending.clear()
        loop.learn(finish(trial, status=Status.FAILED) if value is None else finish(trial, {"loss": value}))
    return loop


def best(loop, loss):
    return min(loss(trial.config) for trial in loop.finished)


def test_it_finds_the_good_corner_of_the_good_branch():
    found = [best(play(RF(n_trees=30), BRANCHES, branches_loss, 45, seed=seed), branches_loss) for seed in range(3)]
    random = [min(map(branches_loss, BRANCHES.sample(45, derive(seed, "random")))) for seed in range(50)]
    assert np.mean(found) < 0.4 * np.mean(random)


def test_it_finds_the_one_of_15625_combinations():
    found = [best(play(RF(n_trees=30), OPS, ops_loss, 50, seed=seed), ops_loss) for seed in range(2)]
    random = [min(map(ops_loss, OPS.sample(50, derive(seed, "random")))) for seed in range(20)]
    assert np.mean(found) <= 0.125 < np.mean(random) - 0.1


def test_it_keeps_away_from_where_trials_fail():
    """Two thirds of the square fail, and the best of what is left lies at their border."""

    def loss(config):
        return None if config["x"] > 1 / 3 else 1 - config["x"]

    loop = play(RF(random_share=0.0), SQUARE, loss, 40)
    late = [trial.config["x"] for trial in loop.finished[15:]]
    assert np.mean([x > 1 / 3 for x in late]) < 0.5
    assert max(x for x in late if x <= 1 / 3) > 0.3


@pytest.mark.parametrize("kind", ["log_ei", "ei", "pi", "ucb"])
def test_every_acquisition_learns(kind):
    loop = testing.Loop.of(lambda: RF(acquisition=kind, random_share=0.0), SQUARE).run(30)
    late = [testing.trials.bowl(SQUARE, trial.config) for trial in loop.finished[18:]]
    assert np.mean(late) < 0.05  # random ones have 0.12


@pytest.mark.parametrize("transform", ["none", "log_error", "hybrid_log_error"])
def test_every_transform_learns(transform):
    loop = testing.Loop.of(lambda: RF(transform=transform, random_share=0.0), SQUARE).run(30)
    assert np.mean([testing.trials.bowl(SQUARE, trial.config) for trial in loop.finished[18:]]) < 0.05


def test_the_default_heeds_ranks_alone():
    """Another loss of the same order gives the same suggestions."""
    one = testing.Loop.of(RF, SQUARE).run(20)
    other = play(RF(), SQUARE, lambda config: np.exp(20 * testing.trials.bowl(SQUARE, config)) * 1e9, 20)
    assert [trial.config for trial in one.finished] == [trial.config for trial in other.finished]


def test_pending_trials_spread_the_next_ones():
    """Twelve at once lie further apart than twelve that do not know of each other."""
    loop = testing.Loop.of(lambda: RF(random_share=0.0), SQUARE).run(25)
    blind = [loop.sampler.ask(25 + i, (), derive(loop.seed, "ask", 25 + i)).config for i in range(12)]
    aware = [loop.ask().config for _ in range(12)]
    assert nearest(aware) > 3 * nearest(blind)


def nearest(configs):
    """How far the nearest other one is, on average."""
    points = np.array([list(config.values()) for config in configs])
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    return np.mean(np.min(gaps + np.eye(len(points)), axis=0))


def test_a_share_of_suggestions_is_drawn_whatever_the_forest_says():
    def far(share):
        loop = play(RF(random_share=share, n_trees=10), SQUARE, lambda config: testing.trials.bowl(SQUARE, config), 25)
        asked = [loop.sampler.ask(25, (), derive(0, "ask", i)).config for i in range(40)]
        return np.mean([testing.trials.bowl(SQUARE, config) > 0.1 for config in asked])

    assert far(0.0) < 0.05
    assert 0.1 < far(0.5) < 0.45  # four tenths of the square


def test_a_long_history_takes_no_larger_forest():
    bound = RF(max_points=32).bind(SQUARE, testing.trials.GOALS, 1)
    for i, config in enumerate(SQUARE.sample(2000, derive(1, "many"))):
        bound.tell(finish(start(i, config), {"loss": testing.trials.bowl(SQUARE, config)}))
    X, y, _ = bound._trained(bound._history.read())[0]
    assert len(X) == len(y) == 32
    assert testing.trials.bowl(SQUARE, bound.ask(2000, (), derive(1, "ask")).config) < 0.02


def test_the_best_of_each_group():
    chosen = _best_of_each(np.array([3, 0, 3, 0, 5]), np.array([1.0, 2.0, 4.0, 2.5, -np.inf]))
    assert sorted(chosen.tolist()) == [2, 3, 4]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"acquisition": "eii"}, r"rf has no acquisition 'eii'.*ei"),
        ({"transform": "log"}, r"rf has no transform 'log'.*log_error"),
        ({"n_initial": 0}, r"rf needs a whole number n_initial >= 1, got n_initial=0"),
        ({"n_trees": 1}, r"rf needs a whole number n_trees >= 2, got n_trees=1"),
        ({"max_points": 2.5}, r"rf needs a whole number max_points >= 16, got max_points=2.5"),
        ({"kappa": -1.0}, r"rf needs a finite kappa >= 0, got kappa=-1.0"),
        ({"random_share": 1.0}, "rf needs 0 <= random_share < 1, got random_share=1.0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        RF(**options)


def test_constraints_that_few_configurations_meet_are_not_asked_hundreds_of_thousands_of_times():
    calls = 0

    def is_large(config):
        nonlocal calls
        calls += 1
        return sum(config.values()) >= 3.4

    space = Space({name: Float(0, 1) for name in "wxyz"}, constraints=[is_large])
    loop = testing.Loop.of(lambda: RF(n_trees=10, random_share=0), space, seed=1)
    for _ in range(14):
        trial = loop.ask()
        loop.tell(trial, {"loss": sum((value - 0.9) ** 2 for value in trial.config.values())})
    calls = 0
    assert is_large(loop.ask().config)
    assert calls < 8_000


@pytest.mark.parametrize("most", [0.3, 0.02])
def test_a_constraint_is_asked_of_few_rows_and_kept(most):
    """Of those that a search would begin at or move to; not of all that it meets on its way."""
    num_calls = 0

    def is_close(config):
        nonlocal num_calls
        num_calls += 1
        return abs(config["x"] - config["y"]) < most

    cube = {"x": Float(0, 1), "y": Float(0, 1), "z": Float(0, 1)}
    loop = testing.Loop.of(lambda: RF(random_share=0.0), Space(cube, constraints=[is_close])).run(10)
    num_calls = 0  # the even design had to look for rows everywhere
    loop.run(8)
    assert 0 < num_calls < 8 * 600
    assert all(abs(trial.config["x"] - trial.config["y"]) < most for trial in loop.finished)
