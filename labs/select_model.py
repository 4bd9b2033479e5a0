"""Which model reads handwritten digits best, and with which settings?

Four kinds of models compete: a support vector machine, a random forest, gradient boosting and a neural network. Each
has settings of its own, so the search space is *conditional*: first a kind is chosen, then only that kind's settings
exist. Every candidate is judged by cross-validation, fold by fold; one that does poorly on the first folds is not worth
the others and is stopped early.

Run it:

    python labs/select_model.py                                             # here
    ray job submit --working-dir . -- python labs/select_model.py           # on a cluster that runs
    ray submit cluster.yaml labs/select_model.py                            # on a cluster that `ray up` started
    raytune-hpo run labs/select_model.py --num-trials 10                    # from the command line

The data come with scikit-learn: 1,797 pictures of 8 x 8 pixels.
"""

import argparse
import time
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import raytune_hpo as hpo

NUM_FOLDS = 5

# The search space is a dict. A choice of dicts is a branch: the chosen dict stands where the choice stood, so an
# objective finds config["model"]["C"] only if config["model"]["kind"] is "svm".
space = {
    "model": hpo.choice(
        [
            {"kind": "svm", "C": hpo.loguniform(1e-2, 1e3), "gamma": hpo.loguniform(1e-5, 1e-1)},
            {
                "kind": "forest",
                "n_estimators": hpo.randint(20, 151),  # up to 150: the upper bound is not included
                "max_features": hpo.uniform(0.05, 0.6),
                "min_samples_leaf": hpo.randint(1, 9),
            },
            {
                "kind": "boosting",
                "learning_rate": hpo.loguniform(0.03, 0.5),
                "max_iter": hpo.randint(10, 81),
                "max_leaf_nodes": hpo.lograndint(4, 33),
            },
            {
                "kind": "mlp",
                "width": hpo.lograndint(16, 129),
                "alpha": hpo.loguniform(1e-6, 1e-1),
                "learning_rate_init": hpo.loguniform(1e-4, 1e-1),
            },
        ]
    )
}

# What is optimised, and how. The same settings serve this script and `raytune-hpo run`.
settings = {
    "metric": "accuracy",
    "mode": "max",
    "sampler": "hyperopt",  # learns which kinds and settings did well, and tries more of these
    "scheduler": {"name": "asha", "eta": 2, "max_steps": NUM_FOLDS},  # after folds 1, 2 and 4 the better half goes on
    "num_trials": 60,
    "seed": 0,
}


def load_data():
    """The digits, a quarter of them held out: no trial ever sees these, so that they can judge the winner."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)


def build(config):
    """The model that a configuration describes."""
    options = dict(config["model"])
    kind = options.pop("kind")
    if kind == "svm":
        return make_pipeline(StandardScaler(), SVC(**options))
    if kind == "forest":
        return RandomForestClassifier(**options, random_state=0)
    if kind == "boosting":
        return HistGradientBoostingClassifier(**options, early_stopping=False, random_state=0)
    width = options.pop("width")
    network = MLPClassifier(hidden_layer_sizes=(width,), **options, early_stopping=True, random_state=0)
    return make_pipeline(StandardScaler(), network)


def objective(config):
    """Cross-validated accuracy of one configuration.

    This runs in a worker process, anywhere on the cluster. It loads its data itself, because they come with
    scikit-learn; arrays of your own would travel once, with ``hpo.with_parameters(objective, X=X, y=y)``.
    """
    X, _, y, _ = load_data()
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=0)  # the same folds for every trial: a fair contest
    scores = []
    for train, valid in folds.split(X, y):
        scores.append(build(config).fit(X[train], y[train]).score(X[valid], y[valid]))
        hpo.report(accuracy=sum(scores) / len(scores))  # the mean so far; a hopeless trial ends in this line


def main():
    args = parse_args()
    run = {"num_trials": args.num_trials, "max_concurrent": args.max_concurrent, "storage": args.storage}
    results = hpo.tune(objective, space, **{**settings, **run}, name=args.name)

    # The winner learns from all the training data, and meets the held-out digits for the first time.
    X, X_test, y, y_test = load_data()
    test_accuracy = build(results.best_config).fit(X, y).score(X_test, y_test)

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
    parser.add_argument("--name", default=f"select-model-{time.strftime('%Y%m%d-%H%M%S')}", help="of the study")
    parser.add_argument("--out", type=Path, default=Path("select_model.html"), help="where the page goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
