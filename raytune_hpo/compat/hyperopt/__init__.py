"""hyperopt's names with this package's samplers: ``from raytune_hpo.compat.hyperopt import fmin, hp, tpe``.

Spaces, ``Trials`` and the loop are hyperopt's own; the suggestions are made here.
"""

from __future__ import annotations

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
    fmin_pass_expr_memo_ctrl,
    partial,
    space_eval,
    trials_from_docs,
)

from raytune_hpo.compat.hyperopt import anneal, atpe, auto, base, early_stop, exceptions, hp, mix, pyll, rand, tpe
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
