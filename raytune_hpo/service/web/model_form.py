"""The form of a study that trains models: the values of its fields, and the API request made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData

from raytune_hpo.display.text import number, seconds_of
from raytune_hpo.service.models.estimators import PROPOSED, TASKS, Estimator, Parameter, estimators_of
from raytune_hpo.service.models.objective import KIND, learned_from
from raytune_hpo.service.models.scores import scores_of
from raytune_hpo.service.models.tables import ONE_HOT_LEVELS, Column, Table, is_like_identifier, remarks
from raytune_hpo.service.problems import Problem

SAMPLERS = ("auto", "random", "sobol", "tpe", "gp", "rf", "cmaes")
SCHEDULERS = ("none", "median", "asha")
_MANY = 20  # distinct values from which on a column of numbers suggests regression
_SHOWN_COLUMNS, _SHOWN_ROWS, _LISTED = 12, 5, 60
_WHOLE = {
    "folds": "Folds",
    "num_trials": "Trials",
    "num_workers": "At once",
    "memory_mb": "Memory per trial",
    "seed": "Seed",
}
_SECONDS = {"time": "Time", "trial_timeout": "Time per trial"}
_FIRST = {
    "folds": "5",
    "num_trials": "50",
    "time": "",
    "num_workers": "1",
    "trial_timeout": "10m",
    "memory_mb": "2048",
    "sampler": "auto",
    "scheduler": "none",
    "seed": "1",
}
_FIELDS = {  # the fields' ids by pointers into the request
    "/objective/left_out": "data",
    "/objective/dataset": "data",
    "/objective/trial_timeout_s": "trial_timeout",
    "/limits/time_budget_s": "time",
    "/limits/num_trials": "num_trials",
}
_Errors = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ModelForm:
    """The contents of the form.

    Attributes:
        values: the value of each field that has one.
        ticked: the ticked boxes of each group: ``left_out``, ``model``, ``tune`` and ``log`` ("model.parameter"), and
            ``values.model.parameter`` of a choice.
    """

    table: Table
    values: Mapping[str, str]
    ticked: Mapping[str, frozenset[str]]

    @classmethod
    def first(cls, table: Table, target: str, task: str) -> ModelForm:
        """The form when it is opened; a target or task that is missing or unknown is chosen."""
        column = table.column(target) or table.columns[-1]
        chosen = task if task in TASKS else _task_of(column)
        samples = dict(zip((c.name for c in table.columns), zip(*table.sample, strict=True), strict=True))
        left_out = [c.name for c in table.columns if c is not column and is_like_identifier(c, samples[c.name])]
        known = estimators_of(chosen)
        num_rows = learned_from(table, int(_FIRST["folds"]))
        parameters = [(e, p.on(num_rows)) for e in known for p in e.parameters]
        keys = {f"{e.name}.{p.name}": p for e, p in parameters}
        ranges = {f"low.{key}": number(p.low) for key, p in keys.items() if p.kind != "choice"}
        ranges |= {f"high.{key}": number(p.high) for key, p in keys.items() if p.kind != "choice"}
        return cls(
            table=table,
            values={
                **_FIRST,
                **ranges,
                "target": column.name,
                "task": chosen,
                "metric": scores_of(chosen)[0].name,
                "name": _name_of(table),
            },
            ticked={
                "left_out": frozenset(left_out),
                "model": frozenset(PROPOSED[chosen]),
                "tune": frozenset(keys),
                "log": frozenset(key for key, p in keys.items() if p.log),
                **{f"values.{key}": frozenset(map(str, p.values)) for key, p in keys.items() if p.kind == "choice"},
            },
        )

    @classmethod
    def sent(cls, table: Table, form: FormData) -> ModelForm:
        """The form as a browser sent it."""
        names = dict.fromkeys(form.keys())
        every = {name: [str(value).strip() for value in form.getlist(name)] for name in names}
        first = cls.first(table, form.get("target", ""), form.get("task", ""))  # type: ignore[arg-type]
        values = {name: found[0] for name, found in every.items()}
        ticked = {name: frozenset(every.get(name, ())) for name in first.ticked}
        return cls(table=table, values={**first.values, **values}, ticked=ticked)

    @property
    def task(self) -> str:
        return self.values["task"]

    # -------------------------------------------------------------------------------------------- the request

    def request(self) -> dict[str, Any]:
        """The body of the API request that creates this study.

        Raises:
            Problem: a field is not a number.
        """
        errors: _Errors = []
        whole = {name: _whole(self.values[name], label, f"/{name}", errors) for name, label in _WHOLE.items()}
        seconds = {name: _seconds(self.values[name], label, f"/{name}", errors) for name, label in _SECONDS.items()}
        estimators = {
            e.name: self._tuned(e, errors) for e in estimators_of(self.task) if e.name in self.ticked["model"]
        }
        if not estimators:
            errors.append(("/models", "Models: at least one is trained; tick one"))
        if errors:
            raise Problem("invalid", errors[0][1], errors=errors)
        scheduler = self.values["scheduler"]
        limits = {"num_trials": whole["num_trials"], "time_budget_s": seconds["time"]}
        return {
            "name": self.values["name"],
            "metric": self.values["metric"],
            "sampler": self.values["sampler"],
            **({} if scheduler == "none" else {"scheduler": scheduler}),
            "limits": {key: value for key, value in limits.items() if value is not None},
            "seed": whole["seed"],
            "objective": {
                "kind": KIND,
                "dataset": self.table.id,
                "target": self.values["target"],
                "task": self.task,
                "folds": whole["folds"],
                "left_out": sorted(self.ticked["left_out"] - {self.values["target"]}),
                "estimators": estimators,
                "num_workers": whole["num_workers"],
                "trial_timeout_s": seconds["trial_timeout"] or 600.0,
                "memory_mb": whole["memory_mb"],
            },
        }

    def _tuned(self, estimator: Estimator, errors: _Errors) -> dict[str, Any]:
        """The hyperparameters of a model that are tuned, with their ranges."""
        tuned = [p for p in estimator.parameters if f"{estimator.name}.{p.name}" in self.ticked["tune"]]
        return {parameter.name: self._range(estimator, parameter, errors) for parameter in tuned}

    def _range(self, estimator: Estimator, parameter: Parameter, errors: _Errors) -> dict[str, Any]:
        key, where = f"{estimator.name}.{parameter.name}", f"/objective/estimators/{estimator.name}/{parameter.name}"
        if parameter.kind == "choice":
            chosen = self.ticked[f"values.{key}"]
            return {"values": [value for value in parameter.values if str(value) in chosen]}
        ends = {}
        for end in ("low", "high"):
            text = self.values[f"{end}.{key}"]
            try:
                value = float(text.replace(",", ""))
                ends[end] = int(value) if parameter.kind == "int" and value == int(value) else value
            except (ValueError, OverflowError):
                errors.append((where, f"{parameter.name}: an end of its range is a number; got {text[:40]!r}"))
        return {**ends, "log": key in self.ticked["log"]}

    # -------------------------------------------------------------------------------------------- what is shown

    def shown(self, errors: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """The values for the template.

        Args:
            errors: (JSON pointer into the request, message) pairs.
        """
        wrong = {field_of(pointer): message for pointer, message in reversed(errors)}
        target = self.table.column(self.values["target"])
        return {
            "table": self.table,
            "size": f"{self.table.num_rows:,} rows, {len(self.table.columns):,} columns",
            "head": [c.name for c in self.table.columns[:_SHOWN_COLUMNS]],
            "rows": [row[:_SHOWN_COLUMNS] for row in self.table.rows[:_SHOWN_ROWS]],
            "columns": self._columns(),
            "num_unlisted": max(0, len(self.table.columns) - _LISTED),
            "v": self.values,
            "tasks": TASKS,
            "metrics": [score for score in scores_of(self.task) if _fits(score.is_binary, target)],
            "models": [self._model(estimator) for estimator in estimators_of(self.task)],
            "samplers": SAMPLERS,
            "schedulers": SCHEDULERS,
            "errors": [{"field": field_of(pointer), "message": message} for pointer, message in errors],
            "wrong": wrong,
        }

    def _columns(self) -> list[dict[str, Any]]:
        """The columns with their encodings, those with a remark first."""
        said = remarks(self.table, self.values["target"])
        used = [column for column in self.table.columns if column.name != self.values["target"]]
        used.sort(key=lambda column: column.name not in said)
        return [
            {
                "name": column.name,
                "kind": column.kind,
                "missing": f"{column.missing:,}" if column.missing else "",
                "becomes": _becomes(column),
                "remark": said.get(column.name, ""),
                "is_left_out": column.name in self.ticked["left_out"],
            }
            for column in used[:_LISTED]
        ]

    def _model(self, estimator: Estimator) -> dict[str, Any]:
        return {
            "name": estimator.name,
            "label": estimator.label,
            "is_on": estimator.name in self.ticked["model"],
            "parameters": [self._parameter(f"{estimator.name}.{p.name}", p) for p in estimator.parameters],
        }

    def _parameter(self, key: str, parameter: Parameter) -> dict[str, Any]:
        chosen = self.ticked.get(f"values.{key}", frozenset())
        return {
            "key": key,
            "id": key.replace(".", "-"),
            "name": parameter.name,
            "kind": parameter.kind,
            "is_on": key in self.ticked["tune"],
            "low": self.values.get(f"low.{key}", ""),
            "high": self.values.get(f"high.{key}", ""),
            "is_log": key in self.ticked["log"],
            "values": [{"text": str(v), "is_on": str(v) in chosen} for v in parameter.values],
            "default": "none" if parameter.default is None else str(parameter.default),
        }


def field_of(pointer: str) -> str:
    """The id of the form field for a JSON pointer into the request."""
    if pointer in _FIELDS:
        return _FIELDS[pointer]
    parts = pointer.strip("/").split("/")
    if parts[:2] == ["objective", "estimators"]:
        return f"low-{parts[2]}-{parts[3]}" if len(parts) > 3 else f"model-{parts[2]}" if len(parts) > 2 else "models"
    return parts[-1]


def _task_of(column: Column) -> str:
    is_class = column.kind == "text" or (column.levels is not None and len(column.levels) <= _MANY)
    return "classification" if is_class else "regression"


def _name_of(table: Table) -> str:
    """A default name for a study of a table."""
    stem = table.title.rpartition(".")[0] or table.title
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem)[:60].strip("-") or "table"


def _fits(is_binary: bool, target: Column | None) -> bool:
    return not is_binary or (target is not None and target.levels is not None and len(target.levels) == 2)


def _becomes(column: Column) -> str:
    if column.kind == "number":
        return "number"
    return "one column per value" if column.levels is not None and len(column.levels) <= ONE_HOT_LEVELS else "codes"


def _whole(text: str, label: str, where: str, errors: _Errors) -> int | None:
    plain = text.replace(",", "")
    if not plain:
        return None
    if plain.isascii() and plain.isdigit() and len(plain) < 16:
        return int(plain)
    errors.append((where, f"{label}: a whole number; got {text[:40]!r}"))
    return None


def _seconds(text: str, label: str, where: str, errors: _Errors) -> float | None:
    if not text:
        return None
    try:
        return seconds_of(text)
    except ValueError:
        errors.append((where, f"{label}: a time such as 90, 10m or 2h; got {text[:40]!r}"))
        return None
