"""Reporters: tables of the trials, printed now and then."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.trial_folder import flattened
from raytune_hpo.compat.ray_tune.trials import Trial
from raytune_hpo.display.text import cut, terminal_columns
from raytune_hpo.goals import Goal

Columns = Sequence[str] | Mapping[str, str] | None


class ProgressReporter:
    """The base of reporters: a subclass defines when it reports, and how."""

    def setup(self, **facts: Any) -> None:
        """Called before the first trial, with the facts ``total_samples``, ``metric`` and ``mode``."""

    def should_report(self, trials: list[Trial], done: bool = False) -> bool:
        """Whether a report is due."""
        return True

    def report(self, trials: list[Trial], done: bool, *sys_info: str) -> None:
        """Show the trials."""


class CLIReporter(ProgressReporter):
    """Prints a table of the trials, at most every ``max_report_frequency`` seconds, and at the end.

    Args:
        metric_columns, parameter_columns: which columns to show; a dict gives them other names.
        max_progress_rows, max_column_length: how much of the table is shown.
        metric, mode: by which the rows are sorted, with ``sort_by_metric``.
    """

    def __init__(
        self,
        *,
        metric_columns: Columns = None,
        parameter_columns: Columns = None,
        total_samples: int | None = None,
        max_progress_rows: int = 20,
        max_error_rows: int = 20,
        max_column_length: int = 20,
        max_report_frequency: int = 5,
        infer_limit: int = 3,
        print_intermediate_tables: bool | None = None,
        metric: str | None = None,
        mode: str | None = None,
        sort_by_metric: bool = False,
    ) -> None:
        self._metrics = _named(metric_columns if metric_columns is not None else ["training_iteration", "time_total_s"])
        self._parameters = None if parameter_columns is None else _named(parameter_columns)
        self._max_rows, self._max_errors = max_progress_rows, max_error_rows
        self._width, self._every_s = max_column_length, max_report_frequency
        self._tables = print_intermediate_tables is not False
        self._metric, self._mode, self._sorts = metric, mode, sort_by_metric
        self._reported_at: float | None = None

    def add_metric_column(self, metric: str, representation: str | None = None) -> None:
        """Show one more metric."""
        self._metrics[metric] = representation or metric

    def add_parameter_column(self, parameter: str, representation: str | None = None) -> None:
        """Show one more parameter."""
        self._parameters = {**(self._parameters or {}), parameter: representation or parameter}

    def setup(self, *, metric: str | None = None, mode: str | None = None, **facts: Any) -> None:
        """Use the experiment's metric if none was given."""
        self._metric, self._mode = self._metric or metric, self._mode or mode

    def should_report(self, trials: list[Trial], done: bool = False) -> bool:
        """True at the end, and when enough seconds have passed."""
        now = time.monotonic()
        if not done and self._reported_at is not None and now - self._reported_at < self._every_s:
            return False
        self._reported_at = now
        return True

    def report(self, trials: list[Trial], done: bool, *sys_info: str) -> None:
        """Print the table."""
        counts = ", ".join(f"{number} {status}" for status, number in Counter(t.status for t in trials).items())
        lines = [f"Trials: {len(trials)} ({counts})"]
        if done or self._tables:
            lines += self._table(trials)
        lines += [f"{trial}: {trial.error_file}" for trial in trials if trial.error][: self._max_errors]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    def _table(self, trials: Sequence[Trial]) -> list[str]:
        parameters = self._parameters
        if parameters is None:
            parameters = {name: name for trial in trials[:1] for name in trial.evaluated_params}
        rows = [["trial", "status", *parameters.values(), *self._metrics.values()]]
        for trial in self._sorted(trials)[: self._max_rows]:
            config, result = trial.evaluated_params, flattened(trial.last_result)
            values = [config.get(name, "") for name in parameters] + [result.get(name, "") for name in self._metrics]
            rows.append([str(trial), trial.status, *(_shown(value, self._width) for value in values)])
        widths = [max(terminal_columns(row[j]) for row in rows) for j in range(len(rows[0]))]
        padded = [[c + " " * (w - terminal_columns(c)) for c, w in zip(row, widths, strict=True)] for row in rows]
        return ["  ".join(row).rstrip() for row in padded]

    def _sorted(self, trials: Sequence[Trial]) -> list[Trial]:
        metric = self._metric
        if not self._sorts or not isinstance(metric, str) or not isinstance(self._mode, str):
            return list(trials)
        goal = Goal(metric, self._mode)
        return sorted(trials, key=lambda t: goal.loss(flattened(t.last_result).get(metric, goal.value(float("inf")))))


class JupyterNotebookReporter(CLIReporter):
    """A CLIReporter for notebooks, where ``fit`` also shows its own progress card."""

    def __init__(self, *, overwrite: bool = True, **options: Any) -> None:
        super().__init__(**options)


def _named(columns: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    return dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns}


def _shown(value: Any, width: int) -> str:
    return cut(f"{value:.6g}" if isinstance(value, float) else str(value), width)
