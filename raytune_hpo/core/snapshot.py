"""The snapshot of a running study: its status, its running trials, and the history of its best value.

Small, whatever the study's size, so that it may be fetched several times a second, even over a slow connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from raytune_hpo.analysis.best import num_reporting
from raytune_hpo.analysis.columns import flattened
from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.core.ledger import Ledger, StudyStatus
from raytune_hpo.display.text import config_line, cut
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.thinning import evenly_chosen, strided
from raytune_hpo.trial import Trial

MAX_RUNNING = 6  # trials that are described
MAX_POINTS = 128  # of a history
MAX_CORNERS = 64  # of the step line of the best so far
MAX_HISTORIES = 3  # goals that have one
_CONFIG_WIDTH, _NAME_WIDTH, _REASON_WIDTH = 200, 60, 160  # characters
_HUGE = 1e300  # larger values, infinity and NaN are not drawn


class Point(NamedTuple):
    """A finished or paused trial: how many had finished or paused by then, and its value, or else its last report's.

    Attributes:
        is_feasible: False for a completed trial that breaks an outcome constraint, which is never the best.
    """

    place: int
    value: float
    is_completed: bool
    is_feasible: bool = True


@dataclass(frozen=True, kw_only=True)
class History:
    """One metric in the order in which trials finished or paused; a trial appears once for each pause, and for its end.

    Attributes:
        points: trials that have finished or are paused, evenly thinned.
        best: the best so far: the corners of a step line, thinned.
        length: the last position.
    """

    metric: str
    mode: str
    points: tuple[Point, ...]
    best: tuple[tuple[int, float], ...]
    length: int


class FrontDot(NamedTuple):
    """A feasible trial in two metrics."""

    x: float
    y: float
    is_front: bool


@dataclass(frozen=True, kw_only=True)
class Front:
    """Two metrics against each other.

    Attributes:
        metrics, modes: of the first two goals.
        dots: trials that have completed and keep the outcome constraints, evenly thinned, those of the front for themselves.
    """

    metrics: tuple[str, str]
    modes: tuple[str, str]
    dots: tuple[FrontDot, ...]


@dataclass(frozen=True, kw_only=True)
class RunningTrial:
    """A running trial.

    Attributes:
        config: its configuration on one line, cut short.
        age_s: seconds since it was handed out, by the optimizer's clock.
        step, value: those of its last report, the value in the first metric; None if there is none.
    """

    number: int
    attempt: int
    config: str
    age_s: float
    step: int | None
    value: float | None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The data of a study's card or progress line.

    Attributes:
        running: those that were handed out first; ``status.counts`` says how many there are.
        best_config: of the trial that is best in the first metric, on one line; empty where there is none.
        histories: of the first goals.
        first_failure: why the first trial that failed did so, in one line; empty where none has.
        front: with several goals, the first two against each other; None with one.
        num_reporting: of a study that has ended without a completed trial, how many of the others have reports.
    """

    status: StudyStatus
    running: tuple[RunningTrial, ...]
    best_config: str
    histories: tuple[History, ...]
    first_failure: str = ""
    front: Front | None = None
    num_reporting: int = 0


def snapshot_of(ledger: Ledger, now: float) -> Snapshot:
    """The snapshot at a time in epoch seconds."""
    status, best = ledger.status(now), ledger.best[0]
    running = ledger.running()[: MAX_RUNNING if status.is_running else 0]
    goals = ledger.spec.goals[:MAX_HISTORIES]
    return Snapshot(
        status=status,
        running=tuple(_described(trial, now, ledger.spec.goals[0]) for trial in running),
        best_config="" if best is None else _config_text(best),
        histories=tuple(_history(ledger, index, goal) for index, goal in enumerate(goals)),
        first_failure=""
        if ledger.first_failure is None
        else cut(reason_of_failure(ledger.first_failure), _REASON_WIDTH),
        front=_front(ledger) if len(ledger.spec.goals) > 1 else None,
        num_reporting=0 if status.is_running or best else num_reporting(ledger.trials),
    )


def _described(trial: Trial, now: float, goal: Goal) -> RunningTrial:
    report = trial.reports[-1] if trial.reports else None
    since = trial.created_at if trial.started_at is None else trial.started_at
    return RunningTrial(
        number=trial.number,
        attempt=trial.attempt,
        config=_config_text(trial),
        age_s=max(0.0, now - since),
        step=None if report is None else report.step,
        value=None if report is None else _number(report.metrics.get(goal.metric)),
    )


def _history(ledger: Ledger, index: int, goal: Goal) -> History:
    return History(
        metric=cut(goal.metric, _NAME_WIDTH),
        mode=goal.mode,
        points=tuple(_points(ledger, goal.metric)),
        best=tuple(
            (at, value)
            for at, trial in evenly_chosen(ledger.improved[index], MAX_CORNERS)
            if (value := _number(trial.metrics[goal.metric])) is not None
        ),
        length=len(ledger.told),
    )


def _front(ledger: Ledger) -> Front:
    x, y = ledger.spec.goals[:2]
    others = [ledger.finished[index] for index in strided(len(ledger.finished), MAX_POINTS)]
    in_front = {trial.number for trial in ledger.front}
    shown = [(trial, False) for trial in others if trial.is_feasible and trial.number not in in_front]
    shown += [(trial, True) for trial in evenly_chosen(ledger.front, MAX_CORNERS)]
    values = [(_number(t.metrics.get(x.metric)), _number(t.metrics.get(y.metric)), bold) for t, bold in shown]
    return Front(
        metrics=(cut(x.metric, _NAME_WIDTH), cut(y.metric, _NAME_WIDTH)),
        modes=(x.mode, y.mode),
        dots=tuple(FrontDot(a, b, bold) for a, b, bold in values if a is not None and b is not None),
    )


def _points(ledger: Ledger, metric: str) -> Iterator[Point]:
    for index in strided(len(ledger.told), MAX_POINTS):
        trial = ledger.told[index]
        has_gone_on = ledger.trials[trial.number].status is not trial.status or (
            ledger.trials[trial.number].attempt != trial.attempt
        )
        value = None if has_gone_on or trial.status is Status.FAILED else _number(trial.metrics.get(metric))
        if value is not None:
            yield Point(index + 1, value, trial.status is Status.COMPLETED, not trial.violations)


def _config_text(trial: Trial) -> str:
    return config_line(flattened(trial.config), _CONFIG_WIDTH)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and abs(value) < _HUGE else None
