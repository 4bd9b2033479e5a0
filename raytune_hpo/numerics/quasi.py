"""Low-discrepancy points.

u  (n, d)  points in the unit cube
v  (d, b)  directions: bit k of a point's (Gray coded) index adds column k, without carry
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from raytune_hpo.numerics.direction_numbers import JOE_KUO

MAX_SOBOL_DIMS = 21201  # the dimensions of Joe and Kuo's direction numbers
_BITS = 30  # of a coordinate

_Bits = npt.NDArray[np.uint32]


def sobol(d: int, start: int, n: int, seed: int | None) -> npt.NDArray[np.float64]:
    """Points ``start`` to ``start + n - 1`` of the Sobol sequence in d dimensions, (n, d).

    Args:
        seed: of the scrambling (Owen's, as linear matrix scrambling and a digital shift); None leaves the sequence
            plain, with the origin as its first point.

    Raises:
        ValueError: d > MAX_SOBOL_DIMS.

    Joe, Kuo 2008, SIAM J. Sci. Comput. 30; Matousek 1998, J. Complexity 14(4).
    """
    if d > len(JOE_KUO) + 1:
        return _by_scipy(d, start, n, seed)
    v, shift = _directions(d), np.zeros(d, dtype=np.uint32)
    if seed is not None:
        v, shift = _scrambled(d, seed)
    index = np.arange(start, start + n)
    added = ((index ^ index >> 1)[:, None] >> np.arange(_BITS) & 1).astype(np.uint32)
    points: npt.NDArray[np.float64] = (np.bitwise_xor.reduce(v * added[:, None, :], axis=2) ^ shift) * 2.0**-_BITS
    return points


def _by_scipy(d: int, start: int, n: int, seed: int | None) -> npt.NDArray[np.float64]:
    """The same points, which are scipy's in all dimensions. To import its statistics takes as long as to start a process;
    the first trial of most studies need not wait for that.
    """
    from scipy.stats import qmc

    engine = qmc.Sobol(d, scramble=seed is not None, rng=seed)
    if start:  # scipy cannot fast-forward by 0
        engine.fast_forward(start)
    points: npt.NDArray[np.float64] = engine.random(n)
    return points


@functools.lru_cache(maxsize=16)
def _directions(d: int) -> _Bits:
    """Directions v (d, b), by the recurrence of each dimension's polynomial. (Joe, Kuo 2008, eq. 2)"""
    m = np.ones((d, _BITS), dtype=np.uint32)  # the first dimension's are all 1
    for row, (polynomial, *first) in zip(m[1:], JOE_KUO, strict=False):
        degree = len(first)
        row[:degree] = first
        for i in range(degree, _BITS):
            row[i] = row[i - degree]
            for k in range(1, degree + 1):
                row[i] ^= row[i - k] * (polynomial >> degree - k & 1) << k
    return m << np.arange(_BITS - 1, -1, -1, dtype=np.uint32)


@functools.lru_cache(maxsize=16)
def _scrambled(d: int, seed: int) -> tuple[_Bits, _Bits]:
    """Directions (d, b) multiplied by random lower triangular matrices, and a random shift (d,)."""
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])  # a child, as scipy spawns one
    powers = (1 << np.arange(_BITS)).astype(np.uint32)
    shift = rng.integers(2, size=(d, _BITS), dtype=np.uint32) @ powers
    lower = np.tril(rng.integers(2, size=(d, _BITS, _BITS), dtype=np.uint32), -1) | np.eye(_BITS, dtype=np.uint32)
    digits = _directions(d)[:, None, :] >> np.arange(_BITS)[::-1, None] & 1  # the highest first
    return (powers[::-1, None] * (lower @ digits % 2)).sum(axis=1, dtype=np.uint32), shift
