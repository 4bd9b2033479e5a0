"""Conversion of studies into ``hpo.Results``, with the values that figures and importances use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.directions import StudyDirection, mode_of
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial
from raytune_hpo.facts import changed
from raytune_hpo.goals import make_goals, to_losses
from raytune_hpo.results import Results

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

Target = Callable[[FrozenTrial], float]
NAME = "Objective Value"


def seen(study: Study, target: Target | None, name: str = NAME) -> Results:
    """A study with one value for each trial: its own, or a target's.

    Raises:
        ValueError: the study has several goals, and no target was given.
    """
    if target is None:
        if study._is_multi_objective():
            raise ValueError(
                f"the study has {len(study.directions)} goals, and one value is looked at; give it by "
                f"target=lambda trial: trial.values[0]"
            )
        if name == NAME and study.metric_names:
            name = study.metric_names[0]
        return seen_values(study, lambda trial: [trial.value], [name], [study.direction])
    return seen_values(study, lambda trial: [target(trial)], [name], [StudyDirection.MINIMIZE])


def seen_goals(study: Study, names: Sequence[str] | None = None) -> Results:
    """A study with all of its goals.

    Args:
        names: of the goals; None: those that the study has, or their numbers.

    Raises:
        ValueError: there are not as many names as goals.
    """
    known = names or study.metric_names or [f"Objective {i}" for i in range(len(study.directions))]
    if len(known) != len(study.directions):
        raise ValueError(f"the study has {len(study.directions)} goals, got {len(known)} names")
    return seen_values(study, lambda trial: list(trial.values or ()), known, study.directions)


def params_of(study: Study) -> list[str]:
    """The parameters of the completed trials, in the order in which they were asked for."""
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return list(dict.fromkeys(name for trial in completed for name in trial.params))


def seen_values(
    study: Study,
    values: Callable[[FrozenTrial], Sequence[float | None]],
    names: Sequence[str],
    directions: Sequence[StudyDirection],
) -> Results:
    """A study with several values for each completed trial.

    Args:
        values: function that returns the values of a trial.
        names, directions: of the values.
    """
    several = len(names) > 1
    modes = [mode_of(direction) for direction in directions]
    goals = make_goals(list(names) if several else names[0], modes if several else modes[0], None, None)
    own = study._record.metrics[0]
    trials = []
    for trial in study._record.ledger.trials:
        frozen = study.frozen(trial.number)
        metrics: dict[str, Any] = {}
        if frozen.state is TrialState.COMPLETE and frozen.values is not None:
            metrics = dict(zip(names, values(frozen), strict=True))
        reports = [
            report._replace(metrics={names[0]: report.metrics[own]})
            for report in trial.reports
            if own in report.metrics
        ]
        losses = to_losses(metrics, goals)
        trials.append(
            changed(trial, metrics=metrics, losses=losses, reports=type(trial.reports)(reports), violations={})
        )
    spec = replace(study._record.spec, goals=goals, constraints=())
    return Results(spec, trials)
