"""A kernel LMS filter: every training month becomes a centre, with a weight of step_size times the error made on it.

    f(x) = sum_i step_size * e_i * exp(-|x - c_i|^2 / (2 width^2)),   e_i = d_i - f(c_i) as it was before i was added

    raytune-hpo optml labs/optml/kernel_lms.py labs/optml/kernel_lms.txt

Liu, Pokharel, Principe 2008, The kernel least-mean-square algorithm.
"""

import numpy as np
from sunspots import monthly_sunspots, windows

LENGTH = 5
valid_range = (0, 1)


def generate_data():
    """As for the plain filter, in units in which most numbers lie below one."""
    numbers, following = windows(monthly_sunspots() / 100, LENGTH)
    return {"train": (numbers[:2500], following[:2500]), "test": (numbers[2500:], following[2500:])}


def initialization(data, hyperparameters):
    """No centre has a weight yet."""
    return {"centres": data["train"][0], "weights": np.zeros(2500), "width": hyperparameters["width"]}


def kernel(x, centres, width):
    return np.exp(-np.sum((centres - x) ** 2, axis=-1) / (2 * width**2))


def train(model, data, hyperparameters):
    """The model is changed in place, so nothing is returned."""
    centres, weights, width = model["centres"], model["weights"], model["width"]
    with np.errstate(all="ignore"):
        for i, (numbers, following) in enumerate(zip(*data["train"], strict=True)):
            predicted = weights[:i] @ kernel(numbers, centres[:i], width)
            weights[i] = hyperparameters["step_size"] * (following - predicted)


def test_error(model, data):
    """The variance that is left, as a share of what there was."""
    numbers, following = data["test"]
    with np.errstate(all="ignore"):
        predicted = np.array([model["weights"] @ kernel(x, model["centres"], model["width"]) for x in numbers])
        return np.var(following - predicted) / np.var(following)
