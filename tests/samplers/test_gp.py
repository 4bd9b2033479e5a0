"""What is particular to the Gaussian process; what it shares with other samplers is in the contract suite."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.rng import derive
from raytune_hpo.samplers.gp import GP
from raytune_hpo.samplers.history import last_due
from raytune_hpo.samplers.rf import RF
from raytune_hpo.space import Choice, Float, Int, Ordinal, Space
from raytune_hpo.testing.trials import Loop, finish, start

FLAT = Space({"x": Float(0, 1), "y": Float(0, 1), "z": Float(0, 1)})
MIXED = Space(
    {
        "lr": Float(1e-5, 1, log=True),
        "width": Int(8, 512, log=True),
        "act": Choice(["relu", "tanh", "gelu"]),
        "batch": Ordinal([16, 32, 64, 128]),
    }
)
BRANCHES = Space(
    {
        "model": Choice(
            [
                {"kind": "svm", "C": Float(1e-3, 1e3, log=True)},
                {"kind": "tree", "deep": Int(1, 9), "split": Float(0, 1)},
            ]
        )
    }
)


def minimised(sampler, space, loss, *, num=30, workers=1, seed=7):
    """The losses of a study, in order; a loss of NaN is a failure."""
    loop, losses = Loop.of(lambda: sampler, space, seed=seed), []

    def end():
        trial = loop.pending[0]
        losses.append(loss(trial.config))
        loop.pending = loop.pending[1:]
        failed = math.isnan(losses[-1])
        loop.learn(finish(trial, status=Status.FAILED) if failed else finish(trial, {"loss": losses[-1]}))

    for _ in range(num):
        if len(loop.pending) >= workers:
            end()
        assert loop.ask() is not None
    while loop.pending:
        end()
    return np.array(losses), loop


def quadratic(config):
    return (config["x"] - 0.7) ** 2 + (config["y"] - 0.2) ** 2 + (config["z"] - 0.5) ** 2


def mixed(config):
    return (
        (math.log10(config["lr"]) + 3) ** 2
        + math.log2(config["width"] / 64) ** 2
        + {"relu": 2.0, "tanh": 1.0, "gelu": 0.0}[config["act"]]
        + abs(math.log2(config["batch"] / 64))
    )


def branched(config):
    model = config["model"]
    if model["kind"] == "svm":
        return 1 + (math.log10(model["C"]) - 1) ** 2
    return 0.1 * (model["deep"] - 6) ** 2 + (model["split"] - 0.3) ** 2


def test_the_optimum_of_a_smooth_function_is_found_to_three_digits():
    for seed in range(3):
        losses, _ = minimised(GP(), FLAT, quadratic, num=30, seed=seed)
        assert losses.min() < 1e-3


@pytest.mark.slow
def test_the_optimum_of_a_mixed_space_is_found():
    for seed in range(2):
        losses, _ = minimised(GP(), MIXED, mixed, num=35, seed=seed)
        assert losses.min() < 0.2


def test_the_better_branch_is_found_and_searched():
    for seed in range(2):
        losses, loop = minimised(GP(), BRANCHES, branched, num=30, seed=seed)
        assert losses.min() < 0.05
        late = [trial.config["model"]["kind"] for trial in loop.finished[15:]]
        assert late.count("tree") > 8


@pytest.mark.parametrize(
    "options",
    [
        {"acquisition": "ei"},
        {"acquisition": "pi"},
        {"acquisition": "ucb"},
        {"acquisition": "thompson"},
        {"acquisition": "mace"},
        {"marginalize": "none"},
        {"marginalize": "slice", "acquisition": "ei"},
        {"transform": "power"},
        {"transform": "none"},
        {"transform": "log_error"},
        {"transform": "hybrid_log_error"},
        {"n_initial": 3},
        {"max_points": 16},
    ],
    ids=str,
)
def test_every_option_learns(options):
    losses, loop = minimised(GP(**options), MIXED, mixed, num=18)
    random = [mixed(config) for config in MIXED.sample(1000, np.random.default_rng(0))]
    assert np.sort(losses)[3] < np.quantile(random, 0.07)  # of 18 random ones, one or two
    assert loop.peek() == loop.peek()


def test_failures_are_avoided():
    """Half the cube fails; of the suggestions clearly less, although it is where most remains to be learned."""

    def fragile(config):
        return math.nan if config["x"] > 0.5 else quadratic({**config, "x": config["x"] + 0.4})

    losses = np.stack([minimised(GP(), FLAT, fragile, num=25, seed=seed)[0] for seed in range(3)])
    assert np.isnan(losses[:, 5:]).mean() < 0.35
    assert np.nanmin(losses, axis=1).max() < 0.01


def test_accidents_do_not_change_what_is_expected_of_others():
    """A trial that fails has no loss, and says nothing about the losses of its neighbours."""
    configs = FLAT.sample(18, np.random.default_rng(0))
    few, all_of_them = Loop.of(GP, FLAT), Loop.of(GP, FLAT)
    for number, config in enumerate(configs):
        failed = number % 3 == 2
        done = {"status": Status.FAILED} if failed else {"metrics": {"loss": quadratic(config)}}
        all_of_them.learn(finish(start(number, config), **done))
        if not failed:
            few.learn(finish(start(number, config), **done))
    told = [trial for trial in few.finished if trial.losses]
    np.testing.assert_array_equal(all_of_them.sampler.expected_of(told), few.sampler.expected_of(told))


def test_accidents_do_not_blind():
    """A third of the trials fails wherever they are; the worst loss in their place would be noise at the best points."""
    accidents = np.random.default_rng(0)

    def unreliable(config):
        return math.nan if accidents.random() < 1 / 3 else quadratic(config)

    losses = np.stack([minimised(GP(), FLAT, unreliable, num=30, seed=seed)[0] for seed in range(3)])
    assert np.nanmin(losses, axis=1).max() < 0.1


@pytest.mark.parametrize("acquisition", ["ucb", "thompson", "mace"])
def test_each_acquisition_function_leaves_a_region_of_failures(acquisition):
    def fragile(config):
        return math.nan if config["x"] > 0.5 else quadratic({**config, "x": config["x"] + 0.4})

    losses, _ = minimised(GP(acquisition=acquisition), FLAT, fragile, num=30)
    assert np.isnan(losses[15:]).mean() < 0.3


def test_a_heavy_tail_does_not_hide_the_best():
    """Where training diverges, losses are 1e12: the valley is found as if they were 10."""

    def cliff(config):
        return 1e12 if config["y"] > 0.4 else quadratic(config)

    losses, _ = minimised(GP(), FLAT, cliff, num=35)
    assert losses.min() < 5e-3


@pytest.mark.parametrize("sampler", [GP(), RF(n_trees=10)], ids=["gp", "rf"])
def test_many_workers_are_not_sent_to_one_place_under_noise(sampler):
    """A trial that is believed in advance does not take away what the model sees in a noisy optimum."""
    loop, rng = Loop.of(lambda: sampler, FLAT, seed=1), np.random.default_rng(1)
    for _ in range(20):
        trial = loop.ask()
        loop.tell(trial, {"loss": (trial.config["x"] - 0.4) ** 2 + 0.3 * rng.standard_normal()})
    X = FLAT.encode([loop.ask().config for _ in range(16)])
    apart = np.abs(X[:, None] - X[None]).max(axis=2) + np.eye(16)
    assert apart.min() > 0.001 and np.sort(apart.min(axis=1))[4] >= 0.01


def test_pending_trials_are_spread():
    """Eight suggestions at once after few trials are no crowd around one point."""
    loop = Loop.of(GP, FLAT).run(6)
    for _ in range(8):
        loop.ask()
    X = FLAT.encode([trial.config for trial in loop.pending])
    apart = np.linalg.norm(X[:, None] - X[None, :], axis=2)[np.triu_indices(8, 1)]
    assert np.median(apart) > 0.2


def test_eight_workers_learn_nearly_as_much_as_one():
    losses, _ = minimised(GP(), MIXED, mixed, num=40, workers=8)
    assert losses.min() < 0.5


def test_no_configuration_of_a_finite_space_is_tried_twice():
    space = Space({"a": Int(0, 4), "b": Choice(["x", "y", "z"])})
    _, loop = minimised(GP(), space, lambda c: c["a"] + (c["b"] == "x"), num=15, workers=3)
    assert len({(trial.config["a"], trial.config["b"]) for trial in loop.finished}) == 15


def test_the_model_is_fitted_at_lengths_that_grow_by_a_tenth():
    lengths = sorted({last_due(n) for n in range(1, 1001)})
    assert lengths[:20] == list(range(1, 21))
    assert all(b <= max(a + 1, 1.1 * a) for a, b in zip(lengths, lengths[1:], strict=False))
    assert len(lengths) < 70
    assert all(last_due(n) <= n < 1.11 * last_due(n) + 1 for n in range(1, 1001))


def test_a_replay_that_joins_between_two_fits_says_the_same():
    live, late = Loop.of(GP, MIXED), Loop.of(GP, MIXED)
    configs = MIXED.sample(29, derive(0, "configs"))
    for i, config in enumerate(configs):
        trial = finish(start(i, config), {"loss": mixed(config)})
        live.learn(trial)
        live.peek()
        late.learn(trial)
    assert live.peek() == late.peek()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"acquisition": "log_e"}, "did you mean 'log_ei'"),
        ({"marginalize": "mle"}, "gp has no marginalize 'mle'; .*known: map, none, slice"),
        ({"transform": "ranks"}, "gp has no transform 'ranks'"),
        ({"n_initial": 0}, "gp needs a whole number n_initial >= 1, got n_initial=0"),
        ({"max_points": 10}, "gp needs a whole number max_points >= 16, got max_points=10"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(SpecError, match=message):
        GP(**options)


def bowl(config):
    return 4 * ((config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2 + (config["z"] - 0.5) ** 2)


def heard(loss):
    """A Gaussian process that was told forty trials near the bottom of the bowl and twenty from all over."""
    loop, rng = Loop.of(GP, FLAT), np.random.default_rng(3)
    near = [{name: 0.5 + 0.2 * (rng.random() - 0.5) for name in "xyz"} for _ in range(40)]
    for number, config in enumerate([*near, *FLAT.sample(20, rng)]):
        loop.learn(finish(start(number, config), {"loss": loss(config, rng)}))
    return loop.sampler


def test_the_worse_half_is_ranked_where_there_is_no_noise():
    gp = heard(lambda config, rng: bowl(config))
    assert gp._fit(gp.compared(())[0]).transform == "half_rank"


def test_losses_are_left_as_they_are_where_the_better_half_is_noise():
    gp = heard(lambda config, rng: bowl(config) + rng.standard_normal())
    assert gp._fit(gp.compared(())[0]).transform == "none"


def test_a_transform_that_was_asked_for_is_taken():
    loop = Loop.of(partial(GP, transform="half_rank"), FLAT)
    rng = np.random.default_rng(1)
    for number, config in enumerate(FLAT.sample(30, rng)):
        loop.learn(finish(start(number, config), {"loss": rng.standard_normal()}))
    assert loop.sampler._fit(loop.sampler.compared(())[0]).transform == "half_rank"


@pytest.mark.parametrize("most", [0.05, 0.005])
def test_a_constraint_that_few_rows_meet_is_asked_of_few(most):
    """Of one row after the other, from the best on; not of draws from everywhere, most of which break it."""
    num_calls = 0

    def is_close(config):
        nonlocal num_calls
        num_calls += 1
        return abs(config["x"] - config["y"]) < most

    cube = {"x": Float(0, 1), "y": Float(0, 1), "z": Float(0, 1)}
    loop = Loop.of(GP, Space(cube, constraints=[is_close])).run(10)
    num_calls = 0  # the even design had to look for rows everywhere
    loop.run(10)
    assert 0 < num_calls < 10 * 300


@pytest.mark.parametrize("sampler", ["gp", "auto"])
def test_a_batch_repeats_no_point_apart_from_its_last_digits(sampler):
    study = hpo.Study({name: hpo.uniform(0, 1) for name in "abc"}, sampler=sampler, seed=1, storage="memory")
    for trial in study.ask_batch(30):
        study.tell(trial, sum((value - 0.37) ** 2 for value in trial.config.values()))
    X = np.array([list(trial.config.values()) for trial in study.ask_batch(16)])
    apart = np.abs(X[:, None] - X[None, :]).max(axis=2)[np.triu_indices(16, 1)]
    assert apart.min() > 1e-4


@pytest.mark.filterwarnings("error")
def test_losses_that_are_not_ranked_may_be_as_large_as_floats():
    loop = Loop.of(lambda: GP(transform="hybrid_log_error"), Space({"x": Float(0, 1)}))
    for loss in (1e308, 0.5, 1.7e308, 0.2, 1e300, 0.1) * 2:
        loop.tell(loop.ask(), {"loss": loss})
    assert loop.ask() is not None
