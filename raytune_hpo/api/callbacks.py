"""Callbacks: functions that are called with the facts of a study, in order, in background threads.

They are called in the process that called ``fit``, ``start`` or ``follow``, wherever the trials run, each in its own thread:
neither the study nor another callback waits for one. One that raises gets no more facts. A study that has ended waits a
while for those that are behind, but not for ever.

A function gets the facts of this session: when a study is taken up again, it does not get the old ones once more. A
``Recorder`` keeps a record elsewhere, which is a fold over all facts; it gets them from the first on in every session, and
skips those that its record holds already.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.facts import Fact, StudyStopped
from raytune_hpo.spec import StudySpec

Callback = Callable[[Fact], object]
POLL_S = 0.5
GRACE_S = 60.0  # how long a study that has ended waits for its callbacks
CHUNK = 1_000  # facts that are read at a time
_log = logging.getLogger("raytune_hpo")


@runtime_checkable
class Recorder(Protocol):
    """A callback that keeps a record of a study: it gets every fact from the first on, and a call when no more will come."""

    def open(self, spec: StudySpec | None) -> None:
        """Called before the first fact, with the live spec if this process has it: its space has functions."""
        ...

    def __call__(self, fact: Fact, /) -> object: ...

    def close(self) -> None:
        """Called after the last fact, also if the study runs on and only this process stops following it."""
        ...


class Source(Protocol):
    """A study that can be followed."""

    def status(self) -> StudyStatus: ...

    def facts(self, start: int = 0) -> Iterator[Fact]: ...


class Follower:
    """Calls callbacks with a study's facts as they come, until the study stops or ``finish`` is called.

    Args:
        spec: the live spec, if this process has it.
    """

    def __init__(self, callbacks: Sequence[Callback], source: Source, spec: StudySpec | None = None) -> None:
        self._listeners = [_Listener(callback, source, spec) for callback in callbacks]
        for listener in self._listeners:
            listener.start()

    def finish(self, grace_s: float = GRACE_S) -> None:
        """Let the callbacks catch up, for at most ``grace_s`` seconds in all, or until Ctrl-C."""
        for listener in self._listeners:
            listener.over.set()
        deadline = time.monotonic() + grace_s
        try:
            for listener in self._listeners:
                listener.join(max(0.0, deadline - time.monotonic()))
        except KeyboardInterrupt:
            _log.warning("interrupted: the study does not wait for its callbacks any longer")
        for listener in self._listeners:
            listener.give_up()
        self._listeners = []


class _Listener(threading.Thread):
    """One callback, and its position in the facts. It reads facts itself, so that a hung one queues nothing up."""

    def __init__(self, callback: Callback, source: Source, spec: StudySpec | None) -> None:
        super().__init__(name=f"raytune_hpo-callback-{_called(callback)}", daemon=True)
        self._callback, self._source, self._spec = callback, source, spec
        self._heard = 0
        self._given_up = False
        self.over = threading.Event()

    def run(self) -> None:
        recorder = self._callback if isinstance(self._callback, Recorder) else None
        if recorder is None or self._call(recorder.open, self._spec):
            try:
                self._heard = 0 if recorder is not None else self._source.status().session_start
                self._follow()
            except Exception as error:  # an error of reading affects the callback only, not the study
                _log.warning("callback %s misses the rest of the study: %s", _called(self._callback), error)
        if recorder is not None:
            self._call(recorder.close)

    def give_up(self) -> None:
        """Warn if it is behind, and make it stop after the current fact."""
        self._given_up = True
        if self.is_alive():
            _log.warning(
                "callback %s is still busy after fact %d; the study has ended and does not wait for it",
                _called(self._callback),
                self._heard,
            )

    def _follow(self) -> None:
        has_stopped = False
        while not self._given_up and not has_stopped:
            is_over = self.over.is_set()  # checked before reading, so that all facts up to then are read
            facts = list(islice(self._source.facts(self._heard), CHUNK))
            for fact in facts:
                if self._given_up or not self._call(self._callback, fact):
                    return
                self._heard += 1
            has_stopped = bool(facts) and len(facts) < CHUNK and isinstance(facts[-1], StudyStopped)
            if not facts and is_over:
                return
            if len(facts) < CHUNK and not has_stopped and not is_over:
                self.over.wait(POLL_S)

    def _call(self, function: Callable[..., object], *args: Any) -> bool:
        """Call user code, and return whether it succeeded. No exception may reach the study, not even SystemExit."""
        try:
            function(*args)
        except BaseException:
            _log.warning("callback %s raised and gets no more facts", _called(self._callback), exc_info=True)
            return False
        return True


def _called(callback: Callback) -> str:
    return getattr(callback, "__qualname__", type(callback).__qualname__)
