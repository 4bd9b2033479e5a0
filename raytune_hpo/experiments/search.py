"""One search of an experiment, on a virtual clock, as a table with a row for each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.api.tuner import start_simulation
from raytune_hpo.errors import NoCompletedTrial
from raytune_hpo.experiments.estimates import estimate_rows, with_estimates
from raytune_hpo.experiments.parts import sampler_for, scheduler_for
from raytune_hpo.experiments.plan import Plan
from raytune_hpo.experiments.tasks import Task
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.registry import make
from raytune_hpo.rng import derive
from raytune_hpo.samplers.arms import ARM
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

TYPES = {
    "step": "int64", "number": "int64", "value": "float64", "best": "float64", "status": "object", "arm": "object",
    "epochs": "int64", "duplicate": "bool", "trial_s": "float64", "optimizer_s": "float64",
    "trial_s_total": "float64", "optimizer_s_total": "float64", "total_s": "float64",
}  # fmt: skip
COLUMNS = tuple(TYPES)
ESTIMATES = {
    "number": "int64", "arm": "object", "rank": "int64", "chosen": "bool", "mean": "float64", "variance": "float64",
    "acquisition": "float64",
}  # fmt: skip


class SearchOutcome(NamedTuple):
    """The tables of one repeat: its steps and, on request, the estimates before them."""

    steps: pd.DataFrame
    estimates: pd.DataFrame | None = None


def search(task: Task, plan: Plan, repeat: int) -> pd.DataFrame:
    """Run search number ``repeat`` to its end.

    Times are in seconds. With one worker, ``total_s`` is the time that trials and the optimizer have taken up to a step;
    with several, it is the virtual time at which the step ended, plus the time that the optimizer has taken.

    Raises:
        SpecError: the plan does not fit the task.
        NoCompletedTrial: no trial ended with a value.
    """
    return outcome_of(task, plan, repeat).steps


def outcome_of(task: Task, plan: Plan, repeat: int, *, estimates: bool = False) -> SearchOutcome:
    """Run a search as ``search`` does, on request with the model's estimates before each step.

    Raises:
        SpecError: the plan does not fit the task.
        NoCompletedTrial: trials ended, and none of them with a value.
    """
    import pandas as pd

    thinking_s: dict[int, float] = {}
    settings = search_settings(task, plan, repeat, estimates=estimates)
    with start_simulation(**settings, num_workers=plan.num_workers, on_suggestion=thinking_s.__setitem__) as run:
        run.wait()
        trials = run.results().trials
    ended = sorted((t for t in trials if _ended_at(t) is not None), key=lambda t: (_ended_at(t), t.number))
    _require_values(ended, task, repeat)
    steps = typed(pd.DataFrame(_steps(ended, task, thinking_s)))
    if plan.until.time_s is not None:
        steps = steps[steps["total_s"] <= plan.until.time_s].reset_index(drop=True)
    if not estimates:
        return SearchOutcome(steps)
    thoughts = pd.DataFrame(estimate_rows(ended[: len(steps)]), columns=list(ESTIMATES))
    return SearchOutcome(steps, typed(thoughts, ESTIMATES))


def search_settings(task: Task, plan: Plan, repeat: int, *, estimates: bool = False) -> dict[str, Any]:
    """The study of one search, as keywords of ``Tuner`` and ``simulate``; the number of workers is in the plan.

    Args:
        estimates: whether trials carry the model's estimates, which count as the optimizer's time.

    Raises:
        SpecError: the plan does not fit the task.
    """
    # A scheduler judges by reports, and with several workers samplers learn from running trials.
    needs_reports = plan.scheduler is not None or plan.num_workers > 1
    sampler = sampler_for(plan.sampler, task)
    return {
        "objective": task.objective if needs_reports or task.final is None else task.final,
        "space": task.space,
        "metric": task.metric,
        "mode": task.mode,
        "sampler": with_estimates(make("sampler", sampler)) if estimates else sampler,
        "scheduler": scheduler_for(plan.scheduler, task),
        "num_trials": plan.until.num_trials,
        "time_budget_s": plan.until.time_s,
        "target": plan.until.goal,
        "seed": int(derive(plan.seed, "experiment", repeat).integers(2**31)),
        "name": f"{task.name}-{repeat}",
    }


def typed(frame: pd.DataFrame, types: Mapping[str, str] = TYPES) -> pd.DataFrame:
    """The table with its columns in fixed types, even if it is empty or was read from a file; a missing arm is None."""
    for name, type_ in types.items():
        column: Any = frame[name]
        if type_ == "object":
            frame[name] = column.astype(type_).where(column.notna(), None)
        else:
            frame[name] = (column.astype(str) == "True") if type_ == "bool" else column.astype(type_)
    return frame


def _require_values(ended: Sequence[Trial], task: Task, repeat: int) -> None:
    """Refuse a search without any value, since its table would not show the reason."""
    if not ended or any(t.status is not Status.FAILED and task.metric in t.metrics for t in ended):
        return
    failed = next((trial for trial in ended if trial.error is not None), None)
    reason = "they were stopped before they had any" if failed is None else reason_of_failure(failed)
    raise NoCompletedTrial(
        f"a search needs trials with a value of {task.metric!r}, all {len(ended):,} of repeat {repeat} ended without one; "
        f"the first: {reason}"
    )


def _steps(ended: Sequence[Trial], task: Task, thinking_s: Mapping[int, float]) -> dict[str, Any]:
    """The columns of ``TYPES``, a row for each trial in the order in which they ended."""
    goal = Goal(task.metric, task.mode)
    metrics = [{} if trial.status is Status.FAILED else trial.metrics for trial in ended]
    values = np.array([metric.get(task.metric, np.nan) for metric in metrics], dtype=float)
    is_completed = np.array([trial.status is Status.COMPLETED for trial in ended], dtype=bool)
    # The last value of a stopped trial is not a result. fmin skips NaN, and is NaN before the first value.
    best = goal.value(np.fmin.accumulate(goal.loss(np.where(is_completed, values, np.nan))))
    keys = [repr(sorted(trial.config.items(), key=str)) for trial in ended]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    trial_s = np.array([trial.duration_s or 0.0 for trial in ended])
    optimizer_s = np.array([thinking_s.get(trial.number, 0.0) for trial in ended])
    optimizer_s_total = np.cumsum(optimizer_s)
    return {
        "step": range(1, len(ended) + 1),
        "number": [trial.number for trial in ended],
        "value": values,
        "best": best,
        "status": [trial.status.value for trial in ended],
        "arm": [trial.meta.get(ARM) for trial in ended],
        "epochs": [_epochs(trial, task) for trial in ended],
        "duplicate": [first[key] < i for i, key in enumerate(keys)],
        "trial_s": trial_s,
        "optimizer_s": optimizer_s,
        "trial_s_total": np.cumsum(trial_s),
        "optimizer_s_total": optimizer_s_total,
        "total_s": np.array([_ended_at(trial) or 0.0 for trial in ended]) + optimizer_s_total,
    }


def _ended_at(trial: Trial) -> float | None:
    """When a trial finished, or paused if it was not resumed; None while it runs or waits."""
    return trial.stretches[-1].paused_at if trial.status is Status.PAUSED else trial.finished_at


def _epochs(trial: Trial, task: Task) -> int:
    """The number of steps that it was trained; a trial without reports was trained to its end."""
    if trial.reports:
        return trial.reports[-1].step
    return task.num_steps or 0 if trial.status is Status.COMPLETED else 0
