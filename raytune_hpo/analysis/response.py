"""Response surfaces: the loss as a function of the parameters, by a random forest.

A parameter that is not active has no effect, so any value is as good as another there: before the forest grows, such
coordinates are drawn at random. So the loss is a function on the whole unit cube, and its leaves are boxes in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytune_hpo.analysis.series import Floats, Positions, usual_range
from raytune_hpo.analysis.tried import TriedParameter
from raytune_hpo.numerics.forest import grow
from raytune_hpo.numerics.marginals import Marginals, measure
from raytune_hpo.numerics.thinning import evenly_spaced
from raytune_hpo.numerics.transforms import standardised

_TREES = 32
_CUTS = 20
_LEAST_LEAF = 3  # trials: a leaf of one would take noise for an effect
_MOST_ROWS = 1_500  # trials that a forest grows from
_RESOLUTION = 40  # points of a continuum at which a surface is drawn


@dataclass(frozen=True, kw_only=True)
class Surface:
    """The expected value where two parameters are known, over all the others.

    Attributes:
        xs, ys: coordinates in the unit interval: the cells' centres of a parameter with few values.
        losses: (len(ys), len(xs)).
        num_trials: how many trials it is fitted to: those in which both parameters are active.
    """

    xs: Floats
    ys: Floats
    losses: Floats
    num_trials: int


def response(
    parameters: Sequence[TriedParameter], rows: Positions, losses: Floats, rng: np.random.Generator
) -> Marginals:
    """The marginals of a forest grown from the trials ``rows``, or from an even choice of them where they are many.

    Losses far worse than most are clipped: else they would dominate.

    Args:
        losses: (n,) of all trials; those of the rows are finite.
    """
    rows = rows[evenly_spaced(len(rows), _MOST_ROWS)]
    X = np.stack([parameter.x[rows] for parameter in parameters], axis=1)
    X = np.where(np.isnan(X), rng.random(X.shape), X)
    axes = [parameter.axis for parameter in parameters]
    for j, axis in enumerate(axes):
        if axis.centres is not None:
            X[:, j] = axis.centres[axis.levels(X[:, j])]  # what was drawn at random stands at a centre too
    y = np.minimum(losses[rows], usual_range(losses[rows])[1])
    forest = grow(axes, X, standardised(y), rng, num_trees=_TREES, num_cuts=_CUTS, min_leaf=_LEAST_LEAF)
    return Marginals(forest, [measure(axis, X[:, j]) for j, axis in enumerate(axes)])


def surfaces_over(
    parameters: Sequence[TriedParameter], pairs: Sequence[tuple[int, int]], losses: Floats, rng: np.random.Generator
) -> list[Surface | None]:
    """The surface over each pair of the parameters; None where too few trials have both and a value.

    Pairs that were tried by the same trials share a forest.
    """
    forests: dict[bytes, Marginals] = {}
    found: list[Surface | None] = []
    for pair in pairs:
        x, y = (parameters[j] for j in pair)
        rows = np.flatnonzero(x.active & y.active & np.isfinite(losses))
        if len(rows) < 2 * _LEAST_LEAF:
            found.append(None)
            continue
        key = rows.tobytes()
        if key not in forests:
            forests[key] = response(parameters, rows, losses, rng)
        capped = np.minimum(losses[rows], usual_range(losses[rows])[1])
        xs, ys = _points(x, rows), _points(y, rows)
        z = forests[key].surface(*pair, xs, ys)
        found.append(Surface(xs=xs, ys=ys, losses=capped.mean() + capped.std() * z, num_trials=len(rows)))
    return found


def _points(parameter: TriedParameter, rows: Positions) -> Floats:
    """Where a surface is drawn: at cells' centres, or evenly over the range that was tried."""
    x = parameter.x[rows]
    if parameter.axis.centres is not None:
        return parameter.axis.centres
    return np.linspace(x.min(), x.max(), _RESOLUTION)
