"""A compatibility layer for Ray Tune: scripts that were written for it run with changed imports.

    from raytune_hpo.compat import ray_tune as tune

docs/migration/ray_tune.md says what is supported, and what works differently.
"""

from __future__ import annotations

from raytune_hpo.compat.ray_tune import (
    air,
    callback,
    error,
    experiment,
    integration,
    logger,
    schedulers,
    search,
    stopper,
    syncer,
    train,
    tuner,
    utils,
)
from raytune_hpo.compat.ray_tune.analysis import ExperimentAnalysis
from raytune_hpo.compat.ray_tune.callback import Callback
from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.config import CheckpointConfig, FailureConfig, RunConfig, SyncConfig
from raytune_hpo.compat.ray_tune.context import TuneContext, get_context
from raytune_hpo.compat.ray_tune.error import NotCarried, TuneError
from raytune_hpo.compat.ray_tune.paths import open_paths
from raytune_hpo.compat.ray_tune.prepared import register_env, register_trainable, with_parameters, with_resources
from raytune_hpo.compat.ray_tune.progress_reporter import CLIReporter, JupyterNotebookReporter, ProgressReporter
from raytune_hpo.compat.ray_tune.resources import PlacementGroupFactory
from raytune_hpo.compat.ray_tune.result import Result
from raytune_hpo.compat.ray_tune.result_grid import ResultGrid
from raytune_hpo.compat.ray_tune.schedulers import create_scheduler
from raytune_hpo.compat.ray_tune.search import create_searcher
from raytune_hpo.compat.ray_tune.session import checkpoint_dir, get_checkpoint, report
from raytune_hpo.compat.ray_tune.space import (
    choice,
    grid_search,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)
from raytune_hpo.compat.ray_tune.stopper import Stopper
from raytune_hpo.compat.ray_tune.trainable import Trainable
from raytune_hpo.compat.ray_tune.tune import Experiment, run, run_experiments
from raytune_hpo.compat.ray_tune.tune_config import ResumeConfig, TuneConfig
from raytune_hpo.compat.ray_tune.tuner import Tuner

__all__ = [
    "CLIReporter",
    "Callback",
    "Checkpoint",
    "CheckpointConfig",
    "Experiment",
    "ExperimentAnalysis",
    "FailureConfig",
    "JupyterNotebookReporter",
    "NotCarried",
    "PlacementGroupFactory",
    "ProgressReporter",
    "Result",
    "ResultGrid",
    "ResumeConfig",
    "RunConfig",
    "Stopper",
    "SyncConfig",
    "Trainable",
    "TuneConfig",
    "TuneContext",
    "TuneError",
    "Tuner",
    "air",
    "callback",
    "checkpoint_dir",
    "choice",
    "create_scheduler",
    "create_searcher",
    "error",
    "experiment",
    "get_checkpoint",
    "get_context",
    "get_trial_dir",
    "get_trial_id",
    "get_trial_name",
    "get_trial_resources",
    "grid_search",
    "integration",
    "logger",
    "lograndint",
    "loguniform",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "register_env",
    "register_trainable",
    "report",
    "run",
    "run_experiments",
    "sample_from",
    "schedulers",
    "search",
    "stopper",
    "syncer",
    "train",
    "tuner",
    "uniform",
    "utils",
    "with_parameters",
    "with_resources",
]

_context = get_context()
get_trial_id, get_trial_name = _context.get_trial_id, _context.get_trial_name  # functions of earlier releases
get_trial_dir, get_trial_resources = _context.get_trial_dir, _context.get_trial_resources
open_paths()
