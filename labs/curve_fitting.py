# %% [markdown]
# # Curve fitting: what the training data cannot tell you
#
# A model is good if it *generalises*: if it is right about data that it has not seen, and not only about the data that it
# learned from. We fit polynomials to a few noisy points. The *coefficients* of a polynomial are its **parameters**: a
# formula finds them from the data. Its *degree* is a **hyperparameter**: somebody has to choose it before the formula can
# be used. This lab shows why the training data cannot choose it, and what can.
#
# You need no cluster here, only Python. In a terminal: `python labs/curve_fitting.py`.

# %%
import numpy as np

from raytune_hpo import workshop

# %% [markdown]
# ## The data
#
# Nature follows $y = \sin(\pi x)$ for $x$ between -1 and 1. We see 30 points of it, each with a measuring error. In real
# life nobody shows us the curve; and nobody gives us the other 1,000 points, the *test data*, which we keep for judging.


# %%
def measure(num_points, rng):
    """Some points x, and what was measured there."""
    x = rng.uniform(-1, 1, num_points)
    return x, np.sin(np.pi * x) + rng.normal(0, 0.3, num_points)


x, y = measure(30, np.random.default_rng(6))
x_test, y_test = measure(1_000, np.random.default_rng(1))
print(f"points to learn from  {len(x)}")

# %% [markdown]
# ## A polynomial is a matrix times a vector
#
# A polynomial of degree $d$ is $\hat y = \beta_0 + \beta_1 x + \dots + \beta_d x^d$. Write the powers of each $x_i$ into
# a row of a matrix $X$, and the predictions for all points are
#
# $$\hat y = X \beta.$$


# %%
def powers(x, degree):
    """One row 1, x, x^2, ..., x^degree for every point."""
    # >>> your turn: np.vander(x, columns, increasing=True) makes such rows. How many columns has degree 3?
    return np.vander(x, degree + 1, increasing=True)
    # <<<


assert np.asarray(powers(np.array([2.0]), 3)).tolist() == [[1, 2, 4, 8]], "the row of x = 2 should be 1, 2, 4, 8"

# %% [markdown]
# ## The best coefficients, by a formula
#
# Which $\beta$ makes the squared errors $\|y - X\beta\|^2$ as small as possible? Set the derivative to zero,
# $-2 X^\top (y - X \beta) = 0$, and out come the *normal equations*:
#
# $$X^\top X \, \beta = X^\top y, \qquad \beta = (X^\top X)^{-1} X^\top y.$$


# %%
def fit(x, y, degree):
    """The coefficients of the polynomial that comes closest to the points."""
    X = np.asarray(powers(x, degree))
    # >>> your turn: the normal equations. np.linalg.solve(A, b) finds the beta for which A @ beta = b;
    #     it is quicker and more exact than computing the inverse.
    return np.linalg.solve(X.T @ X, X.T @ y)
    # <<<


def predict(beta, x):
    return powers(x, len(beta) - 1) @ beta


three = fit(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]), degree=1)
assert three is not None, "fit should return the coefficients"
assert workshop.is_close(three, [1, 2]), "the line through these three points is 1 + 2 x"

# %% [markdown]
# ## Three degrees
#
# A straight line is too stiff for these points. Degree 3 looks right. Degree 15 bends to every error of the measurement.

# %%
line = np.linspace(-1, 1, 400)
figure = workshop.figure("Polynomials through 30 points", x="x", y="y")
figure.add_scatter(x=x, y=y, mode="markers", name="points", marker={"color": "#22262e", "size": 7})
for degree in (1, 3, 15):
    figure.add_scatter(x=line, y=predict(fit(x, y, degree), line), mode="lines", name=f"degree {degree}")
figure.update_yaxes(range=[-2.2, 2.2])
workshop.show(figure, "curve_fitting_polynomials")

# %% [markdown]
# ## How wrong is it?
#
# The *mean squared error* says it in one number: $\mathrm{MSE} = \frac1n \sum_i (y_i - \hat y_i)^2$. Computed on the points
# that the polynomial was fitted to, it is the *training error*. Computed on points it has never seen, it is the *test
# error*, and that is the one we care about.


# %%
def error(beta, x, y):
    """The mean squared error of a polynomial on some points."""
    # >>> your turn: the mean of the squared differences; predict(beta, x) is y hat
    return np.mean((y - predict(beta, x)) ** 2)
    # <<<


degrees = np.arange(16)
train_error = np.array([error(fit(x, y, degree), x, y) for degree in degrees])
test_error = np.array([error(fit(x, y, degree), x_test, y_test) for degree in degrees])

found = error(np.array([0.0]), np.array([1.0, 2.0]), np.array([1.0, 3.0]))
assert workshop.is_close(found, 5), "predicting 0 where 1 and 3 were measured is wrong by (1 + 9) / 2 = 5"

# %%
title = "The training error keeps falling, the test error rises again"
figure = workshop.figure(title, x="degree", y="MSE", log_y=True)
figure.add_scatter(x=degrees, y=train_error, mode="lines+markers", name="training error")
figure.add_scatter(x=degrees, y=test_error, mode="lines+markers", name="test error")
workshop.show(figure, "curve_fitting_errors")

print(f"smallest training error at degree  {degrees[train_error.argmin()]}")
print(f"smallest test error at degree      {degrees[test_error.argmin()]}")

# %% [markdown]
# ## Generalisation
#
# A polynomial of degree 4 can do all that one of degree 3 can, and more. So on the training data it is never worse: the
# training error would always choose the largest degree. What it gains at the end is the noise, learned by heart. To
# *generalise* is the opposite of learning by heart, and only the test error measures it.
#
# ## Cross-validation: a test without test data
#
# We have no test data in real life, but we can pretend to. Cut the 30 points into 10 *folds* of 3. Leave one fold
# out, fit to the other nine, and look how wrong the polynomial is on the fold it has not seen. Do so for each fold:
#
# $$\mathrm{CV}(d) = \frac1{10} \sum_{k=1}^{10} \mathrm{MSE}\big(\text{fitted without fold } k, \text{ on fold } k\big).$$


# %%
def cv_error(x, y, degree, num_folds=10):
    """The mean error on points that were left out of the fit."""
    fold = np.arange(len(x)) % num_folds  # 0, 1, ... 9, 0, 1, ...: the points came in random order
    errors = []
    for k in range(num_folds):
        seen, unseen = fold != k, fold == k
        # >>> your turn: fit to x[seen], y[seen]; then append the error on x[unseen], y[unseen] to errors
        beta = fit(x[seen], y[seen], degree)
        errors.append(error(beta, x[unseen], y[unseen]))
        # <<<
    assert np.size(errors) == num_folds, "every fold should have appended one error"
    return np.mean(errors)


found = cv_error(np.array([-1.0, 0.0, 1.0]), np.array([0.0, 0.0, 3.0]), degree=0, num_folds=3)
assert workshop.is_close(found, (1.5**2 + 1.5**2 + 3**2) / 3), "fit to the seen points, judge on the unseen ones"

validation_error = np.array([cv_error(x, y, degree) for degree in degrees])
chosen = degrees[validation_error.argmin()]
print(f"degree chosen by cross-validation  {chosen}")

# %%
title = "Cross-validation finds the turning point without test data"
figure = workshop.figure(title, x="degree", y="MSE", log_y=True)
curves = {"training": train_error, "test": test_error, "cross-validation": validation_error}
for name, values in curves.items():
    figure.add_scatter(x=degrees, y=values, mode="lines+markers", name=name)
figure.add_vline(x=chosen, line={"dash": "dot", "color": "#8a8f98"}, annotation_text="chosen")
figure.update_yaxes(range=[-2.6, 1])  # powers of ten
workshop.show(figure, "curve_fitting_cross_validation")

# %% [markdown]
# ## Was that luck?
#
# One data set proves little. So measure 30 points again and again, and let both rules choose each time. What matters is
# the test error of what was chosen, compared with that of the best degree, which only the test data know.

# %%
num_repeats = workshop.size(300, quick=60)
rng = np.random.default_rng(2)
by_training, by_cv, best_possible = [], [], []
for _ in range(num_repeats):
    x_new, y_new = measure(30, rng)
    on_test = np.array([error(fit(x_new, y_new, degree), x_test, y_test) for degree in degrees])
    on_train = np.array([error(fit(x_new, y_new, degree), x_new, y_new) for degree in degrees])
    by_training.append(on_test[on_train.argmin()])
    by_cv.append(on_test[np.argmin([cv_error(x_new, y_new, degree) for degree in degrees])])
    best_possible.append(on_test.min())

print(f"median test error, degree chosen by training error    {np.median(by_training):.3f}")
print(f"median test error, degree chosen by cross-validation  {np.median(by_cv):.3f}")
print(f"median test error, best degree there is               {np.median(best_possible):.3f}")

# %%
title = "What the two rules choose, over many data sets"
figure = workshop.figure(title, x="test error", y="", log_x=True)
rules = {"training error": by_training, "cross-validation": by_cv, "best possible": best_possible}
for name, values in rules.items():
    figure.add_box(x=values, name=name, showlegend=False)
figure.update_xaxes(range=[-1.2, 2])  # powers of ten; training error is sometimes far beyond
workshop.show(figure, "curve_fitting_rules")

# %% [markdown]
# ## What to take with you
#
# * A model should generalise. How well it fits the data that it learned from says nothing about that.
# * Parameters are learned from the training data. Hyperparameters are not: the training data always want more freedom.
# * Judge a hyperparameter on data that the fit has not seen. Cross-validation gets such data out of those you have.
# * We tried all sixteen degrees. With four hyperparameters of ten values each that would be 10,000 fits, times ten folds.
#   How to do with far fewer is what the other labs are about.
#
# **To try.** Measure 300 points instead of 30: which degree is chosen now, and how much worse is degree 15? What happens
# with 3 folds, and with 30 (then every point is a fold of its own)?

# %%
# What this lab says, checked:
assert (np.diff(train_error) < 1e-6).all(), "the training error keeps falling"
assert test_error[-1] > 2 * test_error.min(), "the test error rises again"
assert test_error[chosen] < 1.15 * test_error.min(), "cross-validation chooses a degree near the best"
assert np.median(by_cv) < 1.25 * np.median(best_possible), "and not only on this data set"
assert np.median(by_cv) < 0.5 * np.median(by_training), "the training error does not"
