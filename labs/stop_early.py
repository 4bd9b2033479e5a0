"""How early can one tell that a neural network will not learn?

A small network is trained epoch by epoch. After every epoch it reports its accuracy, and ASHA (asynchronous successive
halving) compares it with the other networks at the same epoch: after epochs 2, 6, 18 and 54, only the best third goes
on. Most of the time is thus spent on networks that deserve it. The page that this lab writes shows the learning curves;
the short ones were stopped.

Run it:

    python labs/stop_early.py                                               # here
    ray job submit --working-dir . -- python labs/stop_early.py             # on a cluster that runs
    ray submit cluster.yaml labs/stop_early.py                              # on a cluster that `ray up` started
    raytune-hpo run labs/stop_early.py --num-trials 20                      # from the command line

The data come with scikit-learn: 1,797 pictures of 8 x 8 pixels.
"""

import argparse
import time
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier

import raytune_hpo as hpo

NUM_EPOCHS = 60
NUM_FOLDS = 3

# Learning rates from hopelessly slow to divergent, on a logarithmic scale; the extremes are there to be stopped.
space = {
    "learning_rate": hpo.loguniform(1e-5, 1.0),
    "momentum": hpo.uniform(0.0, 0.99),
    "batch_size": hpo.choice([16, 32, 64, 128]),
    "width": hpo.lograndint(8, 129),  # up to 128: the upper bound is not included
    "alpha": hpo.loguniform(1e-6, 1e-1),
}

# What is optimised, and how. The same settings serve this script and `raytune-hpo run`.
settings = {
    "metric": "accuracy",
    "mode": "max",
    "sampler": "random",
    "scheduler": {"name": "asha", "eta": 3, "min_steps": 2, "max_steps": NUM_EPOCHS},
    "num_trials": 100,
    "seed": 0,
}


def load_data():
    """The digits with pixels in [0, 1], a quarter of them held out: no trial ever sees these."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, test_size=0.25, stratify=y, random_state=0)


def build(config):
    """The network that a configuration describes, untrained."""
    return MLPClassifier(
        hidden_layer_sizes=(config["width"],),
        solver="sgd",
        learning_rate_init=config["learning_rate"],
        momentum=config["momentum"],
        batch_size=config["batch_size"],
        alpha=config["alpha"],
        random_state=0,
    )


def objective(config):
    """Cross-validated accuracy after every epoch: one network for each fold, trained side by side."""
    X, _, y, _ = load_data()
    folds = list(StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=0).split(X, y))
    networks = [build(config) for _ in folds]
    for epoch in range(1, NUM_EPOCHS + 1):
        scores = []
        for network, (train, valid) in zip(networks, folds, strict=True):
            network.partial_fit(X[train], y[train], classes=range(10))  # one pass over the training data
            scores.append(network.score(X[valid], y[valid]))
        hpo.report(accuracy=sum(scores) / NUM_FOLDS, step=epoch)  # a network that falls behind ends in this line


def main():
    args = parse_args()
    run = {"num_trials": args.num_trials, "max_concurrent": args.max_concurrent, "storage": args.storage}
    results = hpo.tune(objective, space, **{**settings, **run}, name=args.name)

    # The winner learns from all the training data, and meets the held-out digits for the first time.
    X, X_test, y, y_test = load_data()
    network = build(results.best_config)
    for _ in range(NUM_EPOCHS):
        network.partial_fit(X, y, classes=range(10))
    test_accuracy = network.score(X_test, y_test)

    args.out.parent.mkdir(parents=True, exist_ok=True)
    results.plot.page(args.out)

    print(f"best configuration        {results.best_config}")
    print(f"cross-validated accuracy  {results.best_value:.4f}")
    print(f"held-out test accuracy    {test_accuracy:.4f}")
    saved = results.savings
    print(
        f"stopped early             {saved.num_pruned} of {len(results)} trials, which saved about {saved.saved_s:.0f} s"
    )
    print(f"history and curves        {args.out.resolve()}")
    print(f"look again                raytune-hpo show {args.name}; on another machine with --address ADDRESS")


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-trials", type=int, default=settings["num_trials"], help="how many configurations to try")
    parser.add_argument("--max-concurrent", type=int, help="how many at the same time (default: as many as fit)")
    parser.add_argument("--storage", help="URL of the journal (default: SQLite in ~/.raytune_hpo)")
    parser.add_argument("--name", default=f"stop-early-{time.strftime('%Y%m%d-%H%M%S')}", help="of the study")
    parser.add_argument("--out", type=Path, default=Path("stop_early.html"), help="where the page goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
