"""Which arm of a portfolio suggested which trial, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from raytune_hpo.trial import Trial


def turns(trials: Sequence[Trial]) -> dict[str, int]:
    """How many trials each arm has suggested, in the order in which arms came first; empty where there are none."""
    return dict(Counter(trial.arm for trial in trials if trial.arm is not None))
