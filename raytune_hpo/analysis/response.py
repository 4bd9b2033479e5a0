"""Response surfaces: the loss as a function of the parameters, by a random forest.

An inactive parameter has no effect, so any value will do: such coordinates are drawn at random before the forest grows.
The loss is then a function on the whole unit cube, and the leaves of the forest are boxes in it.
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
_LEAST_LEAF = 3  # trials; a leaf of one trial would take noise for an effect
_MOST_ROWS = 1_500  # trials that a forest is grown from
_RESOLUTION = 40  # points of a continuum at which a surface is drawn


@dataclass(frozen=True, kw_only=True)
class Surface:
    """The expected loss as a function of two parameters, averaged over all others.

    Attributes:
        xs, ys: coordinates in the unit interval; for a parameter with few values, the centres of its cells.
        losses: (len(ys), len(xs)).
        num_trials: the number of trials that it is fitted to, those in which both parameters are active.
    """

    xs: Floats
    ys: Floats
    losses: Floats
    num_trials: int


def response(
    parameters: Sequence[TriedParameter], rows: Positions, losses: Floats, rng: np.random.Generator
) -> Marginals:
    """The marginals of a forest grown from the trials ``rows``, or from an even selection if there are many.

    Outliers among the losses are clipped to the end of the usual range, since they would hide all other differences.

    Args:
        losses: (n,) of all trials; those of the rows are finite.
    """
    rows = rows[evenly_spaced(len(rows), _MOST_ROWS)]
    X = np.stack([parameter.x[rows] for parameter in parameters], axis=1)
    X = np.where(np.isnan(X), rng.random(X.shape), X)
    axes = [parameter.axis for parameter in parameters]
    for j, axis in enumerate(axes):
        if axis.centres is not None:
            X[:, j] = axis.centres[axis.levels(X[:, j])]  # randomly drawn coordinates move to a centre too
    y = np.minimum(losses[rows], usual_range(losses[rows])[1])
    forest = grow(axes, X, standardised(y), rng, num_trees=_TREES, num_cuts=_CUTS, min_leaf=_LEAST_LEAF)
    return Marginals(forest, [measure(axis, X[:, j]) for j, axis in enumerate(axes)])


def surfaces_over(
    parameters: Sequence[TriedParameter], pairs: Sequence[tuple[int, int]], losses: Floats, rng: np.random.Generator
) -> list[Surface | None]:
    """The surface over each pair of parameters; None if too few trials have both parameters and a value.

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
        unit = float(np.abs(capped).max()) or 1.0  # or squares of 1e300 would overflow
        fitted = unit * ((capped / unit).mean() + (capped / unit).std() * z)
        found.append(Surface(xs=xs, ys=ys, losses=fitted, num_trials=len(rows)))
    return found


def _points(parameter: TriedParameter, rows: Positions) -> Floats:
    """The coordinates at which a surface is drawn: the centres of cells, or points spread evenly over the tried range."""
    x = parameter.x[rows]
    if parameter.axis.centres is not None:
        return parameter.axis.centres
    return np.linspace(x.min(), x.max(), _RESOLUTION)
