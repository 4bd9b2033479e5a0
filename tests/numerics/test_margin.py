import numpy as np
import pytest
from scipy.stats import norm

from raytune_hpo.numerics import margin
from raytune_hpo.numerics.axes import Axis, Kind

GRID = Axis(Kind.GRID, np.array([0.1, 0.3, 0.5, 0.7, 0.9]))
ALPHA = 0.02


def widened(m, s):
    cells = margin.cells([GRID], np.array([m]))
    m, s = margin.widened(np.array([m]), np.array([s]), *cells, ALPHA)
    return m[0], s[0]


def test_cells_are_those_the_mean_is_in():
    lower, upper = margin.cells([GRID, GRID, GRID, Axis(Kind.REAL)], np.array([0.05, 0.45, 1.0, 0.5]))
    assert lower == pytest.approx([-np.inf, 0.4, 0.8, -np.inf])
    assert upper == pytest.approx([0.2, 0.6, np.inf, np.inf])


@pytest.mark.parametrize("m", [0.41, 0.5, 0.59])
@pytest.mark.parametrize("s", [1e-6, 1e-3, 0.02])
def test_a_cell_inside_is_left_on_both_sides(m, s):
    m, s = widened(m, s)
    below, above = norm.cdf((0.4 - m) / s), norm.cdf((m - 0.6) / s)
    assert below >= ALPHA / 2 - 1e-6
    assert above >= ALPHA / 2 - 1e-6
    assert below + above < 0.6, "it does not leave more than it must"


@pytest.mark.parametrize("s", [1e-6, 1e-3])
def test_a_cell_at_an_end_is_left_by_the_margin(s):
    first, last = widened(0.01, s), widened(0.99, s)
    assert norm.cdf((first[0] - 0.2) / s) == pytest.approx(ALPHA)
    assert norm.cdf((0.8 - last[0]) / s) == pytest.approx(ALPHA)
    assert first[1] == last[1] == s


@pytest.mark.parametrize("m", [0.05, 0.5, 0.95])
def test_a_wide_distribution_stays_as_it_is(m):
    assert widened(m, 0.4) == (m, 0.4)


def test_real_axes_stay_as_they_are():
    lower, upper = margin.cells([Axis(Kind.REAL)], np.array([0.5]))
    m, s = margin.widened(np.array([0.5]), np.array([1e-9]), lower, upper, ALPHA)
    assert (m[0], s[0]) == (0.5, 1e-9)
