"""The function ``fmin``: hyperopt's own loop, by default with this package's ``tpe``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hyperopt
import numpy as np
from hyperopt.fmin import FMinIter, fmin_pass_expr_memo_ctrl, generate_trials_to_calculate, partial, space_eval

from raytune_hpo.compat.hyperopt import tpe

__all__ = ["FMinIter", "fmin", "fmin_pass_expr_memo_ctrl", "generate_trials_to_calculate", "partial", "space_eval"]

_SEED = "HYPEROPT_FMIN_SEED"


def fmin(
    fn: Callable[..., Any],
    space: Any,
    algo: Callable[..., Any] | None = None,
    max_evals: int | None = None,
    timeout: float | None = None,
    loss_threshold: float | None = None,
    trials: Any = None,
    rstate: Any = None,
    allow_trials_fmin: bool = True,
    pass_expr_memo_ctrl: bool | None = None,
    catch_eval_exceptions: bool = False,
    verbose: bool = True,
    return_argmin: bool = True,
    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
    max_queue_len: int = 1,
    show_progressbar: Any = True,
    early_stop_fn: Callable[..., Any] | None = None,
    trials_save_file: str = "",
) -> Any:
    """Minimise a function over a space, with hyperopt's arguments and return values.

    Args:
        algo: by default this package's ``tpe.suggest``.
        rstate: a numpy ``Generator`` or ``RandomState``; the same seed gives the same trials.

    Raises:
        Exception: whatever ``fn`` raises, unless ``catch_eval_exceptions`` says otherwise.
        hyperopt.exceptions.AllTrialsFailed: no trial has a loss.
    """
    seed = os.environ.get(_SEED)
    if rstate is None:
        rstate = np.random.default_rng(int(seed) if seed else None)
    elif isinstance(rstate, np.random.RandomState):
        rstate = np.random.default_rng(int(rstate.randint(2**31 - 1)))
    return hyperopt.fmin(
        fn,
        space,
        algo=tpe.suggest if algo is None else algo,
        max_evals=max_evals,
        timeout=timeout,
        loss_threshold=loss_threshold,
        trials=trials,
        rstate=rstate,
        allow_trials_fmin=allow_trials_fmin,
        pass_expr_memo_ctrl=pass_expr_memo_ctrl,
        catch_eval_exceptions=catch_eval_exceptions,
        verbose=verbose,
        return_argmin=return_argmin,
        points_to_evaluate=None if points_to_evaluate is None else list(points_to_evaluate),
        max_queue_len=max_queue_len,
        show_progressbar=show_progressbar,
        early_stop_fn=early_stop_fn,
        trials_save_file=trials_save_file,
    )
