"""One search of an experiment, on a virtual clock, as a table with a row for each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from raytune_hpo.experiments.plan import Plan
from raytune_hpo.experiments.tasks import Task
from raytune_hpo.registry import load, option_names
from raytune_hpo.rng import derive
from raytune_hpo.run import Run
from raytune_hpo.runtime.simulated import SimulatedHandle
from raytune_hpo.samplers.arms import ARM
from raytune_hpo.trial import Status, Trial
from raytune_hpo.tuner import Tuner

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "step", "number", "value", "best", "status", "arm", "epochs", "duplicate", "trial_s", "optimizer_s",
    "trial_s_total", "optimizer_s_total", "total_s",
)  # fmt: skip


def search(task: Task, plan: Plan, repeat: int) -> pd.DataFrame:
    """Search number ``repeat``, up to its end.

    Times are in seconds. With one worker ``total_s`` is what trials and the optimizer have taken up to a step; with several,
    when the step was over on the virtual clock, and what the optimizer has taken.

    Raises:
        SpecError: the plan does not fit the task.
    """
    import pandas as pd

    tuner = Tuner(
        task.objective,
        task.space,
        metric=task.metric,
        mode=task.mode,
        sampler=_with_truth(plan.sampler, task),
        scheduler=plan.scheduler,
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
    handle = SimulatedHandle(tuner.plan)
    with Run(handle, tuner.plan) as run:
        handle.wait()
        rows = _rows(run.results().trials, task, handle.thinking_s)
    frame: pd.DataFrame = pd.DataFrame(rows, columns=list(COLUMNS))
    if plan.until.time_s is not None:
        frame = frame[frame["total_s"] <= plan.until.time_s].reset_index(drop=True)
    return frame


def _with_truth(sampler: Any, task: Task) -> Any:
    """A sampler that can use the truth gets it, where the task can look it up."""
    if (
        isinstance(sampler, Mapping)
        and task.truth is not None
        and "truth" in option_names(load("sampler", sampler["name"]))
    ):
        return {**sampler, "truth": task.truth}
    return sampler


def _rows(trials: Sequence[Trial], task: Task, thinking_s: Mapping[int, float]) -> list[tuple[Any, ...]]:
    ended = sorted((t for t in trials if t.finished_at is not None), key=lambda t: (t.finished_at, t.number))
    values = [trial.metrics.get(task.metric) for trial in ended]
    trial_s = [trial.duration_s or 0.0 for trial in ended]
    optimizer_s = [thinking_s.get(trial.number, 0.0) for trial in ended]
    thought = list(accumulate(optimizer_s))
    keys = [repr(sorted(trial.config.items(), key=str)) for trial in ended]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    columns = (
        range(1, len(ended) + 1),
        [trial.number for trial in ended],
        values,
        accumulate(values, partial(_better, min if task.mode == "min" else max)),
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
    return len(trial.reports) or (task.num_steps or 0 if trial.status is Status.COMPLETED else 0)


def _better(better: Any, a: float | None, b: float | None) -> float | None:
    known = [value for value in (a, b) if value is not None]
    return better(known) if known else None
