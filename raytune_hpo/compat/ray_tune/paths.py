"""The module paths of Ray Tune that have no module of their own here.

Ray Tune can be imported by many paths: a class by its package and by its file, and by the paths of earlier releases, which
scripts still use. Such a path is a second name of the module that defines the class here. A path of a part that has no
counterpart is a module of stand-ins, so that an import succeeds, and the use of the name says what to do instead.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from raytune_hpo.compat.ray_tune.not_carried import stand_ins

ROOT = __package__
_SEARCH = f"{ROOT}.search."

# A module here, and the paths by which scripts import it too.
SECOND_NAMES = {
    "air.integrations.mlflow": "integration.mlflow logger.mlflow",
    "analysis": "analysis.experiment_analysis",
    "checkpoint": "air.checkpoint",
    "config": "air.config experimental.output impl.config utils.log",
    "experiment": "experiment.experiment",
    "logger": "logger.aim logger.comet logger.csv logger.json logger.logger logger.tensorboardx logger.wandb",
    "prepared": "registry trainable.util",
    "resources": "execution.placement_groups utils.placement_groups",
    "result": "air.constants air.result",
    "search": "suggest",
    "search.ax": "search.ax.ax_search",
    "search.bayesopt": "search.bayesopt.bayesopt_search",
    "search.bohb": "search.bohb.bohb_search",
    "search.hyperopt": "search.hyperopt.hyperopt_search",
    "search.nevergrad": "search.nevergrad.nevergrad_search",
    "search.optuna": "search.optuna.optuna_search",
    "search.others": "search.dragonfly search.flaml search.hebo search.sigopt search.skopt search.zoopt "
    "search.dragonfly.dragonfly_search search.flaml.flaml_search search.hebo.hebo_search search.sigopt.sigopt_search "
    "search.skopt.skopt_search search.zoopt.zoopt_search",
    "search.sample": "sample search.variant_generator",
    "search.searcher": "search.concurrency_limiter search.repeater search.suggestion",
    "session": "trainable.trainable_fn_utils",
    "stopper": "stopper.experiment_plateau stopper.function_stopper stopper.maximum_iteration stopper.noop "
    "stopper.stopper stopper.timeout stopper.trial_plateau",
    "trainable": "trainable.trainable",
    "trials": "experiment.trial trial",
    "utils": "utils.util",
}

# What to do instead of a part without a counterpart, and the paths of such parts.
WITHOUT_COUNTERPART = {
    "call tune.report from a callback of your own, or use raytune_hpo.integrations": "integration.keras "
    "integration.mxnet integration.pytorch_lightning integration.ray_train integration.torch",
    "experiments are run by Tuner.fit alone": "execution execution.ray_trial_executor execution.trial_runner "
    "execution.tune_controller experimental impl ray_trial_executor",
    "give the function itself to Tuner": "trainable.function_trainable",
    "training with several workers stays with Ray Train, and its tuning with Ray Tune": "train.batch_predictor "
    "train.data_parallel_trainer train.horovod train.huggingface train.lightgbm train.lightning train.predictor "
    "train.rl train.sklearn train.tensorflow train.torch train.xgboost",
    "write a LoggerCallback, or use a logger of raytune_hpo.integrations": "air.integrations.comet "
    "air.integrations.keras air.integrations.wandb integration.comet integration.wandb",
}


def open_paths() -> None:
    """Make every path importable, those below ``suggest``, the former name of ``search``, included."""
    opened: dict[str, ModuleType] = {}
    for way_out, paths in WITHOUT_COUNTERPART.items():
        opened.update((path, _without_counterpart(path, way_out)) for path in paths.split())
    for home, paths in SECOND_NAMES.items():
        opened.update((path, importlib.import_module(f"{ROOT}.{home}")) for path in paths.split())
    below = {name.removeprefix(f"{ROOT}."): module for name, module in sys.modules.items() if name.startswith(_SEARCH)}
    searching = {**below, **{path: module for path, module in opened.items() if path.startswith("search.")}}
    opened.update((path.replace("search", "suggest", 1), module) for path, module in searching.items())
    sys.modules.update((f"{ROOT}.{path}", module) for path, module in opened.items())
    for path, module in opened.items():  # as an import of a module sets it in its package
        package, _, name = f"{ROOT}.{path}".rpartition(".")
        vars(sys.modules[package]).setdefault(name, module)


def _without_counterpart(path: str, way_out: str) -> ModuleType:
    """A module whose names can be imported, but not used."""
    original = f"ray.{path}" if path.startswith(("air.", "train.")) else f"ray.tune.{path}"
    module = ModuleType(f"{ROOT}.{path}", f"``{original}``: can be imported, but not used.")
    vars(module)["__getattr__"] = stand_ins(original, way_out)
    return module
