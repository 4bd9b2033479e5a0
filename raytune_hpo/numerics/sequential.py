"""Sequential test of paired differences, with several looks and a bounded rate of errors over all of them.

d      (n,)  differences of pairs that were measured at the same time; below 0 where the candidate is better
known  (m,)  differences of pairs that ran the same
s2           their pooled variance, with n - 1 + m degrees of freedom

At each look a share of alpha is spent (by Bonferroni's inequality, since the shares add up to alpha, the bound holds
however the looks depend on each other). Lan, DeMets: Discrete Sequential Boundaries for Clinical Trials. Biometrika 70,
1983, for the idea of spending.
Smyth: Linear Models and Empirical Bayes Methods for Assessing Differential Expression in Microarray Experiments.
Statistical Applications in Genetics and Molecular Biology 3, 2004, for variances of few data that borrow from many.
Spiegelhalter, Freedman, Blackburn: Monitoring Clinical Trials: Conditional or Predictive Power? Controlled Clinical Trials
7, 1986, for giving up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

import numpy as np

from raytune_hpo.arrays import Array

LEAST_HOPE = 0.1  # of being found better at the last look, below which a candidate is given up


class Judgement(Enum):
    """The result of a look at the pairs."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "open"  # more pairs are needed
    UNDECIDED = "undecided"  # neither was shown, and more pairs would not show it


def judged(d: Array, looks: Sequence[int], alpha: float, known: Array | None = None) -> Judgement:
    """The judgement after n pairs: one-sided tests at each look that has been reached.

    Without ``known``, a candidate is judged by its own pairs alone, and tried up to the last look. With it, few pairs need
    not tell how noisy they are, and from the first look on, a candidate is given up when it is not likely any more to be
    found better at the last one. The former keeps alpha as long as a candidate is as noisy as what ``known`` comes from; in
    case it is noisier, the larger of both deviations is used. The latter can only lower the rate of wrong findings.

    Args:
        looks: the numbers of pairs after which there is a look, ascending.
        alpha: how often a candidate that is no better may be called better, over all looks; the same for worse.
    """
    from scipy.special import stdtr, stdtrit  # sooner imported than scipy.stats

    n = len(d)
    if n not in looks and (known is None or n < looks[0]):
        return Judgement.OPEN
    mean, deviation, freedom = float(np.mean(d)), float(np.std(d, ddof=1)), n - 1
    if known is not None and len(known):
        s2 = (freedom * deviation**2 + float(known @ known)) / (freedom + len(known))
        deviation, freedom = max(deviation, math.sqrt(s2)), freedom + len(known)
    limit = float(stdtrit(freedom, 1.0 - alpha / len(looks))) * deviation
    if n in looks and abs(mean) > limit / math.sqrt(n):
        return Judgement.BETTER if mean < 0.0 else Judgement.WORSE
    if n == looks[-1]:
        return Judgement.UNDECIDED
    if known is None or not deviation:
        return Judgement.OPEN
    # if nothing was known before, the mean at the last look has a t-distribution around the mean now
    spread = deviation * math.sqrt(1 / n - 1 / looks[-1])
    hope = float(stdtr(freedom, (-limit / math.sqrt(looks[-1]) - mean) / spread))
    return Judgement.OPEN if hope >= LEAST_HOPE else Judgement.UNDECIDED
