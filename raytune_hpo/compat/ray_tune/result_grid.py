"""The results of an experiment, trial by trial."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.ray_tune.checkpoint import local_file_system
from raytune_hpo.compat.ray_tune.result import Result
from raytune_hpo.compat.ray_tune.trial_folder import flattened
from raytune_hpo.goals import Goal

if TYPE_CHECKING:
    import pandas

    from raytune_hpo.results import Results

SCOPES = ("last", "avg", "all", "last-5-avg", "last-10-avg")


class ResultGrid(Sequence[Result]):
    """The results of all trials, in the order in which they began.

    Args:
        study: the results of the study in this package's own form.
        statuses: of each trial, see ``Trial``.

    Attributes:
        experiment_path: the folder of the experiment.
        study: the results of the study in this package's own form, with figures, importances and so on.
    """

    def __init__(
        self,
        results: Sequence[Result],
        *,
        experiment_path: str,
        statuses: Sequence[str],
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        study: Results | None = None,
    ) -> None:
        self._results, self._statuses = list(results), list(statuses)
        self.experiment_path, self.study = experiment_path, study
        self._metric, self._mode = metric, mode

    @property
    def filesystem(self) -> Any:
        """The file system of the experiment's folder, which is this machine's."""
        return local_file_system()

    def __len__(self) -> int:
        return len(self._results)

    def __getitem__(self, index: Any) -> Any:
        return self._results[index]

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results)

    @property
    def errors(self) -> list[BaseException]:
        """The exceptions of the trials that failed."""
        return [result.error for result in self._results if result.error is not None]

    @property
    def num_errors(self) -> int:
        """How many trials failed."""
        return self._statuses.count("ERROR")

    @property
    def num_terminated(self) -> int:
        """How many trials ended without an error, by themselves or because they were stopped."""
        return self._statuses.count("TERMINATED")

    @property
    def statuses(self) -> list[str]:
        """The status of each trial: "TERMINATED", "ERROR", "PENDING" or "RUNNING"."""
        return list(self._statuses)

    def get_best_result(
        self,
        metric: str | None = None,
        mode: str | None = None,
        scope: str = "last",
        filter_nan_and_inf: bool = True,
    ) -> Result:
        """The best trial.

        Args:
            metric, mode: the goal; None: that of the experiment. A single trial is the best one by any goal.
            scope: which of a trial's results count: "last", "avg" (their mean), "last-5-avg", "last-10-avg", or "all", the
                best.
            filter_nan_and_inf: whether values that are not finite are left out.

        Raises:
            ValueError: no metric or mode was given, here or before; the scope is unknown.
            RuntimeError: no trial has a value.
        """
        if len(self) == 1:
            return self._results[0]
        metric = metric or (self._metric if isinstance(self._metric, str) else None)
        mode = mode or (self._mode if isinstance(self._mode, str) else None)
        if metric is None or mode is None:
            raise ValueError(
                f"the best of several trials needs one metric and its mode, got {metric=}, {mode=}; give them here or in "
                f"TuneConfig"
            )
        goal = Goal(metric, mode)
        losses = [_loss(result, goal, scope, filter_nan_and_inf) for result in self._results]
        scored = [(loss, index) for index, loss in enumerate(losses) if loss is not None]
        if not scored:
            raise RuntimeError(
                f"no trial has a value of metric {metric!r}"
                + (" that is finite" if filter_nan_and_inf else "")
                + f"; {self.num_errors} of {len(self)} have failed"
            )
        return self._results[min(scored)[1]]

    def get_dataframe(self, filter_metric: str | None = None, filter_mode: str | None = None) -> pandas.DataFrame:
        """A row for each trial, with columns such as ``config/lr``.

        Args:
            filter_metric, filter_mode: with these, a trial's row is its best result; otherwise its last one.
        """
        import pandas

        rows = []
        for result in self._results:
            row = flattened(result.metrics)
            if filter_metric is not None:
                goal = Goal(filter_metric, filter_mode or "max")
                scored = [(_value(each, goal), i) for i, each in enumerate(_flat_rows(result))]
                known = [(loss, i) for loss, i in scored if loss is not None and not math.isnan(loss)]
                row = _flat_rows(result)[min(known)[1]] if known else row
            rows.append({**row, "logdir": result.path})
        table: pandas.DataFrame = pandas.DataFrame(rows)
        return table

    def __repr__(self) -> str:
        listed = ",\n  ".join(repr(result).replace("\n", "\n  ") for result in self._results)
        return f"ResultGrid<[\n  {listed}\n]>"


def _flat_rows(result: Result) -> list[dict[str, Any]]:
    return [flattened(row) for row in result.rows]


def _value(flat: dict[str, Any], goal: Goal) -> float | None:
    value = flat.get(goal.metric)
    return None if value is None or isinstance(value, str) else float(goal.loss(value))


def _loss(result: Result, goal: Goal, scope: str, finite: bool) -> float | None:
    """A trial's loss within a scope; None if it has none."""
    if scope not in SCOPES:
        raise ValueError(f"scope is one of {', '.join(SCOPES)}, got {scope!r}")
    if scope == "last":
        losses = [_value(flattened(result.metrics), goal)]
    else:
        losses = [_value(row, goal) for row in _flat_rows(result)]
    if scope.startswith("last-"):
        losses = losses[-int(scope.split("-")[1]) :]
    known = [loss for loss in losses if loss is not None]
    if finite:
        known = [loss for loss in known if math.isfinite(loss)]
    if not known:
        return None
    return min(known) if scope == "all" else sum(known) / len(known)
