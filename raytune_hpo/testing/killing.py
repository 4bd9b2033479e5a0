"""Killing: work in a process of its own, which is killed amid one of its steps, as by ``kill -9``."""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection

_PATIENCE_S = 60.0  # for one step, on a slow machine

Work = Callable[[Callable[[], None]], object]  # is called with a function that it calls after each step


def killed_amid(work: Work, num_steps: int, share: float) -> int:
    """Run work in a process that is killed after some steps; returns how many it had finished by then.

    Args:
        work: has no end. Its process is forked, so that it need not be picklable.
        num_steps: after how many steps it is killed, at least 2.
        share: how far into the next step that is, as a share of the time that the one before took.

    Raises:
        AssertionError: it ended by itself, or took more than a minute for a step.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_noting, args=(work, there), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, from Python 3.12 on
        process.start()
    there.close()
    try:
        for _ in range(num_steps - 1):
            _step_of(here)
        begun = time.monotonic()
        _step_of(here)
        time.sleep(share * (time.monotonic() - begun))
    finally:
        process.kill()
        process.join()
    num = num_steps
    try:
        while True:
            here.recv()
            num += 1
    except EOFError:
        return num
    finally:
        here.close()


def _noting(work: Work, there: Connection) -> None:
    try:
        work(lambda: there.send(None))
    except Exception as error:
        there.send(repr(error))


def _step_of(here: Connection) -> None:
    assert here.poll(_PATIENCE_S), f"a step takes more than {_PATIENCE_S:g} s"
    try:
        problem = here.recv()
    except EOFError:
        problem = "nothing was said"
    assert problem is None, f"the process ended by itself: {problem}"
