import numpy as np
import pytest

from raytune_hpo.numerics import cma


def sphere(X):
    return (X**2).sum(axis=1)


def ellipsoid(X):
    n = X.shape[1]
    return (10 ** (6 * np.arange(n) / (n - 1)) * X**2).sum(axis=1)


def rosenbrock(X):
    return (100 * (X[:, 1:] - X[:, :-1] ** 2) ** 2 + (1 - X[:, :-1]) ** 2).sum(axis=1)


def evaluations(f, start, sigma, *, target=1e-8, most=40_000, seed=0):
    """How many evaluations it takes to come below the target."""
    rng, g, k, used = np.random.default_rng(seed), cma.begin(start, sigma), cma.default_size(len(start)), 0
    own = np.zeros(k, dtype=bool)
    while used < most:
        X = cma.sample(g, k, rng)
        losses = f(X)
        used += k
        if losses.min() < target:
            break
        g = cma.update(g, X, losses, own)
    return used


@pytest.mark.parametrize(
    ("f", "n", "start", "most"),  # upper bounds, of the size usual for CMA-ES from such starts
    [
        (sphere, 5, 3.0, 900),
        (sphere, 20, 3.0, 3_200),
        (ellipsoid, 5, 3.0, 2_000),
        (ellipsoid, 10, 3.0, 5_000),
        (rosenbrock, 5, 0.0, 2_400),
        (rosenbrock, 10, 0.0, 6_500),
    ],
)
def test_it_needs_no_more_evaluations_than_is_usual(f, n, start, most):
    used = [evaluations(f, np.full(n, start), 0.5, seed=seed) for seed in range(2)]
    assert min(used) < most  # one of two: Rosenbrock's function has a second valley


def test_a_rotation_of_the_axes_costs_nothing():
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))
    plain = evaluations(ellipsoid, np.full(8, 2.0), 0.5)
    turned = evaluations(lambda X: ellipsoid(X @ turn), turn @ np.full(8, 2.0), 0.5)
    assert turned < 1.2 * plain


def test_only_the_order_of_losses_matters():
    rng, g = np.random.default_rng(3), cma.begin(np.full(4, 0.5), 0.3)
    X = cma.sample(g, 8, rng)
    losses, own = sphere(X), np.zeros(8, dtype=bool)
    one, other = cma.update(g, X, losses, own), cma.update(g, X, np.exp(9 * losses), own)
    assert np.array_equal(one.C, other.C)
    assert one.sigma == other.sigma


def test_the_constants_are_those_of_the_tutorial():
    s = cma.constants(10, 10)  # by hand from table 1
    assert s.w[:5] == pytest.approx([0.4556, 0.2708, 0.1627, 0.0850, 0.0255], abs=2e-3)
    assert s.w[:5].sum() == pytest.approx(1)
    assert s.mu_eff == pytest.approx(3.167, abs=0.01)
    assert s.c_sigma == pytest.approx((s.mu_eff + 2) / (s.mu_eff + 15))
    assert s.c_1 == pytest.approx(2 / (11.3**2 + s.mu_eff))
    assert 1 - s.c_1 - s.c_mu * s.w.sum() > 0
    assert s.expected_length == pytest.approx(
        np.linalg.norm(np.random.default_rng(0).standard_normal((20_000, 10)), axis=1).mean(), rel=0.01
    )


def test_the_covariance_becomes_the_inverse_of_the_curvature():
    rng, g = np.random.default_rng(1), cma.begin(np.full(3, 1.0), 0.5)
    curvature = np.array([1.0, 25.0, 400.0])
    for _ in range(60):
        X = cma.sample(g, 10, rng)
        g = cma.update(g, X, (curvature * X**2).sum(axis=1), np.zeros(10, dtype=bool))
    spread = g.deviations * np.sqrt(curvature)
    assert spread.max() / spread.min() < 4  # it was 20 to begin with


def test_equal_losses_share_their_weights():
    w = np.array([0.6, 0.3, 0.1, 0.0])
    assert cma.by_rank(w, np.array([3.0, 1.0, 2.0, 4.0])) == pytest.approx([0.1, 0.6, 0.3, 0.0])
    assert cma.by_rank(w, np.array([1.0, np.inf, 1.0, np.inf])) == pytest.approx([0.45, 0.05, 0.45, 0.05])
    g = cma.begin(np.zeros(3), 1.0)
    X = np.concatenate([np.eye(3), -np.eye(3)])
    assert cma.update(g, X, np.zeros(6), np.zeros(6, dtype=bool)).m == pytest.approx(np.zeros(3))


def test_a_point_from_afar_does_not_tear_the_distribution():
    rng, g = np.random.default_rng(0), cma.begin(np.zeros(5), 1e-3)
    X = np.concatenate([cma.sample(g, 7, rng), np.full((1, 5), 1.0)])
    losses = np.arange(8.0)[::-1]  # the foreign one is the best
    foreign = np.arange(8) == 7
    after = cma.update(g, X, losses, foreign)
    assert after.m.sum() > 0, "it moves towards the foreign point"
    assert np.linalg.norm(after.m) < 1e-3 * (np.sqrt(5) + 2)
    assert after.deviations.max() < 1e-2
    for _ in range(20):
        X = np.concatenate([cma.sample(after, 7, rng), np.full((1, 5), 1.0)])
        after = cma.update(after, X, losses, foreign)
    assert np.linalg.norm(after.m - 1) < 1, "again and again, it leads there"


def test_convergence_is_told():
    g = cma.begin(np.zeros(4), 1e-3)
    assert cma.is_degenerate(g, 1e-2)
    assert not cma.is_degenerate(g, 1e-4)
    assert not cma.is_degenerate(cma.begin(np.zeros(0), 1e-3), 1.0)


def test_no_axes_at_all_are_fine():
    g = cma.begin(np.zeros(0), 0.3)
    X = cma.sample(g, 6, np.random.default_rng(0))
    assert X.shape == (6, 0)
    assert cma.update(g, X, np.arange(6.0), np.zeros(6, dtype=bool)).generation == 1
