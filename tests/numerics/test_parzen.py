"""Parzen densities against quadrature, against SciPy's truncated normal, and against their own draws."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import integrate, stats

from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.numerics.parzen import Bandwidths, Parzen, masses, mixture

REAL = Axis(Kind.REAL)
GRID = Axis(Kind.GRID, np.array([0.1, 0.35, 0.75]))  # cells [0, .2, .5, 1]
NOMINAL = Axis(Kind.NOMINAL, np.array([0.125, 0.625]))  # weights 1 and 3: cells [0, .25, 1]
EVEN = Axis(Kind.GRID, (np.arange(7) + 0.5) / 7)
AXES = (REAL, GRID, NOMINAL)
NAN = np.nan
CENTRES = np.array([[0.2, 0.1, 0.125], [0.97, NAN, 0.625], [NAN, 0.75, 0.625], [NAN, NAN, NAN]])
WEIGHTS = np.array([0.4, 0.3, 0.2, 0.1])
MIXTURE = Parzen(AXES, CENTRES, WEIGHTS, np.array([0.1, 0.2, 0.3]))


def truncated(m: float, s: float) -> stats.rv_continuous:
    return stats.truncnorm(-m / s, (1 - m) / s, loc=m, scale=s)


def prior_mass(cells: np.ndarray) -> np.ndarray:
    """The prior mass of the cells in which rows (n, 2) of a grid and a nominal coordinate lie."""
    return np.diff(GRID.edges)[GRID.levels(cells[:, 0])] * np.diff(NOMINAL.edges)[NOMINAL.levels(cells[:, 1])]


def all_cells() -> np.ndarray:
    return np.array([(g, c) for g in GRID.centres for c in NOMINAL.centres])


def test_the_edges_of_cells_lie_around_their_centres():
    np.testing.assert_allclose(GRID.edges, [0, 0.2, 0.5, 1])
    np.testing.assert_allclose(NOMINAL.edges, [0, 0.25, 1])
    np.testing.assert_allclose(Axis(Kind.GRID, np.array([0.5])).edges, [0, 1])


@pytest.mark.parametrize("m", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("s", [0.02, 0.5, 4.0])
def test_a_kernel_on_a_real_axis_is_the_truncated_normal(m, s):
    kernel = Parzen([REAL], np.array([[m]]), np.ones(1), np.array([s]))
    x = np.linspace(0, 1, 11)
    np.testing.assert_allclose(kernel.log_density(x[:, None]), truncated(m, s).logpdf(x), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("axis", [GRID, EVEN])
@pytest.mark.parametrize("s", [0.02, 0.2, 3.0])
def test_the_masses_of_a_grid_are_the_truncated_normal_over_its_cells(axis, s):
    wanted = [np.diff(truncated(m, s).cdf(axis.edges)) for m in axis.centres]
    np.testing.assert_allclose(masses(axis, s), wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(masses(axis, s, np.array([2, 0])), masses(axis, s)[[2, 0]])


def test_small_masses_of_a_grid_keep_their_digits_on_both_sides():
    axis = Axis(Kind.GRID, (np.arange(10) + 0.5) / 10)
    table = masses(axis, 0.05)
    np.testing.assert_allclose(table, table[::-1, ::-1], rtol=1e-12)
    assert 0 < table[0, 9] < 1e-60


def test_a_nominal_kernel_stays_or_leaves_as_the_prior_does():
    np.testing.assert_allclose(masses(NOMINAL, 0.3), [[0.7 + 0.075, 0.225], [0.075, 0.7 + 0.225]])
    even = Axis(Kind.NOMINAL, np.array([1, 3, 5]) / 6)
    np.testing.assert_allclose(masses(even, 0.3), 0.8 * np.eye(3) + 0.1 * (1 - np.eye(3)))  # Aitchison, Aitken: b = .2


def test_a_mixture_integrates_to_one():
    def slice_at(x: float) -> float:
        cells = all_cells()
        X = np.column_stack([np.full(len(cells), x), cells])
        return float(np.exp(MIXTURE.log_density(X)) @ prior_mass(cells))

    total, _ = integrate.quad(slice_at, 0, 1, points=[0.2, 0.97])
    assert total == pytest.approx(1, rel=1e-8)


def test_a_coordinate_that_is_not_active_is_integrated_out():
    """In the point the marginal density is meant, in a component the prior."""
    cells = all_cells()
    for x in (0.1, 0.9):
        full = np.exp(MIXTURE.log_density(np.column_stack([np.full(len(cells), x), cells])))
        marginal = np.exp(MIXTURE.log_density(np.array([[x, NAN, NAN]])))[0]
        assert marginal == pytest.approx(full @ prior_mass(cells), rel=1e-10)
    np.testing.assert_allclose(MIXTURE.log_density(np.full((1, 3), NAN)), 0.0, atol=1e-12)
    prior = Parzen(AXES, CENTRES[3:], np.ones(1), MIXTURE.widths)
    np.testing.assert_allclose(prior.log_density(np.array([[0.3, 0.1, 0.625]])), 0.0, atol=1e-12)


def test_a_mixture_is_the_sum_of_products_of_its_kernels():
    x = np.array([0.25, 0.35, 0.625])
    grid, nominal = masses(GRID, 0.2) / np.diff(GRID.edges), masses(NOMINAL, 0.3) / np.diff(NOMINAL.edges)
    one = truncated(0.2, 0.1).pdf(0.25) * grid[0, 1] * nominal[0, 1]
    two = truncated(0.97, 0.1).pdf(0.25) * nominal[1, 1]
    three = grid[2, 1] * nominal[1, 1]
    wanted = WEIGHTS @ [one, two, three, 1.0]
    assert np.exp(MIXTURE.log_density(x[None]))[0] == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("size", [7, 100])
@pytest.mark.parametrize("kind", [Kind.GRID, Kind.NOMINAL])
def test_columns_with_the_same_cells_may_have_different_bandwidths(kind, size):
    """Few cells have kernels everywhere, many only where components stand."""
    axis, rng = Axis(kind, (np.arange(size) + 0.5) / size), np.random.default_rng(0)
    centres = rng.choice(axis.centres, (5, 3))
    centres[0], centres[1, 2] = NAN, NAN
    widths, weights = np.array([0.1, 0.4, 0.1]), np.full(5, 0.2)
    X = rng.choice(axis.centres, (20, 3))
    X[3, 1] = NAN
    kernels = np.ones((20, 5))
    for j, s in enumerate(widths):
        densities = np.pad(
            masses(axis, s) * size, ((0, 1), (0, 1)), constant_values=1.0
        )  # at -1: not active, the prior
        kernels *= densities[axis.levels(centres[:, j])][:, axis.levels(X[:, j])].T
    np.testing.assert_allclose(np.exp(Parzen([axis] * 3, centres, weights, widths).log_density(X)), kernels @ weights)


def test_draws_are_distributed_as_the_density_says():
    n = 40_000
    X = MIXTURE.sample(n, np.random.default_rng(1))
    assert ((X >= 0) & (X <= 1)).all()
    for g, c in all_cells():
        inside = (X[:, 1] == g) & (X[:, 2] == c)
        wanted = np.exp(MIXTURE.log_density(np.array([[NAN, g, c]])))[0] * prior_mass(np.array([[g, c]]))[0]
        assert inside.mean() == pytest.approx(wanted, abs=4 * np.sqrt(wanted / n))
        for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0)):
            x = np.linspace(low, high, 401)
            joint = np.exp(MIXTURE.log_density(np.column_stack([x, np.full(401, g), np.full(401, c)])))
            share = integrate.simpson(joint, x=x) * prior_mass(np.array([[g, c]]))[0]
            found = (inside & (X[:, 0] >= low) & (X[:, 0] < high)).mean()
            assert found == pytest.approx(share, abs=4 * np.sqrt(share / n) + 1e-9)


def test_bandwidths_shrink_with_points_down_to_a_floor():
    rule = Bandwidths(spread=0.2, least=0.03, leave=0.5)
    few, many = (rule.of(AXES, np.tile([0.3, 0.35, 0.125], (n, 1)), np.ones(n)) for n in (1, 100))
    np.testing.assert_allclose(few, [0.2, 0.2, 0.5 / np.sqrt(2)])
    np.testing.assert_allclose(many, [0.2 * 100 ** (-1 / 7), max(0.2 * 100 ** (-1 / 7), 0.5 / 3), 0.5 / np.sqrt(101)])
    most = Bandwidths(spread=0.2, least=0.19, leave=0.5).of(AXES, np.tile([0.3, 0.35, 0.125], (100, 1)), np.ones(100))
    np.testing.assert_allclose(most[[0, 1]], [0.19, 0.19])


def test_a_column_counts_the_points_in_which_it_is_active():
    rule = Bandwidths(spread=0.2, least=0.0, leave=0.5)
    s = rule.of((REAL, REAL), np.array([[0.1, 0.2], [0.3, NAN], [0.4, NAN], [0.5, NAN]]), np.ones(4))
    np.testing.assert_allclose(s, [0.2 * 4 ** (-1 / (5 / 4 + 4)), 0.2])  # 5 of the 8 coordinates: 5/4 columns a point


def test_a_mixture_without_points_is_the_prior():
    bare = mixture(AXES, np.empty((0, 3)), np.empty(0), 1.0, Bandwidths(spread=0.2, least=0.03, leave=0.5))
    np.testing.assert_allclose(bare.log_density(np.array([[0.2, 0.1, 0.125]])), 0.0, atol=1e-12)
    assert bare.sample(5, np.random.default_rng(0)).shape == (5, 3)


def test_points_weigh_as_told_and_the_prior_as_much_as_a_mean_point():
    rule = Bandwidths(spread=0.2, least=0.03, leave=0.5)
    M, w = np.array([[0.2], [0.8]]), np.array([3.0, 1.0])
    made = mixture([REAL], M, w, 1.0, rule)
    np.testing.assert_allclose(made.weights, [0.5, 1 / 6, 1 / 3])
    np.testing.assert_allclose(made.widths, 0.2 * (16 / 10) ** (-1 / 5))  # 16 / 10 points are as good as these two


@pytest.mark.filterwarnings("error")
def test_a_value_that_the_prior_never_draws_has_a_density_all_the_same():
    axis = Axis(Kind.NOMINAL, np.array([0.25, 0.5, 0.75]))
    assert axis.widths.tolist() == [0.5, 0.0, 0.5]
    points = np.array([[0.25], [0.75]])
    estimate = mixture([axis], points, np.ones(2), 1.0, Bandwidths(spread=0.2, least=0.01, leave=0.5))
    assert np.isfinite(estimate.log_density(np.array([[0.25], [0.5], [0.75]]))).all()


def test_the_density_of_many_points_is_that_of_each():
    rng = np.random.default_rng(0)
    centres = np.column_stack([rng.random(400), rng.choice(GRID.centres, 400), rng.choice(NOMINAL.centres, 400)])
    estimate = mixture(AXES, centres, np.ones(400), 1.0, Bandwidths(spread=0.01, least=0.001, leave=0.5))
    X = np.column_stack([rng.random(90), rng.choice(GRID.centres, 90), rng.choice(NOMINAL.centres, 90)])
    X[rng.random(X.shape) < 0.2] = np.nan
    each = [estimate.log_density(x[None, :])[0] for x in X]
    np.testing.assert_allclose(estimate.log_density(X), each, rtol=1e-12, atol=1e-12)


def test_estimates_in_several_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(0)
    mixtures = [
        mixture([REAL] * 4, rng.random((300, 4)), np.ones(300), 1.0, Bandwidths(spread=0.2, least=0.1, leave=0.5))
        for _ in range(4)
    ]
    X = rng.random((2000, 4))
    alone = [each.log_density(X) for each in mixtures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: each.log_density(X), mixtures * 4))
    np.testing.assert_array_equal(together, alone * 4)


def test_a_mixture_may_have_more_components_than_are_computed_at_once():
    rng = np.random.default_rng(0)
    M, X = rng.random((20_000, 1)), rng.random((3, 1))
    few, many = (
        Parzen([REAL], np.repeat(M, k, axis=0), np.full(k * 20_000, 1 / (k * 20_000)), np.array([0.1])) for k in (1, 2)
    )
    np.testing.assert_allclose(many.log_density(X), few.log_density(X), rtol=1e-9)
