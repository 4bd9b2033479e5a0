"""Derived randomness: every generator is a pure function of (seed, stream, number).

Nothing random is stored, so a resumed study draws what the uninterrupted one would have drawn.
Philox is counter-based: two keys give independent streams (Salmon et al., 2011), and building one costs microseconds.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from typing import Any, cast

import numpy as np
from numpy.random.bit_generator import ISeedSequence


@functools.lru_cache(maxsize=4096)
def _key(seed: int, stream: str) -> int:
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class _Key(ISeedSequence):
    """A seed sequence that returns a given Philox key. With ``key=``, numpy would gather system entropy for nothing."""

    __slots__ = ("_words",)

    def __init__(self, *words: int) -> None:
        self._words = np.array(words, dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return self._words


def derive(seed: int, stream: str, number: int = 0) -> np.random.Generator:
    """The generator for one purpose, which ``stream`` names; ``number`` (>= 0) counts within it."""
    return np.random.Generator(np.random.Philox(cast(Any, _Key(_key(seed, stream), number))))


def fresh_seed() -> int:
    """A random seed for a study without one; it is drawn once, then journalled in the study's spec."""
    return secrets.randbits(31)
