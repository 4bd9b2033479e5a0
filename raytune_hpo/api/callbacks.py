"""Callbacks, which receive the facts of a study, in order, in their own threads.

They are called in the process that called ``fit``, ``start`` or ``follow``, wherever the trials run, and each in its own
thread: neither the study nor another callback waits for one. A callback that raises gets no more facts. A study that has
ended waits for callbacks that are behind, but only for a limited time.

A function receives the facts of this session only: when a study is resumed, earlier facts are not passed again. A
``Recorder`` keeps a record elsewhere, which is a fold over all facts; in every session it receives them from the first
on, and skips those that its record already holds.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Fact, StudyStopped
from raytune_hpo.spec import StudySpec

Callback = Callable[[Fact], object]
POLL_S = 0.5
_REPORTERS = "raytune_hpo.integrations."  # where the reporters of training libraries are made
GRACE_S = 60.0  # how long an ended study waits for its callbacks
CHUNK = 1_000  # facts that are read at a time
_HOW_TO_COMPLETE = "; hpo.integrations.record(name, logger, storage=...) completes the record of a stored study"
_log = logging.getLogger("raytune_hpo")


@runtime_checkable
class Recorder(Protocol):
    """A callback that keeps a record of a study: it receives every fact from the first, and learns when no more follow.

    If ``open`` raises, nothing else is called. One that follows one study at a time may have a method ``check_free``, which
    is called before a study begins, and raises SpecError if it is busy with another one.
    """

    def open(self, spec: StudySpec | None) -> None:
        """Called before the first fact; with the live spec if this process has it, whose space has functions."""
        ...

    def __call__(self, fact: Fact, /) -> object: ...

    def close(self) -> None:
        """Called after the last fact, or when this process stops listening although the study runs on."""
        ...


class Source(Protocol):
    """A study that can be followed."""

    def status(self) -> StudyStatus: ...

    def facts(self, start: int = 0) -> Iterator[Fact]: ...


class Follower:
    """Passes a study's facts to callbacks as they arrive, until the study stops or ``finish`` is called.

    Args:
        spec: the live spec, if this process has it.
    """

    def __init__(self, callbacks: Sequence[Callback], source: Source, spec: StudySpec | None = None) -> None:
        self._listeners = [_Listener(callback, source, spec) for callback in callbacks]
        for listener in self._listeners:
            listener.start()

    def finish(self, grace_s: float = GRACE_S) -> None:
        """Wait until the callbacks have received all facts so far, for at most ``grace_s`` seconds, or until Ctrl-C."""
        for listener in self._listeners:
            listener.over.set()
        deadline = time.monotonic() + grace_s
        try:
            for listener in self._listeners:
                listener.join(max(0.0, deadline - time.monotonic()))
        except KeyboardInterrupt:
            _log.warning("interrupted: the study no longer waits for its callbacks")
        for listener in self._listeners:
            listener.give_up()
        self._listeners = []


class _Listener(threading.Thread):
    """The thread of one callback. It reads facts itself, so that no queue grows if the callback hangs."""

    def __init__(self, callback: Callback, source: Source, spec: StudySpec | None) -> None:
        super().__init__(name=f"raytune_hpo-callback-{_called(callback)}", daemon=True)
        self._callback, self._source, self._spec = callback, source, spec
        self._heard = 0
        self._given_up = False
        self.over = threading.Event()

    def run(self) -> None:
        recorder = self._callback if isinstance(self._callback, Recorder) else None
        if recorder is not None and not self._call(recorder.open, self._spec):
            return
        try:
            self._heard = 0 if recorder is not None else self._source.status().session_start
            self._follow()
        except Exception as error:  # a failure to read facts affects the callback, not the study
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
            is_over = self.over.is_set()  # before reading: it receives only the facts that exist by then
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
        """Whether the user's code succeeded. Nothing that it raises may reach the study, not even SystemExit."""
        try:
            function(*args)
        except BaseException:
            way_out = _HOW_TO_COMPLETE if isinstance(self._callback, Recorder) else ""
            _log.warning("callback %s raised and gets no more facts%s", _called(self._callback), way_out, exc_info=True)
            return False
        return True


def checked_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """The callbacks of a study, from one or several.

    Raises:
        SpecError: one of them cannot be called with a fact.
    """
    listed = [callbacks] if callable(callbacks) or not isinstance(callbacks, Iterable) else list(callbacks)
    for callback in listed:
        check_callback(callback)
    return tuple(listed)


def check_callback(callback: Any) -> None:
    """Check what can be known of a callback before it is called.

    Raises:
        SpecError: it is a class, a reporter of a training library, or cannot be called with a fact.
    """
    if isinstance(callback, type):
        name = callback.__name__
        raise SpecError(f"a callback is called with a fact, and {name} is a class; write {name}(...)")
    if _called(callback).startswith("reporter.") and str(callback.__module__).startswith(_REPORTERS):
        raise SpecError(
            "a reporter of a training library is not a callback of a study; it belongs in the library's training call, "
            "inside the objective"
        )
    if not callable(callback):
        raise SpecError(f"a callback is called with a fact, got {callback!r}; give functions or loggers")
    try:
        inspect.signature(callback).bind(None)
    except TypeError as error:
        raise SpecError(f"a callback is called with one fact, {_called(callback)} cannot be: {error}") from None
    except ValueError:
        return  # a function in C need not have a signature


def check_free(callbacks: Iterable[Callback]) -> None:
    """Check, before a study begins, that no callback is busy with another one; one that can tell has ``check_free``.

    Raises:
        SpecError: one is.
    """
    for callback in callbacks:
        if (check := getattr(callback, "check_free", None)) is not None:
            check()


def _called(callback: Callback) -> str:
    return getattr(callback, "__qualname__", type(callback).__qualname__)
