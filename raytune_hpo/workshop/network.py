"""The small neural network that the labs tune: one hidden layer, trained on scikit-learn's digits with plain numpy.

X   (n, 64)      pictures of 8 x 8 pixels between 0 and 1
y   (n,)         the digits they show
W   (64, width), (width,), (width, 10), (10,): the weights, always in this order
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

Weights: TypeAlias = list[np.ndarray]
NUM_CLASSES = 10
_TINY = 1e-8  # keeps Adagrad from dividing by zero


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The data: X, y to train on (1,347 pictures), and X_valid, y_valid to test on (450)."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    X, X_valid, y, y_valid = train_test_split(X / 16, y, test_size=0.25, stratify=y, random_state=0)
    return X, y, X_valid, y_valid


def initial(width: int, rng: np.random.Generator) -> Weights:
    """Random initial weights, scaled so that the values of all layers have about the same variance (He et al. 2015)."""
    into, out = rng.normal(0, np.sqrt(2 / 64), (64, width)), rng.normal(0, np.sqrt(2 / width), (width, NUM_CLASSES))
    return [into, np.zeros(width), out, np.zeros(NUM_CLASSES)]


def probabilities(W: Weights, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hidden layer's values, and the probability of each digit for each picture."""
    hidden = np.maximum(X @ W[0] + W[1], 0)
    scores = hidden @ W[2] + W[3]
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, likely / likely.sum(axis=1, keepdims=True)


def gradient(W: Weights, X: np.ndarray, y: np.ndarray) -> Weights:
    """The gradient of the mean cross-entropy with respect to every weight."""
    hidden, wrong = probabilities(W, X)
    wrong[np.arange(len(y)), y] -= 1
    wrong /= len(y)
    back = (wrong @ W[2].T) * (hidden > 0)
    return [X.T @ back, back.sum(axis=0), hidden.T @ wrong, wrong.sum(axis=0)]


def accuracy(W: Weights, X: np.ndarray, y: np.ndarray) -> float:
    """The share of pictures that are classified correctly; about 0.1 for a network that diverged."""
    with np.errstate(all="ignore"):
        return float(np.mean(probabilities(W, X)[1].argmax(axis=1) == y))


def train(
    X: np.ndarray,
    y: np.ndarray,
    *,
    learning_rate: float,
    batch_size: int = 32,
    momentum: float = 0.0,
    width: int = 32,
    optimizer: str = "sgd",
    epochs: int = 5,
    seed: int = 0,
) -> Weights:
    """Train a network; the same arguments give the same network, to the last digit.

    Args:
        optimizer: "sgd", stochastic gradient descent with ``momentum``; or "adagrad" (Duchi et al. 2011), which takes
            smaller steps for weights that have moved a lot, and ignores ``momentum``.
        epochs: how often every picture is seen.

    Raises:
        ValueError: there is no such optimizer.
    """
    if optimizer not in ("sgd", "adagrad"):
        raise ValueError(f'optimizer is "sgd" or "adagrad", got {optimizer!r}')
    rng = np.random.default_rng(seed)
    W = initial(width, rng)
    memory = [np.zeros_like(w) for w in W]
    with np.errstate(all="ignore"):  # too large a learning rate leads to NaN and infinity
        for _ in range(epochs):
            order = rng.permutation(len(y))
            for start in range(0, len(y), batch_size):
                batch = order[start : start + batch_size]
                _step(W, memory, gradient(W, X[batch], y[batch]), optimizer, learning_rate, momentum)
    return W


def _step(W: Weights, memory: Weights, slope: Weights, optimizer: str, learning_rate: float, momentum: float) -> None:
    """One step of the optimizer, in place."""
    for w, m, g in zip(W, memory, slope, strict=True):
        if optimizer == "sgd":
            m *= momentum
            m -= learning_rate * g
            w += m
        else:
            m += g**2
            w -= learning_rate * g / (np.sqrt(m) + _TINY)
