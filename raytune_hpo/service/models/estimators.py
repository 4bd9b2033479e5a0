"""Estimators: the scikit-learn models that a form may ask for, with bounds that protect the machine.

They are built by name from this table, never from an import path in a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from raytune_hpo.display.text import number

TASKS = {"classification": "predict a class", "regression": "predict a number"}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A hyperparameter.

    Attributes:
        kind: "float", "int" or "choice".
        low, high, log: the proposed range and scale.
        least, most: the widest range that is allowed.
        values: the values of a choice, all of which are proposed.
        default: scikit-learn's value if it is not tuned.
        is_of_rows: whether it is a number of rows, which the table limits.
    """

    name: str
    kind: str
    default: Any
    low: float = 0.0
    high: float = 0.0
    least: float = 0.0
    most: float = 0.0
    log: bool = False
    values: tuple[Any, ...] = ()
    is_of_rows: bool = False

    def on(self, num_rows: int) -> Parameter:
        """The parameter with its bounds for a model that learns from ``num_rows`` rows."""
        if not self.is_of_rows:
            return self
        return replace(self, high=min(self.high, num_rows), most=min(self.most, num_rows))

    def form(self, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The parameter in the JSON of spaces, with a user's changes.

        Args:
            changes: "low", "high" and "log" of a number, "values" of a choice.

        Raises:
            ValueError: a change is not allowed; the message names the rule.
        """
        given = dict(changes or {})
        if self.kind == "choice":
            values = given.pop("values", list(self.values))
            if given or not isinstance(values, list) or not values or any(value not in self.values for value in values):
                raise ValueError(f"{self.name} takes values among {_listed(self.values)}; got {changes!r}")
            return {"type": "choice", "values": values}
        form = {"type": self.kind, "low": self.low, "high": self.high, "log": self.log, **given}
        if unknown := form.keys() - {"type", "low", "high", "log"}:
            raise ValueError(f"{self.name} takes low, high and log; got {min(unknown)!r}")
        for end in ("low", "high"):
            form[end] = self._checked(form[end])
        if form["low"] >= form["high"]:
            raise ValueError(
                f'{self.name}: "from" must be below "to"; it goes from {number(form["low"])} to {number(form["high"])}'
            )
        if form["log"] and form["low"] <= 0:
            raise ValueError(f"{self.name}: a logarithmic range begins above 0; it begins at {number(form['low'])}")
        return form

    def _checked(self, value: Any) -> float:
        """Check one end of the range.

        Raises:
            ValueError: it is not a number of this kind, or outside the allowed range.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{self.name}: an end of its range is a number; got {value!r}")
        if self.kind == "int" and value != int(value):
            raise ValueError(f"{self.name}: an end of its range is a whole number; got {value!r}")
        if not self.least <= value <= self.most:
            raise ValueError(f"{self.name}: must be {number(self.least)} to {number(self.most)}; got {number(value)}")
        return int(value) if self.kind == "int" else float(value)


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """A model.

    Attributes:
        name, label: its name in requests, and for people.
        classes: its class as ``module:Class``, by task.
        fixed: arguments that are always the same; ``seeded``: it takes a ``random_state``.
        has_probabilities: whether it predicts the probability of each class.
        max_rows: the most rows with which training does not take too long.
    """

    name: str
    label: str
    classes: Mapping[str, str]
    parameters: tuple[Parameter, ...] = ()
    fixed: Mapping[str, Any]
    seeded: bool = False
    has_probabilities: bool = True
    max_rows: int | None = None

    def arguments(self, config: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """The keyword arguments of its class for a configuration."""
        seeded = {"random_state": seed} if self.seeded else {}
        return {**{name: value for name, value in config.items() if name != "name"}, **self.fixed, **seeded}

    def build(self, task: str, config: Mapping[str, Any], seed: int) -> Any:
        """The untrained model."""
        module, _, name = self.classes[task].partition(":")
        return getattr(import_module(module), name)(**self.arguments(config, seed))

    def record(self) -> dict[str, Any]:
        """As JSON, with the schema of its options."""
        return {
            "name": self.name,
            "label": self.label,
            "tasks": sorted(self.classes),
            "max_rows": self.max_rows,
            "parameters": {
                p.name: {**p.form(), "default": p.default}
                | ({} if p.kind == "choice" else {"least": p.least, "most": p.most})
                for p in self.parameters
            },
        }


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(map(str, values))


def _float(
    name: str, default: float | None, low: float, high: float, least: float, most: float, **more: Any
) -> Parameter:
    return Parameter(name=name, kind="float", default=default, low=low, high=high, least=least, most=most, **more)


def _int(name: str, default: int | None, low: int, high: int, least: int, most: int, **more: Any) -> Parameter:
    return Parameter(name=name, kind="int", default=default, low=low, high=high, least=least, most=most, **more)


def _choice(name: str, *values: Any) -> Parameter:
    return Parameter(name=name, kind="choice", default=values[0], values=values)


def _both(module: str, stem: str) -> dict[str, str]:
    return {"classification": f"sklearn.{module}:{stem}Classifier", "regression": f"sklearn.{module}:{stem}Regressor"}


_TREES = (
    _int("n_estimators", 100, 20, 500, 1, 2_000, log=True),
    _float("max_features", 1.0, 0.1, 1.0, 0.01, 1.0),
    _int("min_samples_leaf", 1, 1, 50, 1, 10_000, log=True),
    _int("max_depth", None, 2, 32, 1, 100),
)
_ALL = (
    Estimator(
        name="hist_gradient_boosting",
        label="histogram gradient boosting",
        classes=_both("ensemble", "HistGradientBoosting"),
        parameters=(
            _float("learning_rate", 0.1, 0.005, 0.5, 1e-5, 1.0, log=True),
            _int("max_leaf_nodes", 31, 8, 256, 2, 4_096, log=True),
            _int("max_iter", 100, 50, 500, 1, 2_000),
            _float("l2_regularization", 0.0, 1e-6, 10.0, 0.0, 1e6, log=True),
            _int("min_samples_leaf", 20, 1, 100, 1, 10_000, log=True),
        ),
        fixed={},
        seeded=True,
    ),
    Estimator(
        name="random_forest",
        label="random forest",
        classes=_both("ensemble", "RandomForest"),
        parameters=_TREES,
        fixed={},
        seeded=True,
    ),
    Estimator(
        name="extra_trees",
        label="extra trees",
        classes=_both("ensemble", "ExtraTrees"),
        parameters=_TREES,
        fixed={},
        seeded=True,
    ),
    Estimator(
        name="logistic_regression",
        label="logistic regression",
        classes={"classification": "sklearn.linear_model:LogisticRegression"},
        parameters=(_float("C", 1.0, 1e-4, 100.0, 1e-10, 1e10, log=True), _choice("class_weight", None, "balanced")),
        fixed={"max_iter": 1_000},
    ),
    Estimator(
        name="linear_regression",
        label="linear regression",
        classes={"regression": "sklearn.linear_model:LinearRegression"},
        parameters=(_choice("fit_intercept", True, False),),
        fixed={},
    ),
    Estimator(
        name="ridge",
        label="ridge regression",
        classes={"regression": "sklearn.linear_model:Ridge", "classification": "sklearn.linear_model:RidgeClassifier"},
        parameters=(_float("alpha", 1.0, 1e-4, 1e4, 1e-10, 1e10, log=True),),
        has_probabilities=False,
        fixed={},
        seeded=True,
    ),
    Estimator(
        name="sgd",
        label="stochastic gradient descent",
        classes=_both("linear_model", "SGD"),
        parameters=(
            _float("alpha", 1e-4, 1e-6, 1e-1, 1e-10, 1e3, log=True),
            _choice("penalty", "l2", "l1", "elasticnet"),
        ),
        has_probabilities=False,
        fixed={},
        seeded=True,
    ),
    Estimator(
        name="svm",
        label="support vector machine",
        classes={"classification": "sklearn.svm:SVC", "regression": "sklearn.svm:SVR"},
        parameters=(
            _float("C", 1.0, 1e-2, 1e3, 1e-6, 1e6, log=True),
            _float("gamma", None, 1e-4, 10.0, 1e-9, 1e6, log=True),
            _choice("kernel", "rbf", "linear"),
        ),
        has_probabilities=False,
        fixed={"max_iter": 100_000},
        max_rows=20_000,
    ),
    Estimator(
        name="k_nearest_neighbours",
        label="k nearest neighbours",
        classes=_both("neighbors", "KNeighbors"),
        parameters=(
            _int("n_neighbors", 5, 1, 50, 1, 1_000, is_of_rows=True),
            _choice("weights", "uniform", "distance"),
        ),
        fixed={},
        max_rows=100_000,
    ),
    Estimator(
        name="tree",
        label="decision tree",
        classes={
            "classification": "sklearn.tree:DecisionTreeClassifier",
            "regression": "sklearn.tree:DecisionTreeRegressor",
        },
        parameters=(
            _int("max_depth", None, 1, 32, 1, 100),
            _int("min_samples_leaf", 1, 1, 100, 1, 10_000, log=True),
        ),
        fixed={},
        seeded=True,
    ),
    Estimator(
        name="neural_network",
        label="neural network",
        classes=_both("neural_network", "MLP"),
        parameters=(
            _int("hidden_layer_sizes", 100, 8, 256, 1, 1_000, log=True),
            _float("alpha", 1e-4, 1e-6, 1.0, 0.0, 1e3, log=True),
            _float("learning_rate_init", 1e-3, 1e-4, 0.1, 1e-6, 1.0, log=True),
        ),
        fixed={"max_iter": 500},
        seeded=True,
    ),
    Estimator(
        name="naive_bayes",
        label="naive Bayes",
        classes={"classification": "sklearn.naive_bayes:GaussianNB"},
        parameters=(_float("var_smoothing", 1e-9, 1e-12, 1e-1, 1e-15, 10.0, log=True),),
        fixed={},
    ),
    Estimator(
        name="dummy",
        label="a constant (baseline)",
        classes={"classification": "sklearn.dummy:DummyClassifier", "regression": "sklearn.dummy:DummyRegressor"},
        fixed={},
    ),
)
ESTIMATORS: Mapping[str, Estimator] = {estimator.name: estimator for estimator in _ALL}
PROPOSED = {  # ticked in a new form, by task
    "classification": ("hist_gradient_boosting", "random_forest", "logistic_regression"),
    "regression": ("hist_gradient_boosting", "random_forest", "ridge"),
}


def estimators_of(task: str) -> list[Estimator]:
    """The models of a task."""
    return [estimator for estimator in _ALL if task in estimator.classes]
