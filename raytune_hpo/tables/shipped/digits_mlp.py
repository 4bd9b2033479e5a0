"""The objective behind the table ``digits-mlp``: small networks that learn handwritten digits, epoch by epoch.

    export OMP_NUM_THREADS=1
    cd raytune_hpo/tables/shipped
    raytune-hpo tabulate digits_mlp.py --rows 512 --workers 1 --local --out digits-mlp.csv

scikit-learn's digits are 1,797 pictures of 8 x 8 pixels, the test part of the data that E. Alpaydin and C. Kaynak gave to
the UCI Machine Learning Repository (doi 10.24432/C50P49, CC BY 4.0). A network learns from 1,000 of them and is judged by
the other 797. Times are CPU seconds, so that they do not depend on what else the machine did.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from raytune_hpo.space import Choice, Float, Int, Ordinal

NUM_EPOCHS = 20
NUM_TRAINING = 1_000
_DIGITS = 5  # decimals of a stored value

space = {
    "learning_rate": Float(1e-4, 0.5, log=True),
    "momentum": Float(0.0, 0.99),
    "alpha": Float(1e-6, 1.0, log=True),
    "width": Int(8, 256, log=True),
    "batch_size": Ordinal([16, 32, 64, 128, 256]),
    "activation": Choice(["relu", "tanh", "logistic"]),
}
settings = {"metric": "accuracy", "mode": "max", "seed": 0}


def objective(config: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Accuracy and log loss on the held-out pictures, and the time taken, after every epoch."""
    from sklearn.metrics import log_loss
    from sklearn.neural_network import MLPClassifier

    X, X_valid, y, y_valid = _data()
    begin = time.thread_time()
    network = MLPClassifier(
        (config["width"],),
        solver="sgd",
        learning_rate_init=config["learning_rate"],
        momentum=config["momentum"],
        alpha=config["alpha"],
        batch_size=config["batch_size"],
        activation=config["activation"],
        random_state=0,
    )
    for _ in range(NUM_EPOCHS):
        network.partial_fit(X, y, classes=range(10))
        P = network.predict_proba(X_valid)
        said = {
            "accuracy": (P.argmax(axis=1) == y_valid).mean(),
            "loss": log_loss(y_valid, P),
            "cost_s": time.thread_time() - begin,
        }
        yield {name: round(float(value), _DIGITS) for name, value in said.items()}


@cache
def _data() -> Any:
    """Pictures for training and for testing, with pixels in [0, 1], and the digits that they show."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, train_size=NUM_TRAINING, stratify=y, random_state=0)
