"""Parallel calls of one function, with a large argument that all of them share.

For code that drives a ``Study`` itself and needs workers for the computation only: it begins calls, waits for some to end,
and decides what comes next. Here the calls run in threads of this process; ``cluster.calls`` runs them on Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

Function = Callable[[Any, Any, Any], tuple[Any, Any]]  # (shared, task, kept) -> (value, kept)


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How a call ended.

    Attributes:
        key: the number that it was begun under.
        value: the first thing that the function returned.
        kept: a handle of the second one, which stays in the process where it was made, for a later call.
        error: what the function raised, or why it could not be called.
        lost: how its process died, in every try.
    """

    key: int
    value: Any = None
    kept: Any = None
    error: BaseException | None = None
    lost: str | None = None


class Calls(Protocol):
    """Runs calls of one function."""

    def num_slots(self) -> int:
        """How many calls should be in flight now."""
        ...

    def begin(self, key: int, task: Any, kept: Any = None) -> None:
        """Begin a call.

        Args:
            task: small; it travels with the call.
            kept: the ``Settled.kept`` of an earlier call, whose work this one continues.
        """
        ...

    def wait(self) -> Sequence[Settled]:
        """Wait until some calls have ended, and return these."""
        ...

    def close(self) -> None:
        """Release all resources; calls in flight are cancelled if possible."""
        ...


class LocalCalls:
    """``Calls`` in threads of this process. With one slot, each call runs in ``begin``, on the caller's own thread."""

    def __init__(self, function: Function, shared: Any, num_slots: int) -> None:
        self._function, self._shared, self._num_slots = function, shared, num_slots
        self._executor = ThreadPoolExecutor(num_slots, "raytune_hpo-call") if num_slots > 1 else _AtOnce()
        self._under_way: dict[Future[tuple[Any, Any]], int] = {}

    def num_slots(self) -> int:
        return self._num_slots

    def begin(self, key: int, task: Any, kept: Any = None) -> None:
        future = self._executor.submit(self._function, self._shared, task, kept)
        self._under_way[future] = key

    def wait(self) -> Sequence[Settled]:
        done, _ = wait(self._under_way, return_when=FIRST_COMPLETED)
        return [_settled(self._under_way.pop(future), future) for future in done]

    def close(self) -> None:
        """Release the threads; those in a call end after it."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._under_way.clear()


class _AtOnce(Executor):
    """An executor whose ``submit`` runs the call before it returns."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **keywords: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **keywords))
        except Exception as error:
            future.set_exception(error)
        return future


def _settled(key: int, future: Future[tuple[Any, Any]]) -> Settled:
    error = future.exception()
    if error is not None:
        return Settled(key=key, error=error)
    value, kept = future.result()
    return Settled(key=key, value=value, kept=kept)
