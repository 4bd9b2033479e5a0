"""Low-discrepancy points.

u  (n, d)  points in the unit cube
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_SOBOL_DIMS = 21201  # the dimensions of Joe and Kuo's direction numbers


def sobol(d: int, start: int, n: int, seed: int | None) -> npt.NDArray[np.float64]:
    """Points ``start`` to ``start + n - 1`` of the Sobol sequence in d dimensions, (n, d).

    Args:
        seed: of the scrambling (Owen's, as linear matrix scrambling and a digital shift); None leaves the sequence
            plain, with the origin as its first point.

    Raises:
        ValueError: d > MAX_SOBOL_DIMS.

    Joe, Kuo 2008, SIAM J. Sci. Comput. 30; Matousek 1998, J. Complexity 14(4).
    """
    from scipy.stats import qmc

    if d == 0:
        return np.empty((n, 0))
    engine = qmc.Sobol(d, scramble=seed is not None, rng=seed)
    if start:  # scipy cannot fast-forward by 0
        engine.fast_forward(start)
    points: npt.NDArray[np.float64] = engine.random(n)
    return points
