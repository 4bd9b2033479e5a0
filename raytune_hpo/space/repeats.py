"""Repeats: a block of parameters that occurs several times in a configuration; the number of times is a parameter too."""

from __future__ import annotations

from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.numbers import integer

_MOST = 100


class Repeat:
    """A list of ``low`` to ``high`` blocks, each with parameters of its own: layers of a network, steps of a pipeline.

    The number of blocks is a parameter with the name of the list; block i is active if there are more than i blocks.

    Args:
        block: a domain, or a dict or list of domains and constants.
        low, high: the least and the largest number of blocks, both included.

    Raises:
        SpaceError: low < 0, high < 1 or above 100, or low > high.
    """

    def __init__(self, block: Any, low: int, high: int) -> None:
        self.block = block
        self.low, self.high = integer(low, "the least of a Repeat"), integer(high, "the largest of a Repeat")
        if not 0 <= self.low <= self.high or not 1 <= self.high <= _MOST:
            raise SpaceError(f"a Repeat has low to high blocks, 0 <= low <= high <= {_MOST}, got {low} to {high}")

    def __repr__(self) -> str:
        return f"Repeat({self.block!r}, {self.low}, {self.high})"
