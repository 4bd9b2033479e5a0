"""Stoppers: rules that end a trial, or all trials."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from raytune_hpo.compat.ray_tune.error import TuneError
from raytune_hpo.goals import Goal


class Stopper(ABC):
    """The base of stoppers, which decide after each result whether its trial, or the whole experiment, ends."""

    @abstractmethod
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial ends with this result."""

    @abstractmethod
    def stop_all(self) -> bool:
        """Whether all trials end, and no new ones begin."""


class NoopStopper(Stopper):
    """Never stops anything."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return False


class FunctionStopper(Stopper):
    """Stops trials by a function of a trial's id and result.

    Raises:
        ValueError: it is no function.
    """

    def __init__(self, function: Callable[[str, dict[str, Any]], bool]) -> None:
        if not self.is_valid_function(function):
            raise ValueError(f"FunctionStopper takes a function of a trial's id and its result, got {function!r}")
        self._function = function

    @classmethod
    def is_valid_function(cls, fn: Any) -> bool:
        """Whether it can be called, and is neither a class nor a Stopper."""
        return callable(fn) and not isinstance(fn, (type, Stopper))

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return bool(self._function(trial_id, result))

    def stop_all(self) -> bool:
        return False


class MaximumIterationStopper(Stopper):
    """Stops each trial after ``max_iter`` results.

    Raises:
        ValueError: ``max_iter`` is no number.
    """

    def __init__(self, max_iter: int) -> None:
        if isinstance(max_iter, bool) or not isinstance(max_iter, (int, float, np.number)):
            raise ValueError(f"MaximumIterationStopper takes a number of results, got {max_iter!r}")
        self._max_iter = max_iter
        self._seen: defaultdict[str, int] = defaultdict(int)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self._seen[trial_id] += 1
        return self._seen[trial_id] >= self._max_iter

    def stop_all(self) -> bool:
        return False


class TimeoutStopper(Stopper):
    """Stops all trials when the timeout, counted from the first call, has passed."""

    def __init__(self, timeout: float | timedelta) -> None:
        self._timeout_s = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
        self._begun_at: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self.stop_all()

    def stop_all(self) -> bool:
        now = time.monotonic()
        if self._begun_at is None:
            self._begun_at = now
        return now - self._begun_at >= self._timeout_s

    def __getstate__(self) -> dict[str, Any]:  # a monotonic clock means nothing in another process
        return {**self.__dict__, "_begun_at": None}


class TrialPlateauStopper(Stopper):
    """Stops a trial whose metric no longer changes: the standard deviation of its newest values is below ``std``.

    Args:
        num_results: how many of the newest values are compared.
        grace_period: the number of results before which no trial is stopped.
        metric_threshold: a trial is only stopped while its newest value is at least this good.
        mode: "min" or "max", for the threshold.
    """

    def __init__(
        self,
        metric: str,
        std: float = 0.01,
        num_results: int = 4,
        grace_period: int = 4,
        metric_threshold: float | None = None,
        mode: str | None = None,
    ) -> None:
        if metric_threshold is not None and mode is None:
            raise ValueError(f"metric_threshold={metric_threshold} needs mode, 'min' or 'max', got None")
        self._metric, self._std, self._grace_period = metric, std, grace_period
        self._goal, self._threshold = Goal(metric, mode or "min"), metric_threshold
        self._num_results = num_results
        self._seen: defaultdict[str, int] = defaultdict(int)
        self._newest: dict[str, deque[float]] = {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        value = result.get(self._metric)
        newest = self._newest.setdefault(trial_id, deque(maxlen=self._num_results))
        newest.append(np.nan if value is None else float(value))
        self._seen[trial_id] += 1
        if self._seen[trial_id] < self._grace_period or len(newest) < self._num_results:
            return False
        if self._threshold is not None and not self._goal.loss(newest[-1]) <= self._goal.loss(self._threshold):
            return False
        return bool(np.std(newest) < self._std)

    def stop_all(self) -> bool:
        return False


class ExperimentPlateauStopper(Stopper):
    """Stops all trials when the best values no longer change: the standard deviation of the top ones is at most ``std``.

    Args:
        top: how many of the best values are compared.
        mode: "min" or "max".
        patience: for how many results the plateau has to last; 0 and 1 are the same.
    """

    def __init__(self, metric: str, std: float = 0.001, top: int = 10, mode: str = "min", patience: int = 0) -> None:
        if top <= 1 or std < 0 or patience < 0:
            raise ValueError(f"a plateau needs top > 1, std >= 0 and patience >= 0, got {top=}, {std=}, {patience=}")
        self._goal, self._std, self._top, self._patience = Goal(metric, mode), std, top, patience
        self._best: list[float] = []
        self._num_flat = 0

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if self._goal.metric in result:
            self._best = sorted([*self._best, self._goal.loss(float(result[self._goal.metric]))])[: self._top]
            self._num_flat = self._num_flat + 1 if self.has_plateaued() else 0
        return self.stop_all()

    def has_plateaued(self) -> bool:
        """Whether the best values are within ``std``."""
        return len(self._best) == self._top and bool(np.std(self._best) <= self._std)

    def stop_all(self) -> bool:
        return self.has_plateaued() and self._num_flat >= self._patience


class CombinedStopper(Stopper):
    """Stops what any of several stoppers would."""

    def __init__(self, *stoppers: Stopper) -> None:
        self._stoppers = stoppers

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        verdicts = [stopper(trial_id, result) for stopper in self._stoppers]  # every stopper gets each result
        return any(verdicts)

    def stop_all(self) -> bool:
        return any(stopper.stop_all() for stopper in self._stoppers)


def stop_rule(stop: Any) -> tuple[Mapping[str, Any], Stopper | None]:
    """The parts of ``stop``: values that end a trial when they are reached, and all else as one stopper.

    Raises:
        ValueError: it is neither a dict nor a function nor a Stopper.
    """
    if stop is None:
        return {}, None
    if isinstance(stop, Mapping):
        return dict(stop), None
    if isinstance(stop, Stopper):
        return {}, stop
    if isinstance(stop, (list, tuple)):
        rules = [stop_rule(each) for each in stop]
        stoppers = [stopper for _, stopper in rules if stopper is not None]
        return {key: value for values, _ in rules for key, value in values.items()}, CombinedStopper(*stoppers)
    if FunctionStopper.is_valid_function(stop):
        return {}, FunctionStopper(stop)
    raise ValueError(f"stop is a dict such as {{'training_iteration': 10}}, a function or a Stopper, got {stop!r}")


def reached(criteria: Mapping[str, Any], flat: Mapping[str, Any]) -> bool:
    """Whether a flat result has reached one of the values; a metric that is missing has not.

    Raises:
        TuneError: a metric cannot be compared with its value.
    """
    for key, value in criteria.items():
        if flat.get(key) is None:
            continue
        try:
            if flat[key] >= value:
                return True
        except TypeError as error:
            raise TuneError(
                f"stop={{{key!r}: {value!r}}} is compared with a result by >=, got {flat[key]!r}"
            ) from error
    return False
