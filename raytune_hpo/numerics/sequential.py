"""Sequential test of paired differences, with several looks and a bounded rate of errors over all of them.

d  (n,)  differences of pairs that were measured at the same time; below 0 where the candidate is better

At each look a share of alpha is spent (by Bonferroni's inequality, since the shares add up to alpha, the bound holds
however the looks depend on each other). Lan, DeMets: Discrete Sequential Boundaries for Clinical Trials. Biometrika 70,
1983, for the idea of spending.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

import numpy as np

from raytune_hpo.arrays import Array


class Judgement(Enum):
    """The result of a look at the pairs."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "open"  # more pairs are needed
    UNDECIDED = "undecided"  # after the last look neither was shown


def judged(d: Array, looks: Sequence[int], alpha: float) -> Judgement:
    """The judgement after n pairs: one-sided tests at each look that has been reached.

    Args:
        looks: the numbers of pairs after which there is a look, ascending.
        alpha: how often a candidate that is no better may be called better, over all looks; the same for worse.
    """
    if len(d) not in looks:
        return Judgement.OPEN
    from scipy.stats import t

    mean, error = float(np.mean(d)), float(np.std(d, ddof=1)) / math.sqrt(len(d))
    spent = alpha / len(looks)
    limit = error * float(t.isf(spent, len(d) - 1))
    if mean < -limit:
        return Judgement.BETTER
    if mean > limit:
        return Judgement.WORSE
    return Judgement.UNDECIDED if len(d) == looks[-1] else Judgement.OPEN
