"""Total violations, and the order of Deb's rule."""

import numpy as np
import pytest

from raytune_hpo.numerics.pareto import fronts
from raytune_hpo.numerics.violations import by_feasibility, feasible_fronts, total_violations

NAN = np.nan


def test_each_constraint_counts_in_units_of_its_median_violation():
    C = np.array([[-1.0, 0.0], [100.0, 0.0], [300.0, 0.0], [-5.0, 0.02], [NAN, -1.0], [NAN, 0.02]])
    np.testing.assert_allclose(total_violations(C), [0, 0.5, 1.5, 1, NAN, 1])
    assert by_feasibility(total_violations(C)).tolist() == [0, 2, 4, 3, 1, 3]


@pytest.mark.parametrize("huge", [1.2e308, np.inf])
def test_violations_as_large_as_floats_are_still_violations(huge):
    with np.errstate(all="raise"):
        violations = total_violations(np.array([[huge, -1.0], [huge, 5e-324], [-huge, -1.0]]))
    assert by_feasibility(violations).tolist() == [2, 3, 0]


@pytest.mark.parametrize("num_goals", [1, 2])
def test_places_are_fronts_within_groups_of_equal_feasibility(num_goals):
    rng = np.random.default_rng(0)
    Y, C = rng.integers(0, 4, (40, num_goals)) * -1.0, rng.integers(-3, 2, (40, 1)).astype(float)
    place, keeps = feasible_fronts(Y, C), C[:, 0] <= 0
    np.testing.assert_array_equal(place[keeps], fronts(Y[keeps]))
    np.testing.assert_array_equal(place[~keeps], place[keeps].max() + 1 + fronts(Y[~keeps]))
    np.testing.assert_array_equal(feasible_fronts(Y, np.empty((40, 0))), fronts(Y))
