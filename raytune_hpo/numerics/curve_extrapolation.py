"""Extrapolation of learning curves: the probability that a curve ends below a value.

t  (n,)  steps, increasing, > 0      y  (n,)  losses reported there      T  the last step
G  (k, n)  shapes: t^-c for each of k exponents c, 1 at the first step      w  (k,)  their weights

For each shape, y = a + b G(t) + noise is a Bayesian linear regression; shapes are weighted by their evidence. The priors
are weak, and in units of the range that the curve has covered.

Domhan, Springenberg, Hutter: Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation
of Learning Curves. IJCAI 2015 (the idea and the rule). Bishop: Pattern Recognition and Machine Learning, 2006, section
3.3 and exercises 3.12, 3.13 (normal-inverse-gamma regression).
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.arrays import Array

# With fewer exponents there are gaps, and predictions are too certain. Below 0 are curves that still gain speed: without
# these, slow starters would always be given up.
_EXPONENTS = np.concatenate([-np.geomspace(0.5, 0.05, 8), np.geomspace(0.05, 2.5, 32)])
_PRIOR_SD = 3.0  # of a and b
# Inverse gamma: how many observations the prior is worth, and its noise. The noise also covers how far real curves are
# from any such shape; with less, a few smooth points would predict an end that they cannot know.
_NOISE_SHAPE, _NOISE_SD = 2.0, 0.1


def probability_below(t: Array, y: Array, T: float, value: float) -> float:
    """P(the loss without noise at step T < value).

    Args:
        t: n >= 2 steps, at least two of them different.
    """
    from scipy.special import stdtr

    y, value = y / 2, value / 2  # the difference of two of 1e308 is infinite
    spread = float(y.max() - y.min())
    if spread == 0:
        return float(np.heaviside(value - y[-1], 0.5))  # of equals, either may end lower
    z, target = (y - y[-1]) / spread, (value - y[-1]) / spread
    G = (t / t[0]) ** -_EXPONENTS[:, None]  # (k, n); the regressors are 1 and a row of it
    g = (T / t[0]) ** -_EXPONENTS
    prior = (_NOISE_SD / _PRIOR_SD) ** 2
    # Precisions ((p, q), (q, r)) in units of the noise's: inverted by hand, since k solves of 2 x 2 cost ten times as much.
    p, q, r = len(z) + prior, G.sum(axis=1), (G * G).sum(axis=1) + prior
    det = p * r - q * q
    of_one, of_shape = z.sum(), G @ z
    a, b = (r * of_one - q * of_shape) / det, (p * of_shape - q * of_one) / det
    left = z @ z - a * of_one - b * of_shape
    shape = _NOISE_SHAPE + len(z) / 2
    rate = _NOISE_SHAPE * _NOISE_SD**2 + 0.5 * np.maximum(left, 0.0)  # rounding may take it below 0
    scale = np.sqrt(rate / shape * (r - 2 * q * g + p * g * g) / det)
    below = stdtr(2 * shape, (target - a - b * g) / scale)
    logs = -0.5 * np.log(det) - shape * np.log(rate)  # of the evidence, up to a constant
    w = np.exp(logs - logs.max())
    return float(w @ below / w.sum())
