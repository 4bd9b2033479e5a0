"""Scaling with a count of workers, by Gunther's universal scalability law.

    X(N) = c N / (1 + a (N - 1) + b N (N - 1))

X  work per second of N workers; c that of one; a the share that is serial or queues (contention), b what each pair of
workers costs (coherency). Beyond N = sqrt((1 - a) / b) more workers do less.
Gunther: Guerrilla Capacity Planning, 2007, chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """A fitted scaling law.

    Attributes:
        contention, coherency: a and b of the law.
        peak: the count with the highest throughput; infinite if more is always better.
    """

    contention: float
    coherency: float
    peak: float

    def __str__(self) -> str:
        if math.isinf(self.peak):
            return f"contention {self.contention:.3g}, coherency 0: more is not worse, and helps ever less"
        return (
            f"contention {self.contention:.3g}, coherency {self.coherency:.3g}: most is done at about {self.peak:.3g}"
        )


def fitted_scaling(counts: Sequence[float], seconds: Sequence[float]) -> Scaling | None:
    """Fit the law by least squares of relative errors; None if fewer than four counts were measured.

    A fixed amount of work takes T(N) = W / X(N), so that N T(N) = T(1) (1 + a (N - 1) + b N (N - 1)), which is linear in its
    coefficients; none of them is negative.
    """
    from scipy.optimize import nnls

    if len(set(counts)) < 4 or min(counts) < 1 or min(seconds) <= 0:
        return None
    N, T = np.asarray(counts, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    terms = np.column_stack([np.ones_like(N), N - 1, N * (N - 1)])
    (one, contention, coherency), _ = nnls(terms / (N * T)[:, None], np.ones_like(N))
    if one <= 0:
        return None
    a, b = contention / one, coherency / one
    peak = math.inf if b <= 0 else math.sqrt(max(0.0, 1 - a) / b)
    return Scaling(contention=float(a), coherency=float(b), peak=max(1.0, peak))
