"""Processes that an objective forks: copies of its worker, whose trials and connections belong to the parent."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator


@contextlib.contextmanager
def ending_children() -> Iterator[None]:
    """End processes that are forked inside where they would leave, as if their program ended there.

    Otherwise they would work on as a second copy of the parent, and tell results in its name.
    """
    parent = os.getpid()
    try:
        yield
    except BaseException as error:
        if os.getpid() != parent:
            _end(error)
        raise
    if os.getpid() != parent:
        _end(SystemExit())


def _end(reason: BaseException) -> None:
    code = reason.code or 0 if isinstance(reason, SystemExit) else None
    if not isinstance(code, int):
        traceback.print_exception(reason)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
