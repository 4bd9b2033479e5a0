import numpy as np
import pytest

from raytune_hpo.core.asking import ask
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Paused, Status
from raytune_hpo.goals import make_constraints, make_goals
from raytune_hpo.rng import derive
from raytune_hpo.samplers import GP, NSGA2, NSGA3, RF, TPE
from raytune_hpo.samplers.goal_models import _Scores, bilog, front_first
from raytune_hpo.samplers.history import Observed
from raytune_hpo.space import Choice, Float, Space
from raytune_hpo.testing.trials import GOALS, SEED, Loop, finish, report, start
from raytune_hpo.trial import evolve

SQUARE = Space({"x": Float(0, 1), "y": Float(0, 1)})
TWO = make_goals(["f", "g"])


def competing(config):
    """A front at y = 0.5, from one end of x to the other."""
    away = (config["y"] - 0.5) ** 2
    return {"f": config["x"] + away, "g": (1 - config["x"]) ** 2 + away, "h": config["x"]}


def played(make, num, *, goals=TWO, constraints=(), workers=1, metrics=competing, space=SQUARE, seed=0):
    loop = Loop.of(make, space, goals=goals, constraints=constraints, seed=seed)
    for _ in range(num):
        if len(loop.pending) >= workers:
            loop.tell(loop.pending[0], metrics(loop.pending[0].config))
        loop.ask()
    for trial in list(loop.pending):
        loop.tell(trial, metrics(trial.config))
    return loop


@pytest.mark.parametrize("workers", [1, 4])
def test_a_gaussian_process_spreads_trials_along_the_front(workers):
    late = played(GP, 24, workers=workers).finished[10:]
    assert np.mean([abs(trial.config["y"] - 0.5) for trial in late]) < 0.12
    x = np.sort([trial.config["x"] for trial in late])
    assert np.diff([0.0, *x, 1.0]).max() < 0.4


@pytest.mark.parametrize("seed", [2, 3])
def test_the_far_end_of_the_front_is_found_though_only_bad_trials_have_seen_it(seed):
    """Slow trials are dominated at first: the front of the even design ends before them."""

    def accuracy_and_time(config):
        wrong = abs(config["y"] - 0.3) + abs(config["z"] - 0.3)
        return {"f": 1 - config["x"] + wrong, "g": float(np.exp(4 * config["x"]))}

    space = Space({"x": Float(0, 1), "y": Float(0, 1), "z": Float(0, 1)})
    loop = played(GP, 26, metrics=accuracy_and_time, space=space, seed=seed)
    best = min(loop.finished, key=lambda trial: trial.metrics["f"])
    assert best.config["x"] > 0.85


def test_units_of_the_losses_do_not_matter():
    def in_other_units(config):
        metrics = competing(config)
        return {"f": 1000 * metrics["f"] + 5e4, "g": 1e-4 * metrics["g"] - 3, "h": 0.0}

    usual, other = played(GP, 14), played(GP, 14, metrics=in_other_units)
    x, y = ([[trial.config["x"], trial.config["y"]] for trial in loop.finished] for loop in (usual, other))
    assert np.array(x) == pytest.approx(np.array(y), abs=1e-3)


@pytest.mark.parametrize("goals", [make_goals("f"), TWO], ids=["one goal", "two goals"])
def test_constraints_are_learned_and_the_best_lies_within(goals):
    constraints = make_constraints(["h >= 0.7"])  # where f is worse
    late = played(GP, 24, goals=goals, constraints=constraints).finished[12:]
    assert np.mean([trial.is_feasible for trial in late]) > 0.6


@pytest.mark.filterwarnings("error")
def test_while_no_trial_has_ended_nothing_is_known_of_constraints_and_that_is_no_matter():
    """Paused trials have no values of constraints yet."""
    sampler = GP().bind(SQUARE, GOALS, SEED, constraints=make_constraints(["g >= 0.6"]))
    for number, config in enumerate(SQUARE.sample(20, derive(0, "some"))):
        running = report(start(number, config), 1, config["x"])
        sampler.observe(evolve(running, Paused(number=number, attempt=1, step=1, at=0.0), GOALS))
    assert set(ask(sampler, 20, (), SEED).config) == {"x", "y"}


def test_while_nothing_is_feasible_the_search_is_for_what_is():
    constraints = make_constraints(["h >= 0.97"])
    found = played(GP, 20, goals=make_goals("f"), constraints=constraints, seed=3).finished
    first = next(i for i, trial in enumerate(found) if trial.is_feasible)
    assert first < 14  # at random, one in 33 is


@pytest.mark.parametrize("make", [TPE, RF, NSGA2])
def test_other_samplers_learn_from_constraints_too(make):
    constraints = make_constraints(["h >= 0.7"])
    late = played(make, 60, constraints=constraints).finished[30:]
    assert np.mean([trial.is_feasible for trial in late]) > 0.5


def test_thresholds_keep_the_search_where_it_is_interesting():
    goals = make_goals(["f", "g"], thresholds={"f": 0.4})
    late = played(GP, 24, goals=goals).finished[10:]
    assert np.mean([trial.config["x"] < 0.45 for trial in late]) > 0.7


@pytest.mark.parametrize("threshold", [1e308, -1e308])
def test_a_threshold_beyond_all_values_leaves_the_acquisition_finite(threshold):
    with np.errstate(over="raise", invalid="raise"):
        late = played(GP, 14, goals=make_goals(["f", "g"], thresholds={"f": threshold})).finished[8:]
    assert min(abs(trial.config["y"] - 0.5) for trial in late) < 0.02


def test_bounds_as_large_as_floats_are_bounds():
    with np.errstate(over="raise", invalid="raise"):
        assert (bilog(np.array([1.7e308, 1.2e308, np.inf, -1e308])) * [1, 1, 1, -1] > 0).all()


def test_a_region_of_failures_is_left():
    space = Space({"x": Float(0, 1), "y": Float(0, 1), "c": Choice(["a", "b"])})
    loop = Loop.of(GP, space, goals=TWO)
    for number, config in enumerate(space.sample(20, np.random.default_rng(0))):
        trial = start(number, config)
        if config["c"] == "a":
            loop.learn(finish(trial, status=Status.FAILED, goals=TWO))
        else:
            loop.learn(finish(trial, competing(config), goals=TWO))
    assert [loop.ask().config["c"] for _ in range(4)].count("b") >= 3


def test_five_goals_take_turns():
    goals = make_goals([f"g{i}" for i in range(5)])

    def metrics(config):
        return {f"g{i}": (config["x"] - i / 4) ** 2 + (config["y"] - 0.5) ** 2 for i in range(5)}

    for make in (GP, NSGA3):
        late = played(make, 30, goals=goals, metrics=metrics).finished[20:]
        assert np.mean([abs(trial.config["y"] - 0.5) for trial in late]) < 0.3


def test_those_on_the_front_come_first_and_failures_last():
    Y = np.array([[0.0, 1.0], [np.nan, np.nan], [1.0, 0.0], [2.0, 2.0], [3.0, 3.0]])
    C = np.array([[-1.0], [np.nan], [1.0], [-1.0], [-1.0]])
    order = front_first(Observed(np.zeros((5, 1)), Y))
    assert (order == 0).tolist() == [True, False, True, False, False]
    assert order.argmax() == 1
    assert np.argsort(front_first(Observed(np.zeros((5, 1)), Y, None, C))).tolist() == [0, 3, 4, 2, 1]


def test_a_bound_stays_where_it_is_on_the_scale_of_excesses():
    z = bilog(np.array([-1e6, -1.0, 0.0, 1.0, 1e3]))
    assert z[2] == 0
    assert (np.diff(z) > 0).all()


@pytest.mark.parametrize("options", [{"acquisition": "thompson"}, {"marginalize": "slice"}])
def test_what_is_made_for_one_goal_is_refused_for_several(options):
    GP(**options).bind(SQUARE, make_goals("f"), 0)
    with pytest.raises(SpecError, match="with several goals or outcome constraints gp.*leave them out"):
        GP(**options).bind(SQUARE, TWO, 0)
    with pytest.raises(SpecError, match="leave them out"):
        GP(**options).bind(SQUARE, make_goals("f"), 0, constraints=make_constraints(["h >= 0"]))


def test_a_threshold_between_losses_of_any_size_has_a_place_among_their_scores():
    """The difference of two of 1e308 is infinite."""
    for scale in (1.0, 1.7e308):
        scores = _Scores(np.arange(2), np.array([-1.0, 1.0]), scale * np.array([-1.0, 1.0]))
        assert [scores.at(scale * share) for share in (-1.0, 0.0, 0.5, 1.0)] == pytest.approx([-1.0, 0.0, 0.5, 1.0])
