"""Parallel calls as Ray tasks: their shared argument is put into the object store once, and what they keep stays there."""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from raytune_hpo.cluster.connecting import connect
from raytune_hpo.cluster.failures import cause_of
from raytune_hpo.cluster.resources import actor_options, as_bundles, limit_threads, room, warn_if_infeasible
from raytune_hpo.cluster.shells import answering_task, package, packed
from raytune_hpo.cluster.shipping import cannot_load
from raytune_hpo.errors import ClusterError, SpecError
from raytune_hpo.runtime.calls import Function, Settled

WAKE_S = 0.5  # the longest delay of Ctrl-C
MAX_RETRIES = 2  # of a call whose process died
_AHEAD = 1  # calls beyond those that fit: no process waits for the next one, and an autoscaler sees demand
_RUN = f"{__name__}:run_call"

_untyped: Any = ray
_Warned = tuple[str, type[Warning], str, int]  # the text, its category, its file and line


class RayCalls:
    """``Calls`` as Ray tasks.

    Args:
        resources: the resources of one call.
        max_slots: the most calls at the same time; None: as many as fit.
    """

    def __init__(
        self, function: Function, shared: Any, *, resources: Mapping[str, float], max_slots: int | None = None
    ) -> None:
        connect()
        warn_if_infeasible("a call", resources)
        self._bundles, self._max_slots = as_bundles(resources), max_slots
        self._function = function
        self._package, self._shared = ray.put(package()), _put(shared)
        options = actor_options(self._bundles[0])
        self._num_threads = max(1, int(options["num_cpus"]))
        self._task = answering_task().options(num_returns=2, max_retries=MAX_RETRIES, **options)
        self._under_way: dict[Any, tuple[int, Any]] = {}
        self._heard: dict[Any, Any] = {}  # registry of warnings, so that each is shown once

    def num_slots(self) -> int:
        fitting = room(self._bundles, _untyped.cluster_resources()) + _AHEAD
        return fitting if self._max_slots is None else min(fitting, self._max_slots)

    def begin(self, key: int, task: Any, kept: Any = None) -> None:
        what = packed(self._function, task)
        value, keeps = self._task.remote([self._package], _RUN, what, [self._shared], kept, self._num_threads)
        self._under_way[value] = (key, keeps)

    def wait(self) -> Sequence[Settled]:
        done: list[Any] = []
        while not done:
            done, _ = ray.wait(list(self._under_way), timeout=WAKE_S)
        return [self._settled(value, *self._under_way.pop(value)) for value in done]

    def close(self) -> None:
        for value in self._under_way:
            ray.cancel(value, force=True)
        self._under_way.clear()

    def _settled(self, ref: Any, key: int, keeps: Any) -> Settled:
        try:
            value, warned = ray.get(ref)
        except RayTaskError as error:
            _look_at(keeps)
            return Settled(key=key, error=_raised(error))
        except RayError as error:
            _look_at(keeps)
            reason, _ = cause_of(error)
            return Settled(key=key, lost=f"its process was lost {MAX_RETRIES + 1} times: {reason}")
        for text, category, file, line in warned:
            warnings.warn_explicit(text, category, file, line, registry=self._heard)
        return Settled(key=key, value=value, kept=keeps)


def run_call(what: bytes, shared: Sequence[Any], kept: Any, num_threads: int) -> tuple[tuple[Any, list[_Warned]], Any]:
    """Run one call, in a process of the cluster; returns ((value, warnings), kept)."""
    function, task, thing = _loaded(what, shared[0])
    _limit_threads_once(num_threads)
    with warnings.catch_warnings(record=True) as heard:
        value, kept = function(thing, task, kept)
    return (value, [(str(w.message), w.category, w.filename, w.lineno) for w in heard]), kept


def _loaded(what: bytes, shared: Any) -> tuple[Function, Any, Any]:
    try:
        function, task = pickle.loads(what)
        return function, task, ray.get(shared)
    except Exception as error:  # unpickling runs users' code, which may raise anything
        raise ClusterError(cannot_load("what was sent to them", error)) from error


_limit_threads_once = functools.cache(limit_threads)  # looking for the libraries takes longer than some calls


def _put(shared: Any) -> Any:
    try:
        return ray.put(shared)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SpecError(f"this cannot be sent to other processes: {reason}; use runtime='local'") from error


def _look_at(ref: Any) -> None:
    """Fetch a result that is the same error: Ray prints errors that were never fetched."""
    with suppress(RayError):  # it is being raised already
        ray.get(ref)


def _raised(error: RayTaskError) -> BaseException:
    """The exception that the function raised, with the remote traceback as its cause."""
    cause: BaseException | None = error.cause
    if cause is None:
        return error
    cause.__cause__ = error
    return cause
