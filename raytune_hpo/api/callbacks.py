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
_claiming = threading.Lock()
_claimed: list[Callback] = []  # for studies that begin now; see ``claim``


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
    """Passes a study's facts to callbacks as they arrive, until the study stops or ``finish`` is called."""

    def __init__(self) -> None:
        self._waiting: tuple[Callback, ...] = ()  # claimed, for a study that has yet to begin
        self._listeners: list[_Listener] = []

    def claim(self, callbacks: Sequence[Callback]) -> None:
        """Take callbacks that will follow; before a study begins, so that it need not begin without one of them.

        Raises:
            SpecError: one is busy with another study.
        """
        claim(callbacks)
        self._waiting += tuple(callbacks)

    def begin(self, source: Source, spec: StudySpec | None = None) -> None:
        """Let the claimed callbacks follow; ``spec`` is the live one, if this process has it."""
        listeners = [_Listener(callback, source, spec) for callback in self._waiting]
        self._waiting = ()
        self._listeners += listeners
        for listener in listeners:
            listener.start()

    def finish(self, grace_s: float = GRACE_S) -> None:
        """Wait until the callbacks have received all facts so far, for at most ``grace_s`` seconds, or until Ctrl-C."""
        release(self._waiting)
        self._waiting = ()
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
        is_open = recorder is None or self._call(recorder.open, self._spec)
        release([self._callback])  # from here on, it knows itself whether it is busy
        if not is_open:
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


def claim(callbacks: Iterable[Callback]) -> None:
    """Claim callbacks for a study that is about to begin, until ``release``.

    Only those that follow one study at a time are claimed, which have ``check_free``.

    Raises:
        SpecError: one is busy with another study, or another one that begins now has claimed it; none is claimed then.
    """
    with _claiming:
        new: list[Callback] = []
        for callback in callbacks:
            if (check := getattr(callback, "check_free", None)) is None:
                continue
            check()
            if any(callback is other for other in (*_claimed, *new)):
                raise SpecError(
                    f"callback {_called(callback)} follows one study at a time, and was given to two; make one for each"
                )
            new.append(callback)
        _claimed.extend(new)


def release(callbacks: Iterable[Callback]) -> None:
    """Give back callbacks that were claimed."""
    with _claiming:
        for callback in callbacks:
            _claimed[:] = [other for other in _claimed if other is not callback]


def _called(callback: Callback) -> str:
    return getattr(callback, "__qualname__", type(callback).__qualname__)
