"""Real training on the data sets that come with scikit-learn, 10 to 200 ms an evaluation: tasks that anyone has.

    python benchmarks/tasks/live.py [TASK ...]    # searches at random, and prints scales like those that stand below

Each loss is a cross-validated error on fixed folds with fixed seeds. The best losses that stand below are the lowest that
random search and our samplers found in a few hundred trials.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raytune_hpo.space import Choice, Float, Int, Ordinal, Space

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tasks.task import Outcome, Task

Config = Mapping[str, Any]
_FOLDS = 3


@dataclass(frozen=True, kw_only=True)
class _Live:
    """A live task before it is loaded.

    Attributes:
        model: a configuration's estimator.
        error: a name of scikit-learn's scorers, which are maximised.
        scales: the best loss that was found, and the median of random ones.
    """

    data: str
    tags: tuple[str, ...]
    domains: Mapping[str, Any]
    model: Callable[[Config], Any]
    error: str
    scales: tuple[float, float]
    rows: int | None = None


def names() -> list[str]:
    return list(_TASKS)


def load(name: str) -> Task:
    """One task; scikit-learn is imported when it is first evaluated."""
    live = _TASKS[name]
    best, median = live.scales
    return Task(
        name=name,
        tags=("live", *live.tags),
        space=Space(live.domains),
        best=best,
        median=median,
        evaluate=functools.partial(_evaluate, live),
    )


def _evaluate(live: _Live, config: Config) -> Outcome:
    from sklearn.model_selection import KFold, cross_val_score

    x, y = _data(live.data, live.rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # networks that have not converged are what is being compared
        try:
            scores = cross_val_score(live.model(config), x, y, cv=KFold(_FOLDS), scoring=live.error)
        except ValueError:  # the model became infinite on its way: a failed trial
            return Outcome(float("nan"))
    return Outcome(-float(np.mean(scores)))


@functools.cache
def _data(name: str, rows: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets of a bundled data set, shuffled in one fixed way; targets of unit variance if real."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))[:rows]
    x, y = x[order], y[order]
    return x, y / y.std() if y.dtype.kind == "f" else y


# ------------------------------------------------------------------------------------------------ models


def _svm(config: Config) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    kernel = dict(config["kernel"])
    return make_pipeline(_scaler(config["scaler"]), SVC(C=config["C"], max_iter=5000, **kernel))


def _boosting(config: Config) -> Any:
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(random_state=0, **config)


def _network(config: Config) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline

    reduce = config["reduce"]
    before = [PCA(reduce["share"], random_state=0)] if reduce["name"] == "pca" else []
    network = MLPClassifier(
        (config["width"],) * config["depth"], alpha=config["alpha"], max_iter=40, random_state=0, **config["train"]
    )
    return make_pipeline(_scaler(config["scaler"]), *before, network)


def _any_model(config: Config) -> Any:
    from sklearn import ensemble, linear_model, neighbors
    from sklearn.pipeline import make_pipeline

    makers = {
        "logistic": functools.partial(linear_model.LogisticRegression, max_iter=200),
        "neighbours": neighbors.KNeighborsClassifier,
        "forest": functools.partial(ensemble.RandomForestClassifier, random_state=0),
    }
    options = dict(config["model"])
    return make_pipeline(_scaler(config["scaler"]), makers[options.pop("name")](**options))


def _scaler(name: str) -> Any:
    from sklearn import preprocessing

    scalers = {"standard": preprocessing.StandardScaler, "minmax": preprocessing.MinMaxScaler}
    return scalers[name]() if name in scalers else "passthrough"


# ------------------------------------------------------------------------------------------------ tasks

_SCALERS = Choice(["standard", "minmax", "none"])
_GAMMA = Float(1e-5, 10, log=True)

_TASKS = {
    "live_svm_digits": _Live(
        data="digits",
        rows=500,
        tags=("conditional", "mixed"),
        domains={
            "C": Float(1e-3, 1e3, log=True),
            "scaler": _SCALERS,
            "kernel": Choice(
                [
                    {"kernel": "rbf", "gamma": _GAMMA},
                    {"kernel": "sigmoid", "gamma": _GAMMA, "coef0": Float(0, 2)},
                    {"kernel": "poly", "gamma": _GAMMA, "degree": Int(2, 5), "coef0": Float(0, 2)},
                ]
            ),
        },
        model=_svm,
        error="accuracy",
        scales=(-0.97, -0.102),
    ),
    "live_boosting_diabetes": _Live(
        data="diabetes",
        tags=("mixed",),
        domains={
            "learning_rate": Float(1e-3, 1, log=True),
            "n_estimators": Int(5, 60, log=True),
            "max_depth": Int(1, 8),
            "subsample": Float(0.2, 1.0),
            "min_samples_leaf": Int(1, 60, log=True),
            "max_features": Float(0.1, 1.0),
            "loss": Choice(["squared_error", "absolute_error", "huber"]),
        },
        model=_boosting,
        error="neg_mean_squared_error",
        scales=(0.499, 0.794),
    ),
    "live_network_digits": _Live(
        data="digits",
        rows=400,
        tags=("conditional", "mixed"),
        domains={
            "scaler": _SCALERS,
            "reduce": Choice([{"name": "none"}, {"name": "pca", "share": Float(0.3, 0.99)}]),
            "width": Ordinal([8, 16, 32, 64]),
            "depth": Int(1, 3),
            "alpha": Float(1e-6, 10, log=True),
            "train": Choice(
                [
                    {"solver": "adam", "learning_rate_init": Float(1e-4, 1e-1, log=True), "beta_1": Float(0.5, 0.99)},
                    {"solver": "sgd", "learning_rate_init": Float(1e-3, 1, log=True), "momentum": Float(0, 0.99)},
                ]
            ),
        },
        model=_network,
        error="neg_log_loss",
        scales=(0.147, 1.25),
    ),
    "live_models_cancer": _Live(
        data="breast_cancer",
        tags=("conditional", "mixed"),
        domains={
            "scaler": _SCALERS,
            "model": Choice(
                [
                    {"name": "logistic", "C": Float(1e-4, 1e4, log=True)},
                    {
                        "name": "neighbours",
                        "n_neighbors": Int(1, 60, log=True),
                        "weights": Choice(["uniform", "distance"]),
                        "p": Choice([1, 2]),
                    },
                    {
                        "name": "forest",
                        "n_estimators": Int(5, 60, log=True),
                        "max_features": Float(0.05, 1.0),
                        "min_samples_leaf": Int(1, 50, log=True),
                    },
                ]
            ),
        },
        model=_any_model,
        error="neg_log_loss",
        scales=(0.0764, 0.223),
    ),
}


def main(num: int = 150) -> None:
    """The scales of tasks: the best of many random configurations, and their median."""
    for name in sys.argv[1:] or names():
        task = load(name)
        losses = [task.evaluate(config).loss for config in task.space.sample(num, np.random.default_rng(12345))]
        failed = int(np.isnan(losses).sum())
        print(f"{name}: scales=({np.nanmin(losses):.6g}, {np.nanmedian(losses):.6g})  failed {failed} of {num}")


if __name__ == "__main__":
    main()
