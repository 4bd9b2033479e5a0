"""A configuration as a stand-alone program, which needs scikit-learn and pandas only and prints the measured value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pprint import pformat
from typing import Any

from raytune_hpo.display.text import number
from raytune_hpo.service.models.estimators import ESTIMATORS
from raytune_hpo.service.models.objective import ModelObjective
from raytune_hpo.service.models.tables import BUNDLED_PREFIX

_WIDTH = 100
_STEPS = {
    "numbers": 'make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())',
    "one_hot": 'OneHotEncoder(handle_unknown="ignore", sparse_output=False)',
    "codes": 'OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)',
}


def script(objective: ModelObjective, config: Mapping[str, Any], about: str, value: float) -> str:
    """The program for a configuration.

    Args:
        about: a line for its head, as a comment.
        value: the score that the study measured.
    """
    chosen = config["model"]
    module, _, name = ESTIMATORS[chosen["name"]].classes[objective.task].partition(":")
    arguments = ESTIMATORS[chosen["name"]].arguments(chosen, objective.seed)
    made = "".join(f"    {key}={argument!r},\n" for key, argument in arguments.items())
    folds = "StratifiedKFold" if objective.task == "classification" else "KFold"
    score = objective.scored_by
    groups = [group for group in _STEPS if getattr(objective, group)]
    parts = [
        f"# {about}",
        *_about_table(objective),
        "",
        *_imports(objective, module, name, folds),
        "",
        *_reading(objective),
        "",
        *(f"{group} = {pformat(list(getattr(objective, group)), width=_WIDTH, compact=True)}" for group in groups),
        f"X = data[{' + '.join(groups)}].copy()",
        *(['X[numbers] = X[numbers].apply(pd.to_numeric, errors="coerce")'] if "numbers" in groups else []),
        f"y = {_target(objective)}",
        "",
        "columns = ColumnTransformer([",
        *(f'    ("{group}", {_STEPS[group]}, {group}),' for group in groups),
        "])",
        f"model = {name}(\n{made})" if made else f"model = {name}()",
        f"folds = {folds}({objective.folds}, shuffle=True, random_state={objective.seed})",
        f'scores = cross_val_score(make_pipeline(columns, model), X, y, cv=folds, scoring="{score.scoring}")',
        f'print(f"{{{"-" if score.sign < 0 else ""}scores.mean():.6g}}")  # {number(value)}',
    ]
    return "\n".join(parts) + "\n"


def _about_table(objective: ModelObjective) -> Sequence[str]:
    if objective.table.startswith(BUNDLED_PREFIX):
        return ["# Run: python best.py"]
    return [f"# Run: python best.py {objective.title}  (SHA-256 of the table begins with {objective.table})"]


def _imports(objective: ModelObjective, module: str, name: str, folds: str) -> Sequence[str]:
    is_bundled = objective.table.startswith(BUNDLED_PREFIX)
    lines = ["import pandas as pd", "from sklearn.compose import ColumnTransformer"]
    if is_bundled:
        lines.append(f"from sklearn.datasets import load_{objective.table.removeprefix(BUNDLED_PREFIX)}")
    if objective.numbers:
        lines.append("from sklearn.impute import SimpleImputer")
    lines.append(f"from sklearn.model_selection import {folds}, cross_val_score")
    lines.append("from sklearn.pipeline import make_pipeline")
    used = {"one_hot": "OneHotEncoder", "codes": "OrdinalEncoder", "numbers": "StandardScaler"}
    lines.append(f"from sklearn.preprocessing import {', '.join(c for g, c in used.items() if getattr(objective, g))}")
    lines.append(f"from {module} import {name}")
    return [*([] if is_bundled else ["import sys", ""]), *sorted(lines)]


def _reading(objective: ModelObjective) -> Sequence[str]:
    if objective.table.startswith(BUNDLED_PREFIX):
        return [f"data = load_{objective.table.removeprefix(BUNDLED_PREFIX)}(as_frame=True).frame"]
    options = f'sep={objective.separator!r}, dtype=str, keep_default_na=False, encoding="utf-8-sig"'
    return [f"data = pd.read_csv(sys.argv[1], {options})", "data.columns = data.columns.str.strip()"]


def _target(objective: ModelObjective) -> str:
    column = f"data[{objective.target!r}]"
    return f"pd.to_numeric({column})" if objective.task == "regression" else column
