"""The table of a study's trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

if TYPE_CHECKING:
    import pandas as pd

    from raytune_hpo.compat.optuna.study.study import Study

ATTRS = (
    "number",
    "value",
    "datetime_start",
    "datetime_complete",
    "duration",
    "params",
    "user_attrs",
    "system_attrs",
    "state",
)


def table(study: Study, attrs: Sequence[str], *, multi_index: bool) -> pd.DataFrame:
    """The table: a row for each trial, and a column for each parameter, value or attribute."""
    import pandas as pd

    trials = study.get_trials(deepcopy=False)
    names = study.metric_names
    if study._is_multi_objective():
        attrs = ["values" if attr == "value" else attr for attr in attrs]
    rows = []
    for trial in trials:
        row: dict[tuple[str, Any], Any] = {}
        for attr in attrs:
            for key, value in _cells(trial, attr, names, len(study.directions)):
                row[attr.lstrip("_"), key] = value
        rows.append(row)
    columns: list[tuple[str, Any]] = []
    for attr in attrs:  # the columns of one attribute are adjacent, in the order of their names; metrics in their own
        found = dict.fromkeys(column for row in rows for column in row if column[0] == attr.lstrip("_"))
        columns += found if attr == "values" else sorted(found)
    frame: pd.DataFrame = pd.DataFrame([[row.get(key) for key in columns] for row in rows])
    if multi_index:
        frame.columns = pd.MultiIndex.from_tuples(columns) if columns else frame.columns
    else:
        frame.columns = pd.Index(["_".join(filter(None, map(str, column))) for column in columns])
    return frame


def _cells(trial: FrozenTrial, attr: str, names: Sequence[str] | None, num_goals: int) -> list[tuple[Any, Any]]:
    """The values of an attribute of a trial, each with its name, which is empty where the attribute is a single value."""
    value = getattr(trial, attr)
    if attr == "values":
        values = [None] * num_goals if value is None else value
        return list(zip(names or range(num_goals), values, strict=False))
    if attr == "value":
        return [(names[0] if names else "", value)]
    if attr == "state":
        return [("", value.name)]
    if isinstance(value, dict):
        return list(value.items())
    return [("", value)]
