"""A network with one hidden layer that reads handwritten digits, in numpy alone.

h = tanh(x A + a),   p = softmax(h B + b),   trained by steps of learning_rate down the gradient of -log p

raytune-hpo optml labs/optml/one_hidden_layer.py labs/optml/one_hidden_layer.txt
"""

import numpy as np

EPOCHS, BATCH = 60, 32
valid_range = (0, 1)


def generate_data():
    """Pictures of 8 x 8 pixels that come with scikit-learn; a quarter of them to be tested on."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, test_size=0.25, stratify=y, random_state=0)
    return {"train": (X, y), "test": (X_test, y_test)}


def initialization(data, hyperparameters):
    """Small random weights, the same for each width whenever and wherever this runs."""
    width, num_inputs = hyperparameters["width"], data["train"][0].shape[1]
    rng = np.random.default_rng(0)
    return {
        "A": rng.normal(scale=num_inputs**-0.5, size=(num_inputs, width)),
        "a": np.zeros(width),
        "B": rng.normal(scale=width**-0.5, size=(width, 10)),
        "b": np.zeros(10),
    }


def forward(model, X):
    """The hidden layer, and the logits of the ten digits."""
    hidden = np.tanh(X @ model["A"] + model["a"])
    return hidden, hidden @ model["B"] + model["b"]


def train(model, data, hyperparameters):
    X, y = data["train"]
    rng = np.random.default_rng(1)
    with np.errstate(all="ignore"):  # what diverges becomes NaN, and test_error says so
        for _ in range(EPOCHS):
            for batch in np.array_split(rng.permutation(len(X)), len(X) // BATCH):
                step(model, X[batch], y[batch], hyperparameters["learning_rate"])
    return model


def step(model, X, y, learning_rate):
    """One step down the gradient, which is the chain rule written from the output backwards."""
    hidden, logits = forward(model, X)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1  # now the gradient by the logits
    p /= len(y)
    back = (p @ model["B"].T) * (1 - hidden**2)
    for name, gradient in {"B": hidden.T @ p, "b": p.sum(0), "A": X.T @ back, "a": back.sum(0)}.items():
        model[name] -= learning_rate * gradient


def test_error(model, data):
    """The share of test pictures that are read wrongly."""
    X, y = data["test"]
    with np.errstate(all="ignore"):
        logits = forward(model, X)[1]
    return np.mean(logits.argmax(axis=1) != y) if np.isfinite(logits).all() else np.nan
