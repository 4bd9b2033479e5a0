"""Training: one configuration of a study of models, fold by fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from raytune_hpo.runtime.trial_run import report
from raytune_hpo.service.models.estimators import ESTIMATORS
from raytune_hpo.service.models.objective import ModelObjective
from raytune_hpo.service.models.tables import BUNDLED_PREFIX, bundled_frame


class Training:
    """Trains and scores configurations on one table, which is read once.

    ``script`` writes a program that does the same; what is changed here is changed there.

    Args:
        path: the file of the table; None for a bundled one.
    """

    def __init__(self, objective: ModelObjective, path: Path | None) -> None:
        from sklearn.metrics import get_scorer

        self._objective = objective
        self._x, self._y = _data(objective, path)
        self._scorer = get_scorer(objective.scored_by.scoring)

    def __call__(self, config: Mapping[str, Any], seed: int | None = None) -> dict[str, float]:
        """The mean score over the folds, which are reported one by one.

        Args:
            seed: the seed of the folds and of the model; None: the study's.
        """
        from sklearn.base import clone

        objective = self._objective if seed is None else replace(self._objective, seed=seed)
        name = objective.score
        model = pipeline(objective, config["model"])
        scores: list[float] = []
        for train, test in folds(objective).split(self._x, self._y):
            trained = clone(model).fit(self._x.iloc[train], self._y.iloc[train])
            score = self._scorer(trained, self._x.iloc[test], self._y.iloc[test])
            scores.append(objective.scored_by.sign * float(score))
            report({name: float(np.mean(scores)), "fold": scores[-1]})
        return {name: float(np.mean(scores)), "std": float(np.std(scores))}


def folds(objective: ModelObjective) -> Any:
    """The folds, shuffled by the seed."""
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = StratifiedKFold if objective.task == "classification" else KFold
    return kind(objective.folds, shuffle=True, random_state=objective.seed)


def pipeline(objective: ModelObjective, config: Mapping[str, Any]) -> Any:
    """The scikit-learn pipeline: the columns encoded as numbers, then the model."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    groups = (
        ("numbers", numbers, objective.numbers),
        ("one_hot", one_hot, objective.one_hot),
        ("codes", codes, objective.codes),
    )
    columns = ColumnTransformer([(name, step, list(names)) for name, step, names in groups if names])
    return make_pipeline(columns, ESTIMATORS[config["name"]].build(objective.task, config, objective.seed))


def _data(objective: ModelObjective, path: Path | None) -> tuple[Any, Any]:
    """The feature columns, and the target."""
    import pandas as pd

    if path is None:
        data = bundled_frame(objective.table.removeprefix(BUNDLED_PREFIX))
    else:  # as text, so that what is a number was decided when the table was read
        data = pd.read_csv(path, sep=objective.separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        data.columns = data.columns.str.strip()
    numbers, y = list(objective.numbers), data[objective.target]
    x = data[[*numbers, *objective.one_hot, *objective.codes]].copy()
    x[numbers] = x[numbers].apply(pd.to_numeric, errors="coerce")
    return x, pd.to_numeric(y) if objective.task == "regression" else y
