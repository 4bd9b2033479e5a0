"""The divergence of the best trials from all of them, where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.numerics.pearson import divergence

REAL = Axis(Kind.REAL)


def test_of_a_box_of_good_trials_the_divergence_follows_from_its_sides():
    """Where x <= a is good, the best lie evenly below a: (1 - a) / a."""
    rng = np.random.default_rng(0)
    X = rng.random((20_000, 3))
    is_best = (X[:, 0] < 0.2) & (X[:, 1] < 0.5)
    found = [divergence(REAL, X[:, j], is_best) for j in range(3)]
    assert found == [pytest.approx(4, rel=0.1), pytest.approx(1, rel=0.1), pytest.approx(0, abs=0.01)]


def test_how_trials_were_drawn_does_not_matter():
    """A sampler that likes the left end does not make it important: the best are as many there as anywhere."""
    rng = np.random.default_rng(1)
    x = rng.beta(1, 4, size=5000)
    assert divergence(REAL, x, rng.random(5000) < 0.1) < 0.05


@pytest.mark.parametrize("kind", [Kind.GRID, Kind.NOMINAL])
def test_of_cells_it_is_that_of_their_frequencies(kind):
    axis = Axis(kind, (np.arange(4) + 0.5) / 4)
    x = axis.centres[np.arange(4000) % 4]
    assert divergence(axis, x, x < 0.25) == pytest.approx(3, rel=0.15 if kind is Kind.GRID else 0.05)


def test_few_trials_and_equal_ones_are_no_trouble():
    assert divergence(REAL, np.array([0.5, 0.5]), np.array([True, False])) == pytest.approx(0, abs=1e-9)
    assert 0 < divergence(REAL, np.array([0.1, 0.9]), np.array([True, False])) < 2
    assert divergence(REAL, np.array([0.1, 0.9]), np.array([True, True])) == pytest.approx(0, abs=1e-9)
