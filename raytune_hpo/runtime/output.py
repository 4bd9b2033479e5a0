"""Capture of what trials print: it is kept with the trial instead of flooding the terminal.

While a trial runs, its thread's writes to ``sys.stdout`` and ``sys.stderr`` go to a bounded text; those of other threads,
and of processes that it forks, go where they went before. Long output loses its middle, because both how it began and how it
ended matter.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, TextIO, cast

HEAD_CHARS = 16_000
TAIL_CHARS = 48_000


class BoundedText:
    """The first HEAD_CHARS and the last TAIL_CHARS of what was written."""

    def __init__(self) -> None:
        self._head = io.StringIO()
        self._head_left = HEAD_CHARS
        self._tail: deque[str] = deque()
        self._tail_chars = 0
        self._dropped = 0

    def write(self, text: str) -> None:
        if self._head_left > 0:
            self._head.write(text[: self._head_left])
            text, self._head_left = text[self._head_left :], self._head_left - len(text)
        if text:
            self._tail.append(text[-TAIL_CHARS:])
            self._dropped += max(0, len(text) - TAIL_CHARS)
            self._tail_chars += len(self._tail[-1])
            self._trim()

    def _trim(self) -> None:
        while self._tail_chars - len(self._tail[0]) >= TAIL_CHARS:
            gone = len(self._tail.popleft())
            self._tail_chars -= gone
            self._dropped += gone

    def __str__(self) -> str:
        middle = f"\n... {self._dropped} characters left out ...\n" if self._dropped else ""
        return f"{self._head.getvalue()}{middle}{''.join(self._tail)}"


_capture: contextvars.ContextVar[BoundedText | None] = contextvars.ContextVar("raytune_hpo_output", default=None)
# A fork's copy of the text would be lost with it.
os.register_at_fork(after_in_child=lambda: _capture.set(None))


class _Router(io.TextIOBase):
    """A stream that writes to the text of the current thread's trial, if there is one, else to the stream it replaces."""

    def __init__(self, original: TextIO) -> None:
        self.original = original

    def write(self, text: str) -> int:
        capture = _capture.get()
        if capture is None:
            return self.original.write(text)
        capture.write(text)
        return len(text)

    def flush(self) -> None:
        if _capture.get() is None:
            self.original.flush()

    def close(self) -> None:
        """Nothing: the original stays open. Python calls this at its exit, when what ``flush`` needs is gone."""

    def isatty(self) -> bool:
        return _capture.get() is None and self.original.isatty()

    def fileno(self) -> int:
        return self.original.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.original.encoding

    def __getattr__(self, name: str) -> Any:
        """Delegate all other attributes: a notebook's kernel sets some that say to which cell output belongs."""
        return getattr(self.original, name)


_OF_PDB = ("", "ray.util.rpdb._driver_set_trace")  # values of PYTHONBREAKPOINT; Ray sets the second in each driver
_installed = 0
_lock = threading.Lock()
# Kept and reused: print() holds no reference to sys.stdout, so freeing a stream while another thread prints would crash.
_routers: deque[_Router] = deque(maxlen=16)


@contextlib.contextmanager
def routed() -> Iterator[None]:
    """Route stdout and stderr to ``captured`` texts, for as long as any runtime of this process is inside."""
    global _installed
    with _lock:
        _installed += 1
        sys.stdout, sys.stderr = _router(sys.stdout), _router(sys.stderr)  # others may have replaced them meanwhile
        if sys.breakpointhook is sys.__breakpointhook__ and os.environ.get("PYTHONBREAKPOINT", "") in _OF_PDB:
            sys.breakpointhook = _debug
    try:
        yield
    finally:
        with _lock:
            _installed -= 1
            if _installed == 0:
                sys.stdout, sys.stderr = _unrouted(sys.stdout), _unrouted(sys.stderr)
                if sys.breakpointhook is _debug:
                    sys.breakpointhook = sys.__breakpointhook__


def _debug(*, header: str | None = None) -> None:
    """``breakpoint()``: from here on the trial's thread writes to the terminal, or nobody would see the prompt."""
    import pdb

    _capture.set(None)
    debugger = pdb.Pdb(nosigint=True)
    if header is not None:
        debugger.message(header)
    debugger.set_trace(sys._getframe().f_back)  # Python handles signals in the main thread only


def _router(stream: TextIO) -> TextIO:
    router = stream if isinstance(stream, _Router) else next((r for r in _routers if r.original is stream), None)
    if router is None:
        router = _Router(stream)
        _routers.append(router)
    return cast(TextIO, router)


def _unrouted(stream: TextIO) -> TextIO:
    return stream.original if isinstance(stream, _Router) else stream


@contextlib.contextmanager
def captured() -> Iterator[BoundedText]:
    """Capture what this thread writes in the text that is yielded; needs ``routed`` around it."""
    text = BoundedText()
    token = _capture.set(text)
    try:
        yield text
    finally:
        _capture.reset(token)


@contextlib.contextmanager
def uncaptured() -> Iterator[None]:
    """Let this thread write where it would outside a trial: what its user has to know while the trial runs."""
    token = _capture.set(None)
    try:
        yield
    finally:
        _capture.reset(token)
