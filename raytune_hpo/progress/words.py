"""Progress as text: the state of a study, its rate, and the time left."""

from __future__ import annotations

from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.display.status import STATUSES
from raytune_hpo.display.text import cut, duration, number, reporting_text, visible

COUNTED = tuple(status for status in STATUSES if status != "completed")  # counted next to the number of finished trials
_REASON_WIDTH = 80  # characters


def line(status: StudyStatus, rate: float | None, *, first_failure: str = "", num_reporting: int = 0) -> str:
    """The progress line of a study, the most important first, since terminals cut it at their width.

    Args:
        rate: trials per second that finish or pause; None if unknown.
        first_failure: the reason of the first failure; it is placed where terminals do not cut it.
        num_reporting: for a study that ended without a completed trial, the number of others with reports.
    """
    parts = [f"{progress(status)} trials{nothing_new(status)}"]
    parts += [f"best {metric}={number(value)}" for metric, value in status.best.items()]
    if status.best_number is not None and len(status.best) == 1:
        parts[-1] += f" (trial {status.best_number})"
    parts += [f"{status.num_infeasible} infeasible"] if status.num_infeasible else []
    parts += [f"{status.counts[key]} {STATUSES[key].word}" for key in COUNTED if status.counts.get(key)]
    if first_failure and status.counts.get("failed"):
        failed = f"{status.counts['failed']} {STATUSES['failed'].word}"
        parts[parts.index(failed)] = f"{failed}, the first: {cut(first_failure, _REASON_WIDTH)}"
    more = [reporting_text(num_reporting)] if num_reporting else []
    return f"{visible(status.name)}: {', '.join([*parts, *times(status, rate), *more])}"


def line_of(snapshot: Snapshot, rate: float | None) -> str:
    """The progress line of a snapshot."""
    failure, reporting = snapshot.first_failure, snapshot.num_reporting
    return line(snapshot.status, rate, first_failure=failure, num_reporting=reporting)


def progress(status: StudyStatus) -> str:
    """The number of trials that have finished or are paused, and the total."""
    total = status.limits.num_trials
    return f"{status.num_at_rest}{'' if total is None else f'/{total}'}"


def nothing_new(status: StudyStatus) -> str:
    """A note for a study that was called again after its end; else empty."""
    if not status.found_nothing_to_do:
        return ""
    return ", none new" + (" (raise num_trials for more)" if status.stopped == "num_trials" else "")


def times(status: StudyStatus, rate: float | None) -> list[str]:
    """The rate, the running time and the time left, or why the study has ended."""
    if not status.is_running:
        return [duration(status.elapsed_s), f"ended by {status.stopped}"]
    speed = [f"{rate:.3g}/s" if rate >= 1 else f"{rate * 60:.3g}/min"] if rate else []
    left = time_left(status, rate)
    return [*speed, age(status.elapsed_s), *([] if left is None else [f"{duration(left)} left"])]


def time_left(status: StudyStatus, rate: float | None) -> float | None:
    """The estimated seconds until the nearest of the study's limits; None if there is no estimate."""
    limits, ends = status.limits, []
    if limits.time_budget_s is not None:
        ends.append(max(0.0, limits.time_budget_s - status.elapsed_s))
    if limits.num_trials is not None and rate:
        ends.append(max(0, limits.num_trials - status.num_at_rest) / rate)
    return min(ends) if ends else None


def share(status: StudyStatus) -> float | None:
    """The progress towards the nearest of the study's limits, from 0 to 1; None if it has none."""
    limits, shares = status.limits, []
    if limits.num_trials is not None:
        shares.append(status.num_at_rest / limits.num_trials)
    if limits.time_budget_s is not None:
        shares.append(status.elapsed_s / limits.time_budget_s)
    return min(1.0, max(shares)) if shares else None


def age(seconds: float) -> str:
    """The text of a duration, which changes at most once a second, so that displays are not redrawn needlessly."""
    return f"{int(seconds)}s" if seconds < 60 else duration(seconds)
