# %% [markdown]
# # Curve fitting: why a hyperparameter cannot be learned from the training data
#
# We fit polynomials to a few noisy points. The *coefficients* of a polynomial are its **parameters**: a formula finds
# them from the data. Its *degree* is a **hyperparameter**: we choose it before the formula is used. This lab shows why the
# training data cannot choose it, and what can.
#
# You need no cluster here, only Python. From a terminal the lab runs as `python labs/curve_fitting.py`.

# %%
import numpy as np

from raytune_hpo import workshop

# %% [markdown]
# ## The data
#
# Nature follows $y = \sin(2 \pi x)$. We see 30 points of it, each with a measuring error. In real life nobody tells us
# the curve, and nobody gives us the second set of points: 1,000 that we keep for judging, the *test data*.


# %%
def measure(num_points, rng):
    """Points x in [0, 1] and what was measured there."""
    x = rng.uniform(0, 1, num_points)
    return x, np.sin(2 * np.pi * x) + rng.normal(0, 0.3, num_points)


x, y = measure(30, np.random.default_rng(0))
x_test, y_test = measure(1_000, np.random.default_rng(1))

# %% [markdown]
# ## One polynomial
#
# A polynomial of degree $d$ is $\hat y = \beta_0 + \beta_1 x + \dots + \beta_d x^d$. With the powers of every $x_i$ in a
# row of the matrix $X$, that is
#
# $$\hat y = X \beta.$$


# %%
def powers(x, degree):
    """One row (1, x, x^2, ... x^degree) for every point."""
    # >>> your turn: np.vander(x, columns, increasing=True) makes rows of powers; how many columns has degree d?
    return np.vander(x, degree + 1, increasing=True)
    # <<<


assert powers(np.array([2.0]), 3).tolist() == [[1, 2, 4, 8]]
