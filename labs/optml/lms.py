"""An LMS filter: next month's sunspot number from the last five, w <- w + step_size * error * numbers.

raytune-hpo optml labs/optml/lms.py labs/optml/lms.txt
"""

import numpy as np
from sunspots import monthly_sunspots, windows

LENGTH = 5  # how many months the filter sees
PASSES = 60  # over the training months
valid_range = (0, 1)  # a filter that is worse than always saying the mean has diverged, or learned nothing


def generate_data():
    """The first 2,500 months to learn from, the others to be tested on."""
    numbers, following = windows(monthly_sunspots(), LENGTH)
    return {"train": (numbers[:2500], following[:2500]), "test": (numbers[2500:], following[2500:])}


def initialization(data, hyperparameters):
    return np.zeros(LENGTH)


def train(model, data, hyperparameters):
    weights, step_size = model, hyperparameters["step_size"]
    with np.errstate(all="ignore"):  # a filter that diverges runs off to infinity: its error will say so
        for _ in range(PASSES):
            for numbers, following in zip(*data["train"], strict=True):
                error = following - weights @ numbers
                weights = weights + step_size * error * numbers
    return weights


def test_error(model, data):
    """The variance that is left, as a share of what there was: 0 is perfect, 1 is no better than the mean."""
    numbers, following = data["test"]
    with np.errstate(all="ignore"):
        return np.var(following - numbers @ model) / np.var(following)
