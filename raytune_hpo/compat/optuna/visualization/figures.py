"""Figures of studies, under Optuna's names: those of ``hpo.Results``, with the values that a script asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.fronts import FRONT
from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.importance import BaseImportanceEvaluator, get_param_importances
from raytune_hpo.compat.optuna.logging import library_logger
from raytune_hpo.compat.optuna.seen import NAME, Target, params_of, seen, seen_goals, seen_values
from raytune_hpo.compat.optuna.terminator.erroreval import BaseErrorEvaluator, CrossValidationErrorEvaluator
from raytune_hpo.compat.optuna.terminator.improvement.evaluator import (
    BaseImprovementEvaluator,
    RegretBoundEvaluator,
    completed,
)
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial
from raytune_hpo.plots import Plots
from raytune_hpo.plots.style import plotly

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study
    from raytune_hpo.results import Results


def is_available() -> bool:
    """Whether plotly can be imported."""
    try:
        plotly()
    except Exception:
        return False
    return True


def plot_optimization_history(
    study: Study | Sequence[Study], *, target: Target | None = None, target_name: str = NAME, error_bar: bool = False
) -> Any:
    """Every trial's value by its number, and the best so far; several studies are drawn side by side."""
    return _together(study, lambda one: Plots(seen(one, target, target_name)).history())


def plot_intermediate_values(study: Study) -> Any:
    """The reports of trials, step by step; there are none if the study has several goals."""
    target = (lambda trial: trial.values[0]) if study._is_multi_objective() else None
    return Plots(seen(study, target)).curves()


def plot_parallel_coordinate(
    study: Study, params: list[str] | None = None, *, target: Target | None = None, target_name: str = NAME
) -> Any:
    """Every trial a line through its parameters to its value, or to its Pareto front if there are several goals."""
    of_front = target is None and study._is_multi_objective()
    results = seen_goals(study) if of_front else seen(study, target, target_name)
    shown = _that_vary(study, params, results)
    return Plots(results).parallel_coordinates(FRONT if of_front else None, parameters=shown)


def plot_contour(
    study: Study, params: list[str] | None = None, *, target: Target | None = None, target_name: str = NAME
) -> Any:
    """The expected value over pairs of parameters; empty if fewer than two are given."""
    results = seen(study, target, target_name)
    shown = _that_vary(study, params, results)
    return plotly().Figure() if _is_no_pair(shown) else Plots(results).contour(parameters=shown)


def plot_slice(
    study: Study, params: list[str] | None = None, *, target: Target | None = None, target_name: str = NAME
) -> Any:
    """The value against each parameter."""
    results = seen(study, target, target_name)
    return Plots(results).slice(parameters=_that_vary(study, params, results))


def plot_rank(
    study: Study, params: list[str] | None = None, *, target: Target | None = None, target_name: str = NAME
) -> Any:
    """The trials on pairs of parameters, coloured by rank; empty if fewer than two are given."""
    results = seen(study, target, target_name)
    shown = _that_vary(study, params, results)
    return plotly().Figure() if _is_no_pair(shown) else Plots(results).rank(parameters=shown)


def plot_param_importances(
    study: Study,
    evaluator: BaseImportanceEvaluator | None = None,
    params: list[str] | None = None,
    *,
    target: Target | None = None,
    target_name: str = NAME,
) -> Any:
    """The importance of each parameter: a bar, or one for each goal if there are several and no target."""
    go, names = plotly(), study.metric_names
    looks: list[tuple[str, Target | None]] = [(names[0] if names and target is None else target_name, target)]
    if target is None and study._is_multi_objective():
        names = names or [f"{target_name} {i}" for i in range(len(study.directions))]
        looks = [(name, _loss_of(*goal)) for name, goal in zip(names, enumerate(study.directions), strict=True)]
    figure = go.Figure()
    for name, look in looks:
        shares = get_param_importances(study, evaluator=evaluator, params=params, target=look)
        labels = [f"{share:.0%}" for share in shares.values()]
        figure.add_trace(go.Bar(x=list(shares.values()), y=list(shares), orientation="h", name=name, text=labels))
    figure.update_layout(
        xaxis_title=f"importance for {', '.join(name for name, _ in looks)}", yaxis_autorange="reversed"
    )
    return figure


def plot_edf(study: Study | Sequence[Study], *, target: Target | None = None, target_name: str = NAME) -> Any:
    """The empirical distribution of the completed trials' values; a line for each study."""
    go = plotly()
    figure = go.Figure()
    for one in _listed(study):
        results = seen(one, target, target_name)
        name = results.goals[0].metric
        values = np.sort([trial.metrics[name] for trial in results if name in trial.metrics])
        shares = np.arange(1, len(values) + 1) / max(1, len(values))
        figure.add_trace(go.Scatter(x=values, y=shares, mode="lines", line_shape="hv", name=one.study_name))
    figure.update_layout(
        xaxis_title=target_name, yaxis_title="share of trials with this value or a smaller one", yaxis_range=[0, 1]
    )
    return figure


def plot_timeline(study: Study, n_recent_trials: int | None = None) -> Any:
    """The time in which each trial ran."""
    return Plots(study.results()).timeline()


def plot_hypervolume_history(study: Study, reference_point: Sequence[float]) -> Any:
    """The hypervolume after each trial.

    Args:
        reference_point: a value for each goal, worse than all that count.
    """
    return Plots(seen_goals(study)).hypervolume(list(map(float, reference_point)))


def plot_pareto_front(
    study: Study,
    *,
    target_names: list[str] | None = None,
    include_dominated_trials: bool = True,
    axis_order: list[int] | None = None,
    constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
    targets: Callable[[FrozenTrial], Sequence[float]] | None = None,
) -> Any:
    """Two or three values against each other, with the Pareto front.

    Raises:
        ValueError: there are more values, and no targets were given.
    """
    if targets is not None:
        first = next((t for t in study.get_trials(deepcopy=False) if t.values is not None), None)
        num = 2 if first is None else len(targets(first))
        names = target_names or [f"Objective {i}" for i in range(num)]
        kept = study.directions[:num] if num <= len(study.directions) else [StudyDirection.MINIMIZE] * num
        results = seen_values(study, targets, names, kept)
    else:
        results = seen_goals(study, target_names)
    if len(results.goals) == 2:
        return Plots(results).pareto()
    if len(results.goals) == 3:
        return Plots(results).pareto_3d()
    raise ValueError(f"a front is drawn of two values or three, the study has {len(results.goals)}; give targets=")


def plot_terminator_improvement(
    study: Study,
    plot_error: bool = False,
    improvement_evaluator: BaseImprovementEvaluator | None = None,
    error_evaluator: BaseErrorEvaluator | None = None,
    min_n_trials: int = 20,
) -> Any:
    """The improvement that was still possible after each trial, and the error of measurement.

    Args:
        plot_error: whether the error, that of the best trial at the time, is drawn, too.
    """
    go = plotly()
    evaluator = RegretBoundEvaluator() if improvement_evaluator is None else improvement_evaluator
    errors_of = CrossValidationErrorEvaluator() if error_evaluator is None else error_evaluator
    trials = completed(study.get_trials(deepcopy=False))
    numbers, bounds, errors = [], [], []
    for n, newest in enumerate(trials, 1):
        found = evaluator.evaluate(trials[:n], study.direction)
        if np.isfinite(found):
            numbers.append(newest.number)
            bounds.append(found)
            if plot_error:
                errors.append(errors_of.evaluate(trials[:n], study.direction))
    figure = go.Figure()
    figure.add_trace(go.Scatter(x=numbers, y=bounds, mode="markers+lines", name="improvement", opacity=0.5))
    late = [(x, y) for x, y in zip(numbers, bounds, strict=True) if x >= min_n_trials - 1]
    figure.add_trace(
        go.Scatter(x=[x for x, _ in late], y=[y for _, y in late], mode="markers+lines", name="improvement, counted")
    )
    if plot_error:
        figure.add_trace(go.Scatter(x=numbers, y=errors, mode="markers+lines", name="error"))
    figure.update_layout(xaxis_title="trial", yaxis_title="improvement still to be found")
    return figure


def _that_vary(study: Study, params: Sequence[str] | None, results: Results) -> list[str] | None:
    """The given parameters, without those that have the same value in every trial, which the log names.

    Raises:
        ValueError: no completed trial has one of them.
    """
    if params is None:
        return None
    known, varying = params_of(study), {parameter.name for parameter in results.tried.parameters}
    if unknown := [name for name in params if name not in known]:
        raise ValueError(f"no completed trial has {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    if constant := [name for name in params if name not in varying]:
        library_logger().warning("Not in the figure, since they do not vary: %s", ", ".join(constant))
    return [name for name in dict.fromkeys(params) if name in varying]


def _is_no_pair(params: Sequence[str] | None) -> bool:
    """Whether there are too few parameters for a figure of pairs; then the log says so."""
    if params is None or len(params) > 1:
        return False
    library_logger().warning("The figure shows pairs of parameters that vary, got %s.", params)
    return True


def _loss_of(number: int, direction: StudyDirection) -> Target:
    """The value of one goal of a trial, turned so that small ones are good."""
    sign = -1.0 if direction is StudyDirection.MAXIMIZE else 1.0
    return lambda trial: sign * (trial.values or [])[number]


def _listed(study: Study | Sequence[Study]) -> list[Study]:
    return list(study) if isinstance(study, Sequence) else [study]


def _together(study: Study | Sequence[Study], draw: Callable[[Study], Any]) -> Any:
    """The figure of one study, or those of several combined in one."""
    studies = _listed(study)
    figures = [draw(one) for one in studies]
    whole = figures[0]
    if len(figures) > 1:
        for one, figure in zip(studies, figures, strict=True):
            for trace in figure.data:
                trace.name = f"{one.study_name}: {trace.name or ''}"
        for figure in figures[1:]:
            whole.add_traces(figure.data)
    return whole
