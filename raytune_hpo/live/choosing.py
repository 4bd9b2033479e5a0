"""In-process choices of a service: a configuration for each request, and the request's outcome, without a network."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from math import ceil
from types import TracebackType
from typing import Any, NamedTuple

from raytune_hpo.live.appliers import Measurement
from raytune_hpo.live.fold import CANARY, CONTROL

_KEPT_S = 3_600.0
_MOST_KEPT = 1_000_000  # outcomes of requests


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
        group: ``"control"`` or ``"canary"``.
    """

    def __init__(
        self, requests: RequestApplier, config: Mapping[str, Any], group: str, context: Mapping[str, float]
    ) -> None:
        self.config, self.group = config, group
        self._requests, self._context = requests, context
        self._metrics: dict[str, float] = {}

    def feedback(self, **metrics: float) -> None:
        """Record metrics of this request."""
        self._metrics.update(metrics)

    def __enter__(self) -> Choice:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._requests.note(self.group, kind is not None, self._metrics, self._context)


class RequestApplier:
    """An applier for a service that asks for its configuration request by request.

    A window's metrics: the mean of each metric that was fed back and, as ``NAME_p50`` and ``NAME_p99``, its percentiles;
    the number of ``requests``; and ``errors``, the share of those that raised. Its context: the mean of each column.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._runs: dict[str, Mapping[str, Any]] = {}
        self._share, self._owed = 0.0, 0.0
        self._outcomes: deque[_Outcome] = deque(maxlen=_MOST_KEPT)

    def choose(self, fallback: Mapping[str, Any], context: Mapping[str, float]) -> Choice:
        """A choice for one request; ``fallback`` while nothing has been applied yet."""
        with self._lock:
            self._owed += self._share
            group = CONTROL
            if self._owed >= 1.0:
                self._owed -= 1.0
                group = CANARY
            return Choice(self, self._runs.get(group, fallback), group, context)

    def note(self, group: str, failed: bool, metrics: Mapping[str, float], context: Mapping[str, float]) -> None:
        """Keep the outcome of a request until its window is measured."""
        at = self._now()
        with self._lock:
            self._outcomes.append(_Outcome(group, at, failed, dict(metrics), dict(context)))
            while self._outcomes[0].at < at - _KEPT_S:
                self._outcomes.popleft()

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
        with self._lock:
            found = [o for o in self._outcomes if o.group == group and start <= o.at <= end]
        if not found:
            return {}, {}
        metrics = {"requests": float(len(found)), "errors": sum(o.failed for o in found) / len(found)}
        for name in {name for o in found for name in o.metrics}:
            values = sorted(o.metrics[name] for o in found if name in o.metrics)
            metrics[name] = sum(values) / len(values)
            for percent in (50, 99):
                metrics[f"{name}_p{percent}"] = values[max(0, ceil(percent / 100 * len(values)) - 1)]
        columns = {name for o in found for name in o.context}
        context = {}
        for name in columns:
            seen = [o.context[name] for o in found if name in o.context]
            context[name] = sum(seen) / len(seen)
        return metrics, context
