"""The trainable's functions for the running trial: reports, and the checkpoint from which it resumes."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.result import DEFAULT_METRIC

if TYPE_CHECKING:
    from raytune_hpo.compat.ray_tune.trial_session import TrialSession

_log = logging.getLogger("raytune_hpo")
_current: contextvars.ContextVar[TrialSession | None] = contextvars.ContextVar("raytune_hpo_ray_tune", default=None)
_live: set[TrialSession] = set()  # of this process


def current() -> TrialSession | None:
    """The session of this thread: its own, or the only one in this process; None outside a trial."""
    session = _current.get()
    if session is None and len(_live) == 1 and threading.current_thread() is not threading.main_thread():
        return next(iter(_live))
    return session


@contextmanager
def entered(session: TrialSession) -> Iterator[None]:
    """Associate this thread, and those that it starts, with a trial."""
    token = _current.set(session)
    _live.add(session)
    try:
        yield
    finally:
        _live.discard(session)
        _current.reset(token)


def report(
    metrics: Mapping[str, Any] | float | None = None, *, checkpoint: Checkpoint | None = None, **named: Any
) -> None:
    """Report a result of the running trial: as a dict, as keywords, or as one number.

    Outside a trial nothing is reported, and a log message says so.

    Args:
        metrics: a dict of metrics; a number is the metric ``_metric``.
        checkpoint: from which the trial can be resumed; it is copied before this returns.
    """
    session = current()
    if session is None:
        _log.warning("tune.report was called outside a trial; nothing was reported")
        return
    if checkpoint is None:
        checkpoint, session.written = session.written, None
    given = (
        {DEFAULT_METRIC: metrics} if metrics is not None and not isinstance(metrics, Mapping) else dict(metrics or {})
    )
    session.report({**given, **named}, checkpoint)


@contextmanager
def checkpoint_dir(step: int | None = None) -> Iterator[str]:
    """A folder whose files become the checkpoint of the next report, as before Ray 2; ``step`` has no effect."""
    made = Checkpoint.temporary()
    yield made.path
    session = current()
    if session is not None:
        session.written = made


def get_checkpoint() -> Checkpoint | None:
    """The checkpoint from which the running trial resumes; None if it begins from scratch, and outside a trial."""
    session = current()
    return None if session is None else session.begun_with
