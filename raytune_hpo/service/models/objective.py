"""The objective of a study that trains models on a table: what was asked for, checked, and how it is kept in the spec."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raytune_hpo.display.text import size
from raytune_hpo.errors import nearest
from raytune_hpo.service.models.estimators import ESTIMATORS, Estimator, estimators_of
from raytune_hpo.service.models.scores import SCORES, Score, scores_of
from raytune_hpo.service.models.tables import ONE_HOT_LEVELS, Column, Table
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.shapes import ModelsOnTable
from raytune_hpo.spec import StudySpec

KIND = "sklearn"
FOLDS = (2, 20)
_SHARE = 4  # a one-hot encoded table may take 1/4 of the machine's memory
_FLOAT_BYTES = 8
_MANY_CLASSES = 200
_Errors = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ModelObjective:
    """The models to train, the table to train them on, and the score.

    Attributes:
        table, title, separator: the table's id, the name of its file, and what separates its columns.
        score: a key of SCORES.
        seed: the seed of the folds and of the models.
        estimators: keys of ESTIMATORS.
        numbers, one_hot, codes: the columns that are numbers, those that become a column for each value, and those whose
            values become numbers.
    """

    table: str
    title: str
    separator: str
    target: str
    task: str
    score: str
    folds: int
    seed: int
    estimators: tuple[str, ...]
    numbers: tuple[str, ...]
    one_hot: tuple[str, ...]
    codes: tuple[str, ...]

    @property
    def scored_by(self) -> Score:
        return SCORES[self.score]

    def to_json(self) -> dict[str, Any]:
        return {"kind": KIND, **asdict(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ModelObjective:
        kept: dict[str, Any] = {name: stored[name] for name in cls.__dataclass_fields__}
        return cls(**{**kept, **{name: tuple(v) for name, v in kept.items() if isinstance(v, list)}})


def model_of(spec: StudySpec) -> ModelObjective | None:
    """The model objective of a stored study; None if it has none."""
    stored = spec.settings.get("objective")
    return ModelObjective.from_json(stored) if isinstance(stored, Mapping) and stored.get("kind") == KIND else None


def planned(asked: ModelsOnTable, table: Table, metric: str | None, seed: int) -> tuple[ModelObjective, dict[str, Any]]:
    """The objective that a request asks for, and its space in the JSON of spaces.

    Args:
        metric: None: the default of the task.

    Raises:
        Problem: with all errors, each with the JSON pointer to its field.
    """
    errors: _Errors = []
    target = table.column(asked.target)
    if target is None:
        names = nearest(asked.target, (column.name for column in table.columns))
        raise _invalid([("/objective/target", f"Target: there is no column {asked.target!r}; {names}")])
    score = _score(asked.task, metric, errors)
    _check_target(target, table, asked, score, errors)
    options = _options(asked, table, score, errors)
    groups = _grouped(table, asked, errors)
    if errors:
        raise _invalid(errors)
    assert score is not None
    objective = ModelObjective(
        table=table.id,
        title=table.title,
        separator=table.separator,
        target=asked.target,
        task=asked.task,
        score=score.name,
        folds=asked.folds,
        seed=seed,
        estimators=tuple(options),
        **groups,
    )
    return objective, {"model": {"type": "branch", "options": options}}


def _invalid(errors: _Errors) -> Problem:
    return Problem("invalid", errors[0][1], errors=errors)


def _score(task: str, metric: str | None, errors: _Errors) -> Score | None:
    known = {score.name: score for score in scores_of(task)}
    name = next(iter(known)) if metric is None else metric
    if name not in known:
        errors.append(("/metric", f"Metric: {name!r} is not a metric of {task}; {nearest(name, known)}"))
    return known.get(name)


def _check_target(target: Column, table: Table, asked: ModelsOnTable, score: Score | None, errors: _Errors) -> None:
    """Check that the target suits the task, the folds and the score."""
    where = "/objective/target"

    def wrong(message: str) -> None:
        errors.append((where, f"Target: {message}"))

    if target.missing:
        wrong(
            f"every row has one; {target.name} is missing in {target.missing:,} of {table.num_rows:,}. Leave these rows out"
        )
    if not FOLDS[0] <= asked.folds <= FOLDS[1]:
        rule = f"Folds: must be {FOLDS[0]} to {FOLDS[1]}; got {asked.folds}"
        errors.append(("/objective/folds", f"{rule}. With 5, each fold has {table.num_rows // 5:,} rows"))
    elif asked.folds * 2 > table.num_rows:
        errors.append(("/objective/folds", f"Folds: {table.num_rows:,} rows make at most {table.num_rows // 2} folds"))
    if target.levels is not None and len(target.levels) < 2:
        return wrong(f"{target.name} is the same in every row; choose another column")
    if asked.task == "regression":
        if target.kind != "number":
            wrong(f"a number is predicted, and {target.name} is text; choose to predict a class")
        return None
    if target.levels is None:
        return wrong(f"{target.name} has more than {_MANY_CLASSES} values: no classes; choose to predict a number")
    rarest, n = min(target.levels.items(), key=lambda pair: pair[1])
    if n < asked.folds:
        wrong(
            f"class {rarest!r} of {target.name} has {n} rows, and every fold needs one; choose {max(2, n)} folds or fewer"
        )
    if score is not None and score.is_binary and len(target.levels) != 2:
        errors.append(("/metric", f"Metric: {score.name} is for two classes; {target.name} has {len(target.levels)}"))
    return None


def _options(asked: ModelsOnTable, table: Table, score: Score | None, errors: _Errors) -> dict[str, Any]:
    """The options of the space: each model's hyperparameters."""
    known = {estimator.name: estimator for estimator in estimators_of(asked.task)}
    options = {}
    for name, changes in asked.estimators.items():
        where = f"/objective/estimators/{name}"
        if name not in known:
            other = " for this task" if name in ESTIMATORS else ""
            errors.append((where, f"Models: {name[:60]!r} is not a model{other}; {nearest(name, known)}"))
            continue
        label, most = known[name].label, known[name].max_rows
        if score is not None and score.is_of_probabilities and not known[name].has_probabilities:
            errors.append((where, f"Models: {label} gives no probabilities, which {score.name} needs; leave it out"))
        if most is not None and table.num_rows > most:
            errors.append(
                (where, f"Models: {label} takes at most {most:,} rows, the table has {table.num_rows:,}; leave it out")
            )
        options[name] = _parameters(known[name], changes, learned_from(table, asked.folds), where, errors)
    return options


def _parameters(
    estimator: Estimator,
    changes: Mapping[str, Mapping[str, Any]] | None,
    num_rows: int,
    where: str,
    errors: _Errors,
) -> dict[str, Any]:
    """The hyperparameters that are tuned: those that are named, or all that are proposed."""
    known = {parameter.name: parameter.on(num_rows) for parameter in estimator.parameters}
    found = {}
    for name, change in ({key: {} for key in known} if changes is None else changes).items():
        if name not in known:
            errors.append((f"{where}/{name}", f"{estimator.label}: no parameter {name[:60]!r}; {nearest(name, known)}"))
            continue
        try:
            found[name] = known[name].form(change)
        except ValueError as error:
            errors.append((f"{where}/{name}", str(error)))
    return found


def _grouped(table: Table, asked: ModelsOnTable, errors: _Errors) -> dict[str, tuple[str, ...]]:
    """The feature columns, by their encoding."""
    left_out = {asked.target, *asked.left_out}
    if unknown := [name for name in asked.left_out if table.column(name) is None]:
        errors.append(("/objective/left_out", f"Left out: there is no column {unknown[0]!r}"))
    used = [column for column in table.columns if column.name not in left_out]
    if not used:
        errors.append(("/objective/left_out", "Left out: at least one column must remain; all are left out"))
    numbers = [c.name for c in used if c.kind == "number"]
    one_hot = [c for c in used if c.kind == "text" and c.levels is not None and len(c.levels) <= ONE_HOT_LEVELS]
    chosen = {column.name for column in one_hot}
    codes = [c.name for c in used if c.kind == "text" and c.name not in chosen]
    width = len(numbers) + len(codes) + sum(len(column.levels or ()) for column in one_hot)
    needed, most = width * table.num_rows * _FLOAT_BYTES, memory_bytes() // _SHARE
    if needed > most:
        errors.append(
            (
                "/objective/left_out",
                f"Table: {table.num_rows:,} rows of {width:,} columns, with one for each value of a text, take "
                f"{size(needed)}; at most {size(most)} here. Leave columns out",
            )
        )
    return {"numbers": tuple(numbers), "one_hot": tuple(column.name for column in one_hot), "codes": tuple(codes)}


def learned_from(table: Table, folds: int) -> int:
    """The smallest number of rows that a model is trained on: all but the largest fold."""
    return table.num_rows - math.ceil(table.num_rows / max(folds, FOLDS[0]))


def memory_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
