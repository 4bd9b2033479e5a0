"""Margins that keep a normal distribution from freezing on one value of a grid.

Hamano, Saito, Nomura, Shirakawa: CMA-ES with Margin (GECCO 2022, arXiv:2205.13482), section 4. Along a grid, draws are
rounded to cells. Once nearly all of the distribution lies within one cell, no other is tried, and nothing can be learned;
a margin is the least probability that is left outside of the cell.

m      (n,)  mean of the distribution along each axis
s      (n,)  standard deviation along each axis
lower  (n,)  lower edge of the cell that contains m, -inf for the first cell and for axes without cells
upper  (n,)  its upper edge, inf for the last cell and for axes without cells
alpha        the margin: the least probability of leaving a cell
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axis, Kind


def cells(axes: Sequence[Axis], m: Array) -> tuple[Array, Array]:
    """The cells (lower, upper), each (n,), of coordinates m (n,); the whole line for axes without cells."""
    lower, upper = np.full(len(m), -np.inf), np.full(len(m), np.inf)
    for j, axis in enumerate(axes):
        if axis.kind is not Kind.REAL:
            ends = np.concatenate([[-np.inf], axis.edges[1:-1], [np.inf]])
            level = int(np.searchsorted(ends, m[j], side="right"))
            lower[j], upper[j] = ends[level - 1], ends[level]
    return lower, upper


def widened(m: Array, s: Array, lower: Array, upper: Array, alpha: float) -> tuple[Array, Array]:
    """The mean and the standard deviations, each (n,), widened to leave the margin; unchanged where they do already."""
    from scipy.special import ndtr, ndtri

    m, s = m.copy(), s.copy()
    low, up = np.isfinite(lower), np.isfinite(upper)
    reach = s * ndtri(1 - alpha)
    first, last = up & ~low, low & ~up  # in the cells at the ends only the mean is moved: eq. 12
    m[first] = np.maximum(m, upper - reach)[first]
    m[last] = np.minimum(m, lower + reach)[last]
    below, above = ndtr((lower - m) / s), ndtr((m - upper) / s)
    tight = low & up & (np.minimum(below, above) < alpha / 2)
    if tight.any():
        p_low, p_up, lo, hi = below[tight], above[tight], lower[tight], upper[tight]
        within = 1 - p_low - p_up
        p_low, p_up = np.maximum(p_low, alpha / 2), np.maximum(p_up, alpha / 2)  # eqs. 14, 15
        excess = (1 - p_low - p_up - within) / (p_low + p_up + within - 1.5 * alpha)  # eqs. 16, 17
        p_low, p_up = p_low + excess * (p_low - alpha / 2), p_up + excess * (p_up - alpha / 2)
        z_low, z_up = ndtri(1 - p_low), ndtri(1 - p_up)  # eqs. 18, 19: both quantiles are at the cell's ends
        m[tight] = (lo * z_up + hi * z_low) / (z_low + z_up)
        s[tight] = (hi - lo) / (z_low + z_up)
    return m, s
