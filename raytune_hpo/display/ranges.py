"""Ranges of axes: the rule for excluding outliers, shared by plotly figures and inline SVG."""

from __future__ import annotations

LOG_DECADES = 2.0  # values that span more decades get a logarithmic axis
_FAR = 8.0  # an outlier is this many times farther from the best than most values are


def end_without_outliers(best: float, most: float, worst: float) -> float:
    """The worst value that an axis shows: the worst of all, unless it lies far beyond most others.

    Args:
        best: the lowest loss.
        most: the loss below which nine tenths lie.
        worst: the highest loss.
    """
    return worst if worst - best <= _FAR * (most - best) else best + 2 * (most - best)
