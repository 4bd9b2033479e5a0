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
    """A Philox key as it is. Given as ``key=``, numpy would gather entropy from the system and throw it away."""

    __slots__ = ("_words",)

    def __init__(self, *words: int) -> None:
        self._words = np.array(words, dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return self._words


def derive(seed: int, stream: str, number: int = 0) -> np.random.Generator:
    """The generator of one purpose: ``stream`` names what it is for, ``number`` counts within it (>= 0)."""
    return np.random.Generator(np.random.Philox(cast(Any, _Key(_key(seed, stream), number))))


def fresh_seed() -> int:
    """A seed for a study whose user gave none; drawn once, then journalled in its spec."""
    return secrets.randbits(31)
