"""Callbacks: told every fact of a study, in order, from a thread beside it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Protocol

from raytune_hpo.errors import HpoError
from raytune_hpo.trial import Fact

Callback = Callable[[Fact], None]
POLL_S = 0.5
_log = logging.getLogger("raytune_hpo")


class HasFacts(Protocol):
    def facts(self, start: int = 0) -> Iterator[Fact]: ...


class Follower:
    """Reads a study's facts as they come and hands them to callbacks. One that raises is dropped, and says so once.

    Used as a context manager; on the way out the callbacks get what is left.
    """

    def __init__(self, callbacks: Sequence[Callback], source: HasFacts) -> None:
        self._callbacks, self._source = list(callbacks), source
        self._seen = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="raytune_hpo-callbacks", daemon=True)

    def __enter__(self) -> Follower:
        if self._callbacks:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._done.set()
        if self._callbacks:
            self._thread.join()

    def _follow(self) -> None:
        try:
            while not self._done.wait(POLL_S):
                self._deliver()
            self._deliver()
        except HpoError as error:
            _log.warning("callbacks miss the rest of the study: %s", error)

    def _deliver(self) -> None:
        for fact in self._source.facts(self._seen):
            self._seen += 1
            for callback in list(self._callbacks):
                self._call(callback, fact)

    def _call(self, callback: Callback, fact: Fact) -> None:
        try:
            callback(fact)
        except Exception:  # a stranger's code: whatever it raises must not reach the study
            self._callbacks.remove(callback)
            _log.warning("callback %r raised and gets no more facts", callback, exc_info=True)
