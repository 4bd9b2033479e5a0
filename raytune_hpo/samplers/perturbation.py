"""Perturbation: changes the settings of a population's member a little, within the space.

X, F  (n, d)  rows of the unit cube: proper ones, and ones with a coordinate for every column

Jaderberg et al.: Population Based Training of Neural Networks (2017), section 4: every setting is multiplied by a factor,
or drawn anew. What that means depends on the domain of the setting: categories cannot be multiplied, and for values in
steps a multiplication would often have no effect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.optimise import filled
from raytune_hpo.samplers.cube import Cube
from raytune_hpo.space.domain import Domain

_ATTEMPTS = 16  # in search of a row that meets the constraints


class Perturbation:
    """Changes every setting of a row, on the scale of its own domain.

    A number is multiplied by one of the factors (on a log scale, that is a fixed shift); one in steps moves by at least
    one step, and a value of an ordinal to one of its neighbours. With a probability of ``redraw`` the setting is drawn from
    the prior instead, and that is the only way in which a category changes. Settings of a branch that the change enters are
    drawn as well.

    Args:
        factors: the factors by which a number may be multiplied, all equally likely.
        redraw: the probability with which a setting is drawn anew.
    """

    def __init__(self, cube: Cube, factors: Sequence[float], redraw: float) -> None:
        self._cube, self._factors, self._redraw = cube, np.asarray(factors, dtype=np.float64), redraw

    def of(self, x: Array, rng: np.random.Generator) -> Array:
        """A row (d,) near a proper one that meets the constraints; the row itself if no other was found."""
        for _ in range(_ATTEMPTS):
            near = self.rows(x[None, :], rng)
            if self._cube.feasible(near)[0]:
                return np.asarray(near[0])
        return x

    def rows(self, X: Array, rng: np.random.Generator) -> Array:
        """Proper rows (n, d), each near one of X, whether they meet the constraints or not."""
        F = filled(X, rng)
        is_redrawn = rng.random(F.shape) < self._redraw
        anew = rng.random(F.shape)
        factors = rng.choice(self._factors, size=F.shape)
        up = np.where(rng.random(F.shape) < 0.5, 1, -1)
        moved = np.empty_like(F)
        for j, column in enumerate(self._cube.space.columns):
            moved[:, j] = F[:, j]
            if column.domain.is_ordered:
                moved[:, j] = _multiplied(column.domain, F[:, j], factors[:, j], up[:, j])
        moved[is_redrawn] = anew[is_redrawn]
        return self._cube.proper(moved)


def _multiplied(domain: Domain, u: Array, factors: Array, up: Array) -> Array:
    """Coordinates (n,) of the values at u, each multiplied by its factor.

    Args:
        up: (n,) of 1 and -1: the way that a value of an ordinal moves.
    """
    codes = domain.codes(u)
    if domain.options:  # codes are positions, whose products have no meaning
        return _one_step(domain, codes, up)
    moved = np.clip(domain.units(codes * factors), 0.0, 1.0)
    if domain.size is None:
        return moved
    stays = domain.codes(moved) == codes
    moved[stays] = _one_step(domain, codes[stays], np.where(factors[stays] > 1, 1, -1))
    return moved


def _one_step(domain: Domain, codes: Array, way: Array) -> Array:
    """Coordinates one step from these codes, or one step back where that would lead out of the domain."""
    step = 1 if domain.options or domain.step is None else domain.step
    first, last = domain.codes(np.array([0.0, 1.0]))
    ahead = codes + way * step
    beyond = (ahead < first - step / 2) | (ahead > last + step / 2)
    return domain.units(np.clip(np.where(beyond, codes - way * step, ahead), first, last))
