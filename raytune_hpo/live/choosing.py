"""In-process choices of a service: a configuration for each request, and the request's outcome, without a network."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple

from raytune_hpo.live.appliers import Bounds, Measurement, numbers
from raytune_hpo.live.fold import CANARY, CONTROL
from raytune_hpo.numerics.few import mean_bounds, quantile_bounds, share_bounds

_KEPT_S = 3_600.0
_MOST_KEPT = 1_000_000  # outcomes of requests
_PERCENTS = (50, 99)
_NO_GROUP = "none"  # of requests that get the fallback, and are measured with neither group


class _Outcome(NamedTuple):
    """The outcome of a request."""

    group: str
    at: float
    failed: bool
    metrics: Mapping[str, float]
    context: Mapping[str, float]


class Choice:
    """A configuration for one request, as a context manager: an exception inside it counts as a failed request.

    Attributes:
        config: what to use.
        group: ``"control"`` or ``"canary"``; ``"none"`` if the controller has been silent for too long.
    """

    def __init__(
        self, requests: RequestApplier, config: Mapping[str, Any], group: str, context: Mapping[str, float]
    ) -> None:
        self.config, self.group = config, group
        self._requests, self._context = requests, context
        self._metrics: dict[str, float] = {}

    def feedback(self, **metrics: float | None) -> None:
        """Record metrics of this request. A metric that it does not have, such as the latency of a failed request, is left
        out or None.

        Raises:
            HpoError: a metric is not a finite number.
        """
        self._metrics.update(numbers("feedback", metrics))

    def __enter__(self) -> Choice:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._requests.note(self.group, kind is not None, self._metrics, self._context)


class RequestApplier:
    """An applier for a service that asks for its configuration request by request.

    A window's metrics: the mean of each metric that was fed back and, as ``NAME_p50`` and ``NAME_p99``, its percentiles;
    the number of ``requests``; and ``errors``, the share of those that raised. Its context: the mean of each column.

    It is its own watchdog, since nothing outside of the process can change what requests get: if the controller's thread
    has died, or waits for its database, requests get the fallback.

    Args:
        patience_s: how long after the controller's last heartbeat its configurations are used.
    """

    def __init__(self, now: Callable[[], float], patience_s: float = math.inf) -> None:
        self._now, self._patience_s = now, patience_s
        self._heartbeat_at = math.inf
        self._lock = threading.Lock()
        self._runs: dict[str, Mapping[str, Any]] = {}
        self._share, self._owed = 0.0, 0.0
        self._outcomes: deque[_Outcome] = deque(maxlen=_MOST_KEPT)

    def choose(self, fallback: Mapping[str, Any], context: Mapping[str, float]) -> Choice:
        """A choice for one request; ``fallback`` while nothing has been applied yet, or the controller is silent.

        Raises:
            HpoError: the context has something else than finite numbers.
        """
        context = numbers("the context of a request", context)
        if self._now() - self._heartbeat_at > self._patience_s:
            return Choice(self, fallback, _NO_GROUP, context)
        with self._lock:
            self._owed += self._share
            group = CONTROL
            if self._owed >= 1.0:
                self._owed -= 1.0
                group = CANARY
            return Choice(self, self._runs.get(group, fallback), group, context)

    def note(self, group: str, failed: bool, metrics: Mapping[str, float], context: Mapping[str, float]) -> None:
        """Keep the outcome of a request until its window is measured."""
        with self._lock:
            at = self._now()  # within the lock, so that outcomes are in order of time
            self._outcomes.append(_Outcome(group, at, failed, dict(metrics), dict(context)))
            while self._outcomes[0].at < at - _KEPT_S:
                self._outcomes.popleft()

    def give_heartbeat(self, at: float) -> None:
        """Note a heartbeat of the controller."""
        self._heartbeat_at = at

    def forget_heartbeat(self) -> None:
        """Expect no more heartbeats: what runs now stays."""
        self._heartbeat_at = math.inf

    def split(self, share: float, seq: int) -> None:
        """Give the canary group this share of the requests."""
        with self._lock:
            self._share = share

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        """Use the configuration from the group's next request on."""
        with self._lock:
            self._runs[group] = dict(config)

    def read(self, group: str) -> Mapping[str, Any]:
        """The configuration that the group's requests get."""
        with self._lock:
            return self._runs.get(group, {})

    def measure(self, group: str, start: float, end: float) -> Measurement:
        """Aggregate the outcomes of the group's requests."""
        found = self._found(group, start, end)
        if not found:
            return {}, {}
        metrics = {"requests": float(len(found)), "errors": sum(o.failed for o in found) / len(found)}
        for name, values in _values(found).items():
            metrics[name] = sum(values) / len(values)
            for percent in _PERCENTS:
                metrics[f"{name}_p{percent}"] = values[max(0, math.ceil(percent / 100 * len(values)) - 1)]
        columns = {name for o in found for name in o.context}
        context = {}
        for name in columns:
            seen = [o.context[name] for o in found if name in o.context]
            context[name] = sum(seen) / len(seen)
        return metrics, context

    def bounds(self, group: str, start: float, end: float, level: float) -> Bounds:
        """Bounds of ``errors`` and of all percentiles and means; of three requests, one that failed proves nothing."""
        found = self._found(group, start, end)
        if not found:
            return {}
        bounds = {"errors": share_bounds(sum(o.failed for o in found), len(found), level)}
        for name, values in _values(found).items():
            bounds[name] = mean_bounds(values, level)
            for percent in _PERCENTS:
                bounds[f"{name}_p{percent}"] = quantile_bounds(values, percent / 100, level)
        return bounds

    def _found(self, group: str, start: float, end: float) -> list[_Outcome]:
        with self._lock:  # requests wait for it: copy what the window may have, and choose from that afterwards
            first = bisect_left(self._outcomes, start, key=lambda outcome: outcome.at)
            newest = list(islice(reversed(self._outcomes), len(self._outcomes) - first))
        return [o for o in reversed(newest) if o.group == group and o.at <= end]


def _values(outcomes: Sequence[_Outcome]) -> dict[str, list[float]]:
    """By metric, what was fed back, in ascending order."""
    names = {name for o in outcomes for name in o.metrics}
    return {name: sorted(o.metrics[name] for o in outcomes if name in o.metrics) for name in names}
