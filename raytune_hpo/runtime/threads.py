"""Context of threads: those that a trial starts belong to it, so that they report for it and their output is kept with it.

Python's threads begin with an empty context (until 3.14, where a flag changes that). While a runtime is at work here, a
thread that a trial starts begins with a copy of its context, and a call that a trial submits to a pool of threads runs in
one: a pool that several trials share reports for the right one. Other threads are not affected.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from raytune_hpo.errors import TrialStopped
from raytune_hpo.runtime.trial_run import is_in_trial

_lock = threading.Lock()
_installed = 0
_start = threading.Thread.start
_submit = ThreadPoolExecutor.submit


@contextlib.contextmanager
def inherited() -> Iterator[None]:
    """Make threads inherit contexts, for as long as any runtime of this process is inside."""
    global _installed
    with _lock:
        _installed += 1
        threading.Thread.start = _start_in_context  # type: ignore[method-assign,assignment]
        ThreadPoolExecutor.submit = _submit_in_context  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        with _lock:
            _installed -= 1
            if _installed == 0:
                threading.Thread.start = _start  # type: ignore[method-assign]
                ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign]


def _start_in_context(thread: threading.Thread) -> None:
    if not is_in_trial():
        _start(thread)
        return
    context, run = contextvars.copy_context(), thread.run

    def run_in_context() -> None:
        with contextlib.suppress(TrialStopped):  # at a report of this thread's: no error to print
            context.run(run)

    thread.run = run_in_context  # type: ignore[method-assign]
    _start(thread)


def _submit_in_context(
    executor: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **keywords: Any
) -> Future[Any]:
    if not is_in_trial():
        return _submit(executor, function, *args, **keywords)
    return _submit(executor, contextvars.copy_context().run, function, *args, **keywords)
