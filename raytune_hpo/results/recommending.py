"""Recommendation: the trial that is best by a model of all results, which noise misleads less than the best value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raytune_hpo.samplers.gp import GP
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

_FEWEST = 5  # trials needed for a model


def recommended(spec: StudySpec, trials: Sequence[Trial], candidates: Sequence[Trial]) -> Trial:
    """The candidate with the lowest posterior mean under a Gaussian process fitted to all finished trials.

    Args:
        candidates: at least one completed trial; of equals the first is taken. With fewer than five, it is the best one.
    """
    best = min(candidates, key=lambda trial: trial.losses or ())
    if len(candidates) < _FEWEST or not spec.space.num_columns:
        return best
    model = GP().bind(spec.space, spec.goals, spec.seed)
    for trial in trials:
        if trial.status.is_finished:
            model.tell(trial)
    expected = model.expected_of(candidates)
    assert expected is not None
    return candidates[int(np.argmin(expected))]
