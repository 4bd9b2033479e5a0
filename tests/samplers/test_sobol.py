import numpy as np
import pytest
from scipy.stats import qmc

from raytune_hpo import testing
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.numerics import quasi
from raytune_hpo.samplers import Sobol
from raytune_hpo.space import Float, Space

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1), "z": Float(0, 1)})


def points(loop):
    return np.array([list(trial.config.values()) for trial in loop.finished])


def test_the_plain_sequence_is_scipys():
    loop = testing.Loop.of(lambda: Sobol(scramble=False), SPACE).run(2048)
    assert np.array_equal(points(loop), qmc.Sobol(3, scramble=False).random(2048))


def test_blocks_join_to_one_sequence_when_scrambled():
    joined = np.concatenate([quasi.sobol(5, start, 64, 9) for start in range(0, 512, 64)])
    assert np.array_equal(joined, qmc.Sobol(5, rng=9).random(512))


def test_the_scrambling_comes_from_the_seed():
    runs = [points(testing.Loop.of(Sobol, SPACE, seed=seed).run(16)) for seed in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_points_are_spread_more_evenly_than_random_ones():
    sobol = points(testing.Loop.of(Sobol, SPACE).run(256))
    random = np.random.default_rng(0).random((256, 3))
    assert qmc.discrepancy(sobol) < qmc.discrepancy(random) / 5


def test_enqueued_points_and_parallel_workers_leave_no_gaps():
    loop = testing.Loop.of(Sobol, SPACE)
    loop.enqueue({"x": 0.1, "y": 0.1, "z": 0.1})
    loop.ask()
    loop.tell(loop.enqueue({"x": 0.2, "y": 0.2, "z": 0.2}))
    loop.run(30, workers=7)
    assert sorted(t.meta["index"] for t in loop.finished if t.is_suggested) == list(range(31))


def test_infeasible_points_are_passed_over_in_every_run_alike():
    space = Space({"x": Float(0, 1), "y": Float(0, 1)}, constraints=[lambda c: c["x"] + c["y"] < 0.1])
    one, other = (testing.Loop.of(Sobol, space).run(40) for _ in range(2))
    assert [t.meta for t in one.finished] == [t.meta for t in other.finished]
    assert all(x + y < 0.1 for x, y in points(one))


def test_constraints_that_nothing_meets_are_told():
    def is_large(config):
        return config["x"] > 2

    space = Space({"x": Float(0, 1)}, constraints=[lambda c: c["x"] > 0.1, is_large])
    with pytest.raises(
        SpaceError, match=r"no point of .* meets the constraints; constraint '.*is_large' refused 1024 of"
    ):
        testing.Loop.of(Sobol, space).ask()


def test_wide_spaces_work_and_too_wide_ones_are_refused():
    wide = Space({f"x{i}": Float(0, 1) for i in range(300)})
    assert len(testing.Loop.of(Sobol, wide).run(200).finished) == 200
    with pytest.raises(SpecError, match="sobol serves up to 21201 parameters, got 21202"):
        Sobol().bind(Space({f"x{i}": Float(0, 1) for i in range(21202)}), testing.GOALS, 0)
