import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Signal
from raytune_hpo.samplers import Grid
from raytune_hpo.space import Choice, Float, Int, Space

SPACE = Space({"a": Int(0, 4), "b": Choice(["x", "y", "z"])})
ALL = [{"a": a, "b": b} for a in range(5) for b in "xyz"]


def key(config):
    return repr(sorted(config.items()))


def tried(loop):
    return [trial.config for trial in [*loop.finished, *loop.pending]]


def everything_once(loop, expected):
    return sorted(map(key, tried(loop))) == sorted(map(key, expected))


def test_the_grid_is_walked_once_in_order():
    loop = testing.Loop.of(Grid, SPACE).run(100)
    assert tried(loop) == ALL
    assert loop.peek() is Signal.EXHAUSTED


def test_ten_workers_share_the_grid():
    loop = testing.Loop.of(Grid, SPACE).run(100, workers=10)
    assert everything_once(loop, ALL)


def test_the_users_own_points_are_not_tried_again():
    loop = testing.Loop.of(Grid, SPACE)
    first = loop.enqueue({"a": 1, "b": "y"})  # still running when the walk comes by
    loop.tell(loop.enqueue({"a": 4, "b": "z"}))
    for _ in range(6):
        loop.ask()
    loop.enqueue({"a": 3, "b": "x"})
    while loop.ask():
        pass
    assert first in loop.pending
    assert everything_once(loop, ALL)


def test_a_point_stays_known_when_the_trials_around_it_have_finished():
    loop = testing.Loop.of(Grid, SPACE)
    point = loop.enqueue({"a": 0, "b": "z"})
    oldest, newest = loop.ask(), loop.ask()
    loop.tell(newest)
    assert loop.ask().config == {"a": 1, "b": "x"}
    loop.tell(point)
    loop.tell(oldest)
    assert loop.ask().config == {"a": 1, "b": "y"}


def test_a_failed_point_counts_as_tried():
    loop = testing.Loop.of(Grid, SPACE)
    trial = loop.ask()
    loop.pending.clear()
    loop.learn(testing.finish(trial, status=Status.FAILED))
    assert loop.ask().config == ALL[1]


def test_infeasible_points_are_passed_over():
    space = Space({"a": Int(0, 40), "b": Int(0, 40)}, constraints=[lambda c: c["a"] < c["b"] < 30])
    trials = tried(testing.Loop.of(Grid, space).run(10_000))
    assert len(trials) == 30 * 29 // 2
    assert all(c["a"] < c["b"] < 30 for c in trials)


def test_constraints_that_nothing_meets_are_told():
    def is_large(config):
        return config["a"] > 50

    axis, line = Choice([1, 2], is_grid_axis=True), Float(0, 9)
    for make, space, said in (
        (
            Grid,
            {"a": Int(0, 40), "b": Int(0, 40)},
            "of 1681; constraint '.*is_large' refused .*; narrow the domains to fit it$",
        ),
        (lambda: Grid(points=3), {"a": line}, "of 3; constraint '.*is_large' refused 3 of .*, or use more points$"),
        (lambda: Grid(samples=2), {"a": line, "b": axis}, "no draw for any point .* '.*is_large' refused 100 of"),
    ):
        loop = testing.Loop.of(make, Space(space, constraints=[is_large]))
        for _ in range(2):
            with pytest.raises(SpaceError, match=said):
                loop.ask()


def test_every_branch_of_a_choice_is_walked():
    space = Space({"m": Choice([{"k": "a", "n": Int(1, 3)}, {"k": "b", "d": Choice([0.1, 0.2])}])})
    trials = tried(testing.Loop.of(Grid, space).run(100))
    assert [list(config["m"].values()) for config in trials] == [["a", 1], ["a", 2], ["a", 3], ["b", 0.1], ["b", 0.2]]


def test_continuous_parameters_need_points_and_the_error_says_so():
    space = Space({"n": Int(1, 2), "lr": Float(1e-4, 1.0, log=True)})
    with pytest.raises(SpecError, match=r"'lr' has infinitely many; give it a step or use .*Grid\(points=5\)"):
        Grid().bind(space, testing.GOALS, 0)
    loop = testing.Loop.of(lambda: Grid(points=5), space).run(100)
    assert [trial.config["lr"] for trial in loop.finished[:5]] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert len(loop.finished) == 10


def test_a_users_point_off_the_grid_takes_no_place_in_it():
    space = Space({"x": Float(0, 1)})
    loop = testing.Loop.of(lambda: Grid(points=3), space)
    loop.enqueue({"x": 0.49})
    loop.run(10)
    assert [trial.config["x"] for trial in loop.finished if trial.is_suggested] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("points", [0, 2.5])
def test_points_are_counted(points):
    with pytest.raises(SpecError, match=f"grid needs a whole number points >= 1, got points={points}"):
        Grid(points=points)


def test_what_was_asked_ahead_and_dropped_does_not_end_the_grid():
    loop = testing.Loop.of(Grid, SPACE)
    while loop.ask():
        pass
    del loop.pending[10:]
    assert loop.ask().config == ALL[10]


AXES = Space({"width": Float(0, 20), "act": Choice(["relu", "tanh"], is_grid_axis=True), "n": Int(0, 9)})


@pytest.mark.parametrize("workers", [1, 4])
def test_axes_are_walked_several_times_and_the_rest_is_drawn(workers):
    loop = testing.Loop.of(lambda: Grid(samples=5), AXES).run(100, workers=workers)
    configs = tried(loop)
    assert [config["act"] for config in configs] == ["relu", "tanh"] * 5
    assert len({config["width"] for config in configs}) == 10, "drawn anew for each point"
    assert loop.peek() is Signal.EXHAUSTED
    again = testing.Loop.of(lambda: Grid(samples=5), AXES).run(100)
    assert tried(again) == configs, "the same seed draws the same"


def test_points_for_which_nothing_drawn_is_feasible_are_passed_over():
    space = Space(
        {"width": Float(0, 20), "act": Choice(["relu", "tanh"], is_grid_axis=True)},
        constraints=[lambda config: config["act"] == "relu" and config["width"] < 10],
    )
    configs = tried(testing.Loop.of(lambda: Grid(samples=3), space).run(100))
    assert [config["act"] for config in configs] == ["relu"] * 3 and all(config["width"] < 10 for config in configs)


def test_samples_need_an_axis_and_no_points():
    with pytest.raises(SpecError, match=r"Grid\(samples=\) walks axes made by hpo.grid_search"):
        Grid(samples=2).bind(SPACE, (), 0)
    with pytest.raises(SpecError, match="got both"):
        Grid(points=2, samples=2)
    with pytest.raises(SpecError, match="samples >= 1"):
        Grid(samples=0)


def test_a_stored_study_goes_on_whose_sampler_has_got_a_new_option_since():
    from raytune_hpo import registry
    from raytune_hpo.spec import Part

    assert registry.current_options("sampler", "grid", {"points": 3}) == {"points": 3, "samples": None}
    now = registry.describe("sampler", Grid(points=3))
    assert str(Part(name="grid", options=registry.current_options("sampler", "grid", {"points": 3}))) == str(now)
