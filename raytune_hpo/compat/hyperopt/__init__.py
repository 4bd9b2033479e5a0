"""hyperopt's names with this package's samplers: ``from raytune_hpo.compat.hyperopt import fmin, hp, tpe``.

Spaces, ``Trials`` and the loop are hyperopt's own; the suggestions are made here. A module of hyperopt's has a second name
below this package, unless it has a counterpart here.
"""

from __future__ import annotations

import importlib
import sys

from hyperopt import (
    JOB_STATE_DONE,
    JOB_STATE_ERROR,
    JOB_STATE_NEW,
    JOB_STATE_RUNNING,
    JOB_STATES,
    STATUS_FAIL,
    STATUS_NEW,
    STATUS_OK,
    STATUS_RUNNING,
    STATUS_STRINGS,
    STATUS_SUSPENDED,
    Ctrl,
    Domain,
    FMinIter,
    Trials,
    __version__,
    anneal,
    atpe,
    base,
    early_stop,
    exceptions,
    fmin_pass_expr_memo_ctrl,
    hp,
    mix,
    partial,
    pyll,
    space_eval,
    trials_from_docs,
)

from raytune_hpo.compat.hyperopt import auto, rand, tpe
from raytune_hpo.compat.hyperopt.fmin import fmin
from raytune_hpo.compat.hyperopt.spark import SparkTrials

__all__ = [
    "JOB_STATES",
    "JOB_STATE_DONE",
    "JOB_STATE_ERROR",
    "JOB_STATE_NEW",
    "JOB_STATE_RUNNING",
    "STATUS_FAIL",
    "STATUS_NEW",
    "STATUS_OK",
    "STATUS_RUNNING",
    "STATUS_STRINGS",
    "STATUS_SUSPENDED",
    "Ctrl",
    "Domain",
    "FMinIter",
    "SparkTrials",
    "Trials",
    "__version__",
    "anneal",
    "atpe",
    "auto",
    "base",
    "early_stop",
    "exceptions",
    "fmin",
    "fmin_pass_expr_memo_ctrl",
    "hp",
    "mix",
    "partial",
    "pyll",
    "rand",
    "space_eval",
    "tpe",
    "trials_from_docs",
]

_HYPEROPTS_OWN = (
    "algobase anneal atpe base criteria early_stop exceptions graph_viz hp mix mongoexp plotting progress pyll pyll.base "
    "pyll.stochastic pyll_utils rdists utils vectorize"
)
for _path in _HYPEROPTS_OWN.split():
    sys.modules[f"{__name__}.{_path}"] = importlib.import_module(f"hyperopt.{_path}")
    if "." not in _path:  # as an import of a module sets it in its package
        globals()[_path] = sys.modules[f"{__name__}.{_path}"]
