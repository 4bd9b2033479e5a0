"""Progress line of an experiment."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType

from raytune_hpo.display.text import duration, number
from raytune_hpo.experiments.search import SearchOutcome
from raytune_hpo.experiments.summary import time_to_goal_s
from raytune_hpo.progress.pace import Meter
from raytune_hpo.progress.terminal import line_on


class ExperimentProgress:
    """A line with the number of repeats that have ended and reached the goal, and the time that the others will take.

    It is a context manager; at its end, the line stays as it is.
    """

    def __init__(self, name: str, num_repeats: int, goal: float | None, mode: str, *, enabled: bool) -> None:
        self._name, self._num_repeats, self._goal, self._mode = name, num_repeats, goal, mode
        self._line = line_on(sys.stderr) if enabled else None
        self._meter = Meter()
        self._ended = self._reached = 0

    def begin(self, before: Iterable[SearchOutcome]) -> None:
        """Count the repeats of earlier runs."""
        for outcome in before:
            self._count(outcome)
        self._write()

    def note(self, outcome: SearchOutcome) -> None:
        """Count a repeat that has just ended."""
        self._count(outcome)
        self._meter.note(self._ended)  # the rate counts from the first repeat on, without the start-up time
        self._write()

    def __enter__(self) -> ExperimentProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._line is not None:
            self._line.end(self._text())

    def _count(self, outcome: SearchOutcome) -> None:
        self._ended += 1
        self._reached += time_to_goal_s(outcome.steps, self._goal, self._mode) is not None

    def _write(self) -> None:
        if self._line is not None:
            self._line.write(self._text())

    def _text(self) -> str:
        parts = [f"{self._name}: {self._ended}/{self._num_repeats} repeats"]
        if self._goal is not None and self._ended:
            share = self._reached / self._ended
            parts.append(f"{self._reached} reached {number(self._goal)} ({share:.0%})")
        rate, left = self._meter.rate(), self._num_repeats - self._ended
        if rate and left:
            parts.append(f"{duration(left / rate)} left")
        return ", ".join(parts)
