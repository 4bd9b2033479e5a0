"""raytune_hpo as an optimizer of Bayesmark, the benchmark of the NeurIPS 2020 challenge. Needs its own environment.

    pip install bayesmark 'numpy<2' 'scikit-learn<1.5' 'pandas<3' 'setuptools<81' raytune_hpo
    PYTHON benchmarks/bayesmark_runs.py                # about an hour; writes results/bayesmark.json
    PYTHON benchmarks/bayesmark_runs.py --quick        # one problem, three calls: does it run?

``RaytuneHpo`` implements Bayesmark's optimizer interface with ``hpo.Study``, and can be used with Bayesmark's launcher,
too. This script runs the problems that need no downloads: models of scikit-learn, cross-validated on data that comes
with scikit-learn, by log loss; and it compares with Bayesmark's own random search. Bayesmark 0.0.8 was written for a
version of scikit-learn that still had the Boston housing data, which it names at import; nothing here uses that data.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import logging
import math
import statistics
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

datasets.load_boston = datasets.load_diabetes  # a name that is looked up at import, and data that nothing asks for

from bayesmark.abstract_optimizer import AbstractOptimizer  # noqa: E402
from bayesmark.builtin_opt.random_optimizer import RandomOptimizer  # noqa: E402
from bayesmark.experiment import run_study  # noqa: E402
from bayesmark.sklearn_funcs import SklearnModel  # noqa: E402

import raytune_hpo as hpo  # noqa: E402

OUT = Path(__file__).resolve().parent / "results" / "bayesmark.json"
MODELS, DATA, METRIC = ("DT", "SVM", "kNN", "lasso", "ada"), ("wine", "breast"), "nll"
SAMPLERS = ("auto", "tpe", "random")
THEIRS = "Bayesmark random search"
NUM_CALLS = 30


class Problem(SklearnModel):
    """A problem of Bayesmark's, whose scorer gives numpy's numbers, as scikit-learn's did at its time."""

    def __init__(self, model: str, data: str) -> None:
        super().__init__(model, data, METRIC)
        scorer = self.scorer
        self.scorer = lambda *args: np.float64(scorer(*args))


class RaytuneHpo(AbstractOptimizer):
    """A study of this package, asked and told by Bayesmark.

    Args:
        api_config: what Bayesmark says of each parameter.
        sampler: a name or options, as for ``hpo.Study``.
        seed: of the study.
    """

    primary_import = "raytune_hpo"

    def __init__(self, api_config: Mapping[str, Mapping[str, Any]], *, sampler: Any = "auto", seed: int = 0) -> None:
        super().__init__(api_config)
        space = {name: domain_of(about) for name, about in api_config.items()}
        self._study = hpo.Study(space, metric="loss", mode="min", sampler=sampler, seed=seed, storage="memory")
        self._asked: list[hpo.Trial] = []

    def suggest(self, n_suggestions: int = 1) -> list[dict[str, Any]]:
        self._asked = [self._study.ask() for _ in range(n_suggestions)]
        return [
            {name: value_of(self.api_config[name], value) for name, value in trial.config.items()}
            for trial in self._asked
        ]

    def observe(self, X: Sequence[Mapping[str, Any]], y: Sequence[float]) -> None:
        for trial, loss in zip(self._asked, y, strict=True):
            if math.isfinite(loss):
                self._study.tell(trial, float(loss))
            else:
                self._study.fail(trial, f"Bayesmark says {loss}")


opt_wrapper = RaytuneHpo  # the name by which Bayesmark's launcher finds an optimizer


def domain_of(about: Mapping[str, Any]) -> Any:
    """The domain of a parameter; what Bayesmark searches in logits is searched so here, too.

    Raises:
        ValueError: a warp that this adapter does not know.
    """
    if about["type"] == "bool":
        return hpo.choice([False, True])
    if about["type"] == "cat" or about.get("values") is not None:
        return hpo.choice(list(about["values"]))
    low, high = about["range"]
    warp = about.get("space", "linear")
    if about["type"] == "real" and warp == "logit":
        return hpo.uniform(_logit(low), _logit(high))
    if warp not in ("linear", "log"):
        raise ValueError(f"parameters are searched linearly, in logarithms or in logits, got {warp!r}")
    kind = hpo.Int if about["type"] == "int" else hpo.Float
    return kind(low, high, log=warp == "log")


def value_of(about: Mapping[str, Any], value: Any) -> Any:
    """A parameter as Bayesmark's model gets it."""
    if about["type"] == "real" and about.get("space") == "logit":
        return float(np.clip(1 / (1 + math.exp(-value)), *about["range"]))
    return value


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def run(model: str, data: str, optimizer: str, seed: int, num_calls: int) -> dict[str, Any]:
    """One search: the best loss that its optimizer saw, and how long the suggestions took."""
    problem = Problem(model, data)
    config = problem.get_api_config()
    made = (
        RandomOptimizer(config, random=np.random.RandomState(seed))
        if optimizer == THEIRS
        else RaytuneHpo(config, sampler=optimizer, seed=seed)
    )
    begin = time.perf_counter()
    evaluations, (suggesting, _, observing), _ = run_study(made, problem, num_calls, 1, n_obj=2)
    losses = evaluations[:, 0, 0]
    return {
        "problem": f"{model} on {data}", "optimizer": optimizer, "seed": seed, "calls": num_calls,
        "best": float(losses.min()), "median": float(np.median(losses)),
        "suggesting_s": round(float(suggesting.sum() + observing.sum()), 3),
        "seconds": round(time.perf_counter() - begin, 3),
    }  # fmt: skip


def scores(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """By problem and optimizer, as Bayesmark scores: 100 is the best loss that was found, 0 the middle of random search."""
    table: dict[str, dict[str, float]] = {}
    for problem in dict.fromkeys(run["problem"] for run in runs):
        found = [run for run in runs if run["problem"] == problem]
        best = min(run["best"] for run in found)
        middle = statistics.median(run["median"] for run in found if run["optimizer"] == THEIRS)
        table[problem] = {}
        for optimizer in dict.fromkeys(run["optimizer"] for run in found):
            losses = [run["best"] for run in found if run["optimizer"] == optimizer]
            table[problem][optimizer] = 100 * (1 - (statistics.mean(losses) - best) / max(middle - best, 1e-12))
    return table


def shown(table: Mapping[str, Mapping[str, float]]) -> str:
    """The scores in Markdown, with their means."""
    optimizers = list(next(iter(table.values())))
    lines = [f"| problem | {' | '.join(optimizers)} |", f"|---|{'--:|' * len(optimizers)}"]
    for problem, row in table.items():
        lines.append(f"| {problem} | {' | '.join(f'{row[each]:.1f}' for each in optimizers)} |")
    means = [statistics.mean(row[each] for row in table.values()) for each in optimizers]
    return "\n".join([*lines, f"| mean | {' | '.join(f'{mean:.1f}' for mean in means)} |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one problem, three calls, no file")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=NUM_CALLS)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    if args.quick:
        args.models, args.seeds, args.calls = ("DT",), 1, 3
    runs = []
    for model in args.models:
        for data in DATA[: 1 if args.quick else None]:
            for optimizer in (*SAMPLERS, THEIRS):
                runs += [run(model, data, optimizer, seed, args.calls) for seed in range(args.seeds)]
                print(*runs[-1].values(), file=sys.stderr, flush=True)
            if not args.quick:
                args.out.write_text(json.dumps({**circumstances(), "runs": runs}, indent=1) + "\n", encoding="utf-8")
    print(shown(scores(runs)))


def circumstances() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("bayesmark", "numpy", "scikit-learn")}
    return {"when": datetime.date.today().isoformat(), "raytune_hpo": hpo.__version__, **versions}


if __name__ == "__main__":
    main()
