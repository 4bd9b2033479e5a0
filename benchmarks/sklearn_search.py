"""Searches for scikit-learn compared: the quality of what they find, the number of fits, and the time.

    python benchmarks/sklearn_search.py                       # about six minutes on two cores
    python benchmarks/sklearn_search.py --only svm            # one of the tasks
    python benchmarks/sklearn_search.py --quick               # tiny sizes: does it run?

Each search tries the same number of candidates with five folds on two thirds of the rows, and is scored on the other
rows. The searches run one after the other, each with two workers: ``RandomizedSearchCV`` and ``HalvingRandomSearchCV``
with two processes of joblib, ``OptunaSearchCV`` with two threads, and ours with two processes on Ray, whose start is
not measured. ``random`` tries the candidates of ``RandomizedSearchCV``.

Needs ``pip install -e '.[bench]'``. Writes results/sklearn_search.json.
"""

from __future__ import annotations

import functools
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import one_core  # noqa: F401
from common import Figure, run, use_ray

# isort: split
import numpy as np
from scipy.stats import loguniform, randint
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import RandomForestRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import HalvingRandomSearchCV, RandomizedSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import raytune_hpo as hpo

NUM_SEEDS, NUM_CANDIDATES, NUM_FOLDS, NUM_PROCESSES = 5, 30, 5, 2
QUICK = {"num_seeds": 1, "num_candidates": 4}
ROWS = 900  # of the larger data sets

# ------------------------------------------------------------------------------------------------ tasks


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to be tuned.

    Attributes:
        distributions: as scikit-learn takes them.
        steps: how its training is cut into steps, where it can be.
    """

    load: Callable[..., Any]
    estimator: BaseEstimator
    distributions: Mapping[str, Any]
    steps: str | None = None

    def data(self, seed: int) -> tuple[Any, Any, Any, Any]:
        """Rows to tune on and rows to be scored on, and their targets."""
        X, y = self.load(return_X_y=True)
        rows = np.random.default_rng(seed).permutation(len(X))[:ROWS]
        return train_test_split(X[rows], y[rows], test_size=1 / 3, random_state=seed)


TASKS = {
    "svm": Task(
        load=load_digits,
        estimator=make_pipeline(StandardScaler(), SVC()),
        distributions={"svc__C": loguniform(1e-3, 1e3), "svc__gamma": loguniform(1e-6, 1e1)},
    ),
    "linear": Task(
        load=load_breast_cancer,
        estimator=make_pipeline(StandardScaler(), SGDClassifier(max_iter=300, tol=None, random_state=0)),
        distributions={
            "sgdclassifier__alpha": loguniform(1e-7, 1e1),
            "sgdclassifier__loss": ["hinge", "log_loss", "modified_huber", "squared_hinge"],
            "sgdclassifier__learning_rate": ["optimal", "invscaling", "constant"],
            "sgdclassifier__eta0": loguniform(1e-4, 1e1),
        },
        steps="sgdclassifier__max_iter",
    ),
    "forest": Task(
        load=load_diabetes,
        estimator=RandomForestRegressor(n_estimators=27, random_state=0),
        distributions={
            "max_features": randint(1, 11),
            "min_samples_leaf": randint(1, 60),
            "max_depth": randint(1, 20),
            "max_samples": loguniform(0.05, 1.0),
        },
        steps="n_estimators",
    ),
}

# ------------------------------------------------------------------------------------------------ contenders

Make = Callable[[Task, int, int], Any]  # (task, candidates, seed) -> a search


def of_scikit_learn(task: Task, num: int, seed: int) -> Any:
    return RandomizedSearchCV(
        task.estimator, task.distributions, n_iter=num, cv=NUM_FOLDS, n_jobs=NUM_PROCESSES, random_state=seed
    )


def halving(task: Task, num: int, seed: int) -> Any:
    return HalvingRandomSearchCV(
        task.estimator, task.distributions, n_candidates=num, cv=NUM_FOLDS, n_jobs=NUM_PROCESSES, random_state=seed
    )


def optuna(task: Task, num: int, seed: int) -> Any:
    import optuna as library
    from optuna_integration import OptunaSearchCV

    library.logging.set_verbosity(library.logging.ERROR)
    distributions = {name: _of_optuna(domain) for name, domain in task.distributions.items()}
    return OptunaSearchCV(
        clone(task.estimator), distributions, n_trials=num, cv=NUM_FOLDS, n_jobs=NUM_PROCESSES, random_state=seed
    )


def _of_optuna(domain: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, list):
        return CategoricalDistribution(domain)
    low, high = domain.support()
    if domain.dist.name == "randint":
        return IntDistribution(int(low), int(high))
    return FloatDistribution(low, high, log=True)


def ours(task: Task, num: int, seed: int, *, by_steps: bool = False, **settings: Any) -> Any:
    steps = task.steps if by_steps else None
    return hpo.sklearn.TunedSearchCV(
        task.estimator, task.distributions, n_iter=num, cv=NUM_FOLDS, steps=steps, random_state=seed, **settings
    )


CONTENDERS: dict[str, Make] = {
    "RandomizedSearchCV": of_scikit_learn,
    "HalvingRandomSearchCV": halving,
    "OptunaSearchCV": optuna,
    "ours, random": functools.partial(ours, sampler="random"),
    "ours, random, asha": functools.partial(ours, sampler="random", scheduler="asha"),
    "ours, auto": ours,
    "ours, auto, asha": functools.partial(ours, scheduler="asha"),
    "ours, auto, asha over steps": functools.partial(ours, scheduler="asha", by_steps=True),
}


@functools.cache  # once it was imported, optuna_integration denies that it is there
def contenders() -> dict[str, Make]:
    """Ours, and those that are installed."""
    has_optuna = importlib.util.find_spec("optuna_integration") is not None
    return {who: make for who, make in CONTENDERS.items() if has_optuna or make is not optuna}


# ------------------------------------------------------------------------------------------------ measuring


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search came to: scores in its folds and on rows that it has not seen, and what it cost."""

    cv_score: float
    held_out: float
    fits: float
    seconds: float


def play(make: Make, task: Task, num: int, seed: int) -> Found:
    X, X_test, y, y_test = task.data(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = make(task, num, seed)
        begin = time.perf_counter()
        search.fit(X, y)
        seconds = time.perf_counter() - begin
    return Found(
        cv_score=float(search.best_score_),
        held_out=float(search.best_estimator_.score(X_test, y_test)),
        fits=num_fits(search, num),
        seconds=seconds,
    )


def num_fits(search: Any, num: int) -> float:
    """In units of whole fits of a fold: those on fewer rows, or for fewer steps, count as parts."""
    table = getattr(search, "cv_results_", None)
    if isinstance(search, HalvingRandomSearchCV):
        return float(NUM_FOLDS * sum(table["n_resources"]) / search.n_resources_[-1])
    if isinstance(search, hpo.sklearn.TunedSearchCV) and "n_steps" in table:
        whole = NUM_FOLDS if search.steps is None else search.n_steps
        return float(NUM_FOLDS * sum(table["n_steps"]) / whole)
    return float(NUM_FOLDS * num)


def measure(quick: bool, name: str) -> list[Figure]:
    """A task: contenders take turns, seed by seed, after each has run once so that its processes are up."""
    use_ray()
    task, num_seeds, num, first = TASKS[name], NUM_SEEDS, NUM_CANDIDATES, -1
    if quick:
        num_seeds, num, first = QUICK["num_seeds"], QUICK["num_candidates"], 0
    makes = {who: make for who, make in contenders().items() if task.steps or not who.endswith("steps")}
    found: dict[str, list[Found]] = {who: [] for who in makes}
    for seed in range(first, num_seeds):
        for who, make in makes.items():
            if seed < 0:
                play(make, task, 2, 0)
            else:
                found[who].append(play(make, task, num, seed))
    return [figure for who in makes for figure in figures_of(name, who, found[who])]


def figures_of(name: str, who: str, found: Sequence[Found]) -> list[Figure]:
    seconds = statistics.median(each.seconds for each in found)
    detail = {
        "seeds": len(found),
        "cv_score": statistics.fmean(each.cv_score for each in found),
        "held_out_se": _standard_error([each.held_out for each in found]),
        "fits": statistics.fmean(each.fits for each in found),
        "seconds_of_seeds": [each.seconds for each in found],
        "held_out_of_seeds": [each.held_out for each in found],
    }
    score = statistics.fmean(each.held_out for each in found)
    return [
        Figure(name=f"{name} {who}", what=f"{name}: {who}, held-out score", measured=score, unit="", detail=detail),
        Figure(name=f"{name} {who} seconds", what=f"{name}: {who}, time", measured=seconds, unit="s"),
    ]


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


if __name__ == "__main__":
    run(__doc__, {name: functools.partial(measure, name=name) for name in TASKS})
