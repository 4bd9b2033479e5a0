"""Pearson's divergence along one column, between the values of the best trials and those of all.

x  (n,)  coordinates of all trials in the column, without NaN       G  cells into which the column is divided
p, q  (G,)  masses of the cells among the best trials, and among all

The variance of the mean of the indicator "is among the best", given the column, is proportional to the divergence
sum_g q_g (p_g / q_g - 1)^2. (theorem 1; the factor is the same for all columns)

Both masses are counts, smoothed by the same kernels, whose widths follow from the best trials. So they differ where the
trials do, and never because of the kernels, and no ratio exceeds the one of "all" to "best".

Watanabe, Bansal, Hutter: PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces.
IJCAI 2023, arXiv 2304.10255, algorithm 1.
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.numerics.parzen import masses

_CELLS = 100  # cells of a continuum
_LEAST_CELL = 0.15  # width of the narrowest kernel, in cells: many trials on few values need no smoothing
_PRIOR = 1.0  # virtual trials spread over the whole column, so that no cell is impossible


def divergence(axis: Axis, x: Array, is_best: Array) -> float:
    """Pearson's divergence of the best trials (n,) of bool from all of them."""
    celled = axis if axis.centres is not None else Axis(Kind.GRID, (np.arange(_CELLS) + 0.5) / _CELLS)
    levels = celled.levels(x)
    best = np.bincount(levels[is_best], minlength=celled.size)
    every = np.bincount(levels, minlength=celled.size) * (best.sum() / len(x))  # with the sum of the best
    kernels = masses(celled, _width(celled, x[is_best]))
    # The prior has the same share in both, as if that share of its trials were among the best. The difference is taken
    # before the smoothing, so that it is 0 where all trials are among the best, whatever the rounding.
    q = every @ kernels + _PRIOR * celled.widths
    return float(np.sum(((best - every) @ kernels) ** 2 / q) / q.sum())


def _width(axis: Axis, x: Array) -> float:
    """The kernel's width by Scott's rule; on a nominal axis the probability of leaving a value (Aitchison and Aitken)."""
    if axis.kind is Kind.NOMINAL:
        return float(0.5 / np.sqrt(1.0 + len(x)))
    low, high = np.quantile(x, [0.25, 0.75])
    spread = min(float(x.std()), float(high - low) / 1.34) or float(x.std())
    return float(max(1.059 * spread * len(x) ** -0.2, _LEAST_CELL / axis.size))
