"""One search of an experiment, on a virtual clock, as a table with a row for each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from raytune_hpo.api.run import Run
from raytune_hpo.api.tuner import Tuner
from raytune_hpo.display.text import last_line
from raytune_hpo.errors import NoCompletedTrial
from raytune_hpo.experiments.estimates import rows as estimates_of
from raytune_hpo.experiments.estimates import watched
from raytune_hpo.experiments.parts import sampler_for, scheduler_for
from raytune_hpo.experiments.plan import Plan
from raytune_hpo.experiments.tasks import Task
from raytune_hpo.facts import Status
from raytune_hpo.registry import make
from raytune_hpo.rng import derive
from raytune_hpo.runtime.simulated import SimulatedHandle
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


class Outcome(NamedTuple):
    """What came of one repeat: its steps and, if they were asked for, the estimates before them."""

    steps: pd.DataFrame
    estimates: pd.DataFrame | None = None


def search(task: Task, plan: Plan, repeat: int) -> pd.DataFrame:
    """Search number ``repeat``, up to its end.

    Times are in seconds. With one worker ``total_s`` is what trials and the optimizer have taken up to a step; with several,
    when the step was over on the virtual clock, and what the optimizer has taken.

    Raises:
        SpecError: the plan does not fit the task.
        NoCompletedTrial: trials ended, and none of them with a value.
    """
    return outcome_of(task, plan, repeat).steps


def outcome_of(task: Task, plan: Plan, repeat: int, *, estimates: bool = False) -> Outcome:
    """As ``search``, and with the model's estimates before each step, if they are asked for.

    Raises:
        SpecError: the plan does not fit the task.
        NoCompletedTrial: trials ended, and none of them with a value.
    """
    import pandas as pd

    trials, thinking_s = searched(tuner_of(task, plan, repeat, estimates=estimates))
    ended = sorted((t for t in trials if t.finished_at is not None), key=lambda t: (t.finished_at, t.number))
    _require_values(ended, task, repeat)
    steps = _in_time(typed(pd.DataFrame(_rows(ended, task, thinking_s), columns=list(TYPES))), plan)
    if not estimates:
        return Outcome(steps)
    thoughts = pd.DataFrame(estimates_of(ended[: len(steps)]), columns=list(ESTIMATES))
    return Outcome(steps, typed(thoughts, ESTIMATES))


def tuner_of(task: Task, plan: Plan, repeat: int, *, estimates: bool = False) -> Tuner:
    """The study of one search, not started.

    Args:
        estimates: whether trials carry what the model thought of them. It counts as the optimizer's time.

    Raises:
        SpecError: the plan does not fit the task.
    """
    # Who learns from running trials needs to hear of them, and so does who stops them.
    is_followed = plan.scheduler is not None or plan.num_workers > 1
    sampler = sampler_for(plan.sampler, task)
    return Tuner(
        task.objective if is_followed or task.final is None else task.final,
        task.space,
        metric=task.metric,
        mode=task.mode,
        sampler=watched(make("sampler", sampler)) if estimates else sampler,
        scheduler=scheduler_for(plan.scheduler, task),
        num_trials=plan.until.num_trials,
        time_budget_s=plan.until.time_s,
        target=plan.until.goal,
        max_concurrent=plan.num_workers,
        seed=int(derive(plan.seed, "experiment", repeat).integers(2**31)),
        name=f"{task.name}-{repeat}",
        storage="memory",
        runtime="simulated",
        progress=False,
    )


def typed(frame: pd.DataFrame, types: Mapping[str, str] = TYPES) -> pd.DataFrame:
    """The columns with the same types however short the table is, and whether it was made or read; no arm is None."""
    for name, type_ in types.items():
        column: Any = frame[name]
        if type_ == "object":
            frame[name] = column.astype(type_).where(column.notna(), None)
        else:
            frame[name] = (column.astype(str) == "True") if type_ == "bool" else column.astype(type_)
    return frame


def searched(tuner: Tuner) -> tuple[Sequence[Trial], Mapping[int, float]]:
    """All trials, and the seconds that the optimizer took to think of each."""
    handle = SimulatedHandle(tuner.plan)
    with Run(handle, tuner.plan) as run:
        handle.wait()
        return run.results().trials, handle.thinking_s


def _require_values(ended: Sequence[Trial], task: Task, repeat: int) -> None:
    """Refuse a search that has found nothing at all: its table would say so without a reason."""
    if not ended or any(t.status is not Status.FAILED and task.metric in t.metrics for t in ended):
        return
    error = next((trial.error for trial in ended if trial.error is not None), "they were stopped before they had any")
    raise NoCompletedTrial(
        f"a search needs trials with a value of {task.metric!r}, all {len(ended):,} of repeat {repeat} ended without one; "
        f"the first: {last_line(error)}"
    )


def _in_time(frame: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The steps that ended before the search had to."""
    limit = plan.until.time_s
    return frame if limit is None else frame[frame["total_s"] <= limit].reset_index(drop=True)


def _rows(ended: Sequence[Trial], task: Task, thinking_s: Mapping[int, float]) -> list[tuple[Any, ...]]:
    """A row for each trial, in the order in which they ended."""
    values = [None if trial.status is Status.FAILED else trial.metrics.get(task.metric) for trial in ended]
    counting = [v if t.status is Status.COMPLETED else None for v, t in zip(values, ended, strict=True)]
    trial_s = [trial.duration_s or 0.0 for trial in ended]
    optimizer_s = [thinking_s.get(trial.number, 0.0) for trial in ended]
    thought = list(accumulate(optimizer_s))
    keys = [repr(sorted(trial.config.items(), key=str)) for trial in ended]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    columns = (
        range(1, len(ended) + 1),
        [trial.number for trial in ended],
        values,
        accumulate(counting, partial(_better, min if task.mode == "min" else max)),
        [trial.status.value for trial in ended],
        [trial.meta.get(ARM) for trial in ended],
        [_epochs(trial, task) for trial in ended],
        [first[key] < i for i, key in enumerate(keys)],
        trial_s,
        optimizer_s,
        accumulate(trial_s),
        thought,
        [(trial.finished_at or 0.0) + spent for trial, spent in zip(ended, thought, strict=True)],
    )
    return list(zip(*columns, strict=True))


def _epochs(trial: Trial, task: Task) -> int:
    """How many steps it was trained; a trial that reports none was trained to its end."""
    if trial.reports:
        return trial.reports[-1].step
    return task.num_steps or 0 if trial.status is Status.COMPLETED else 0


def _better(better: Any, a: float | None, b: float | None) -> float | None:
    known = [value for value in (a, b) if value is not None]
    return better(known) if known else None
