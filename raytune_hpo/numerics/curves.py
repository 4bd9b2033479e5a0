"""Where a learning curve is going: how probable it is that it ends below a value.

t  (n,)  steps, increasing, > 0      y  (n,)  losses reported there      T  the last step
g  (n,)  a shape: t^-c for one of k exponents c      w  (k,)  weights of the shapes

y = a + b g(t) + noise, for each shape a Bayesian linear regression, with weights by how probable the shape makes what
was seen. The priors are weak, and in units of the range that the curve has covered.

Domhan, Springenberg, Hutter: Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation
of Learning Curves. IJCAI 2015 (the idea and the rule). Bishop: Pattern Recognition and Machine Learning, 2006, section
3.3 and exercises 3.12, 3.13 (normal-inverse-gamma regression).
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.numerics.axes import Array

_EXPONENTS = np.geomspace(0.05, 2.5, 32)  # fewer leave gaps, and what is said is too certain
_PRIOR_SD = 3.0  # of a and b
_NOISE_SHAPE, _NOISE_SD = 2.0, 0.03  # inverse gamma: how many observations the prior is worth, and what it says


def probability_below(t: Array, y: Array, T: float, value: float) -> float:
    """P(the loss without noise at step T < value).

    Args:
        t: n >= 2 of them, two of them different.
    """
    from scipy.special import stdtr

    spread = float(y.max() - y.min())
    if spread == 0:
        return float(y[-1] < value)
    z, target = (y - y[-1]) / spread, (value - y[-1]) / spread
    shapes = (t / t[0]) ** -_EXPONENTS[:, None]
    G = np.stack([np.ones_like(shapes), shapes], axis=2)  # (k, n, 2)
    g = np.stack([np.ones(len(G)), (T / t[0]) ** -_EXPONENTS], axis=1)
    P = G.transpose(0, 2, 1) @ G + np.eye(2) * (_NOISE_SD / _PRIOR_SD) ** 2  # precisions in units of the noise's
    mean = np.linalg.solve(P, (z @ G)[:, :, None])[:, :, 0]
    left = z @ z - np.einsum("ki,kij,kj->k", mean, P, mean)
    shape = _NOISE_SHAPE + len(z) / 2
    rate = _NOISE_SHAPE * _NOISE_SD**2 + 0.5 * np.maximum(left, 0.0)  # rounding may take it below 0
    scale = np.sqrt(rate / shape * np.einsum("ki,ki->k", g, np.linalg.solve(P, g[:, :, None])[:, :, 0]))
    below = stdtr(2 * shape, (target - np.einsum("ki,ki->k", g, mean)) / scale)
    logs = -0.5 * np.linalg.slogdet(P)[1] - shape * np.log(rate)  # of the evidence, but for a constant
    w = np.exp(logs - logs.max())
    return float(w @ below / w.sum())
