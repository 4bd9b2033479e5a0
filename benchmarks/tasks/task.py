"""What a benchmark needs to know about a tuning task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from raytune_hpo.space import Space


class Outcome(NamedTuple):
    """What came of a configuration.

    Attributes:
        loss: to be minimised; NaN where it failed.
        time: how long it took, in any unit; None where nobody knows, or it is not the same twice.
    """

    loss: float
    time: float | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """A function to minimise over a space.

    Attributes:
        tags: what kind of task it is.
        best: the lowest loss that is known.
        median: the loss of half of all random configurations.
        evaluate: of a configuration of the space.
    """

    name: str
    tags: tuple[str, ...]
    space: Space
    best: float
    median: float
    evaluate: Callable[[Mapping[str, Any]], Outcome]

    def regrets(self, losses: np.ndarray) -> np.ndarray:
        """Normalised regrets of the best so far, (n,) in [0, 1]: 0 is the best that is known, 1 the median or worse.

        Args:
            losses: (n,) in the order in which trials finished; NaN where they failed.
        """
        incumbents = np.minimum.accumulate(np.where(np.isfinite(losses), losses, np.inf))
        regrets: np.ndarray = np.clip((incumbents - self.best) / (self.median - self.best), 0.0, 1.0)
        return regrets
