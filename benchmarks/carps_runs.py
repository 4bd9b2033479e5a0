"""raytune_hpo as an optimizer of CARP-S, the benchmark harness of automl.org. Needs its own environment.

    pip install carps ioh raytune_hpo
    PYTHON benchmarks/carps_runs.py                    # a few minutes; writes results/carps.json
    PYTHON benchmarks/carps_runs.py --quick            # one task, ten trials: does it run?

``RaytuneHpo`` implements CARP-S's optimizer interface with ``hpo.Study``. It can run every single-objective task of
CARP-S, and uses the full fidelity of tasks that have several; with hydra it is chosen by ``optimizer._target_``. This
script runs tasks of BBOB (Hansen et al. 2009, "Real-parameter black-box optimization benchmarking 2009: noiseless
functions definitions"), which need no downloads, as configured by CARP-S, and compares with CARP-S's own random search.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.resources
import json
import logging
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from carps.optimizers.optimizer import Optimizer
from carps.optimizers.random_search import RandomSearchOptimizer
from carps.utils.task import Task
from carps.utils.trials import StatusType, TrialInfo, TrialValue
from ConfigSpace import Configuration, ConfigurationSpace
from hydra.utils import instantiate
from omegaconf import OmegaConf

import raytune_hpo as hpo

OUT = Path(__file__).resolve().parent / "results" / "carps.json"
# A function of each group of BBOB: separable, moderately and badly conditioned, multi-modal with and without structure.
FUNCTIONS = {
    1: "sphere",
    8: "Rosenbrock",
    10: "ellipsoid, rotated",
    15: "Rastrigin, rotated",
    21: "Gallagher, 101 peaks",
}
DIMENSION, INSTANCE = 4, 0
SAMPLERS = ("auto", "gp", "tpe", "random")
THEIRS = "CARP-S random search"


class RaytuneHpo(Optimizer):
    """A study of this package, asked and told by CARP-S.

    Args:
        sampler: a name or options, as for ``hpo.Study``.
        seed: of the study.
    """

    def __init__(self, task: Task, loggers: list[Any] | None = None, *, sampler: Any = "auto", seed: int = 0) -> None:
        super().__init__(task, loggers)
        self._sampler, self._seed = sampler, seed
        self._configspace = task.objective_function.configspace
        self._asked: dict[str, hpo.Trial] = {}
        self._best: tuple[TrialInfo, TrialValue] | None = None

    def convert_configspace(self, configspace: ConfigurationSpace) -> hpo.Space:
        return hpo.Space(configspace)

    def convert_to_trial(self, trial: hpo.Trial) -> TrialInfo:
        config = Configuration(self._configspace, values=dict(trial.config))
        return TrialInfo(
            config=config, name=str(trial.number), budget=self.task.input_space.fidelity_space.max_fidelity
        )

    def _setup_optimizer(self) -> hpo.Study:
        return hpo.Study(
            self.convert_configspace(self._configspace), metric="cost", mode="min", sampler=self._sampler, seed=self._seed,
            num_trials=self.task.optimization_resources.n_trials, storage="memory",
        )  # fmt: skip

    def ask(self) -> TrialInfo:
        info = self.convert_to_trial(trial := self.solver.ask())
        self._asked[info.name] = trial
        return info

    def tell(self, trial_info: TrialInfo, trial_value: TrialValue) -> None:
        trial = self._asked.pop(trial_info.name)
        if trial_value.status != StatusType.SUCCESS:
            self.solver.fail(trial, f"CARP-S says {trial_value.status.name}")
            return
        self.solver.tell(trial, float(trial_value.cost))
        if self._best is None or trial_value.cost < self._best[1].cost:
            self._best = trial_info, trial_value

    def get_current_incumbent(self) -> tuple[TrialInfo, TrialValue] | None:
        return self._best


def task_of(function: int, seed: int, num_trials: int | None) -> Task:
    """A task of BBOB from the files that CARP-S comes with."""
    path = importlib.resources.files("carps.configs.task.BBOB") / f"cfg_{DIMENSION}_{function}_{INSTANCE}.yaml"
    config = OmegaConf.create({"seed": seed, **OmegaConf.create(path.read_text(encoding="utf-8"))})
    if num_trials is not None:
        config.task.optimization_resources.n_trials = num_trials
    return instantiate(config.task)


def run(function: int, optimizer: str, seed: int, num_trials: int | None = None) -> dict[str, Any]:
    """One search: how far its best cost is from the optimum, and how long it took."""
    task = task_of(function, seed, num_trials)
    made = RandomSearchOptimizer(task) if optimizer == THEIRS else RaytuneHpo(task, sampler=optimizer, seed=seed)
    begin = time.perf_counter()
    _, value = made.run()
    return {
        "task": task.name, "optimizer": optimizer, "seed": seed,
        "trials": task.optimization_resources.n_trials,
        "regret": float(value.cost) - float(task.objective_function.f_min),
        "seconds": round(time.perf_counter() - begin, 3),
    }  # fmt: skip


def table(runs: list[dict[str, Any]]) -> str:
    """The median regret of each optimizer on each task, in Markdown."""
    optimizers = list(dict.fromkeys(run["optimizer"] for run in runs))
    lines = [f"| task | {' | '.join(optimizers)} |", f"|---|{'---|' * len(optimizers)}"]
    for task in dict.fromkeys(run["task"] for run in runs):
        regrets = [[r["regret"] for r in runs if (r["task"], r["optimizer"]) == (task, each)] for each in optimizers]
        lines.append(f"| {task} | {' | '.join(f'{statistics.median(found):.3g}' for found in regrets)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one task, ten trials, no file")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, help="instead of CARP-S's number for the task")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    logging.disable(logging.INFO)
    functions, seeds, num_trials = (tuple(FUNCTIONS), args.seeds, args.trials) if not args.quick else ((1,), 1, 10)
    runs = []
    for function in functions:
        for optimizer in (*SAMPLERS, THEIRS):
            runs += [run(function, optimizer, seed, num_trials) for seed in range(seeds)]
            print(*runs[-1].values(), file=sys.stderr, flush=True)
        if not args.quick:
            args.out.write_text(json.dumps({**circumstances(), "runs": runs}, indent=1) + "\n", encoding="utf-8")
    print(table(runs))


def circumstances() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("carps", "ioh", "numpy", "scipy", "scikit-learn")}
    return {"when": datetime.date.today().isoformat(), "raytune_hpo": hpo.__version__, **versions}


if __name__ == "__main__":
    main()
