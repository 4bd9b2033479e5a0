"""JSON records of trials, studies and errors, shared by the command line, the service and exports.

``plain`` turns a record into strict JSON types; numbers that are not finite become None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from raytune_hpo.checkpoints.fetching import BYTES
from raytune_hpo.core.keeping import kept_records
from raytune_hpo.display.text import MAX_BITS, first_line, number
from raytune_hpo.facts import Fact, Finished, Paused, Printed, Requeued, Saved, Started
from raytune_hpo.space.values import stable_repr
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.core.ledger import Ledger, StudyStatus
    from raytune_hpo.core.snapshot import Snapshot
    from raytune_hpo.journal import StudyRow
    from raytune_hpo.results.results import Results


def plain(value: Any) -> Any:
    """A value in strict JSON types: classes and functions by their names, other objects by a repr without addresses.

    Numbers that are not finite become None.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return number(value)  # may have more digits than Python writes
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(child) for child in value]
    return stable_repr(value)


# ------------------------------------------------------------------------------------------------ trials


def trial_record(trial: Trial) -> dict[str, Any]:
    """The record of a trial without its reports, for lists of trials."""
    return {
        "number": trial.number,
        "status": trial.status.value,
        "config": plain(trial.config),
        "metrics": plain(trial.metrics),
        "started_at": trial.started_at,
        "duration_s": trial.duration_s,
        "worker": trial.worker,
        "attempt": trial.attempt,
        "error": trial.error,
        **({} if trial.arm is None else {"arm": trial.arm}),
        **({"violations": plain(trial.violations)} if trial.violations else {}),
    }


def full_trial_record(trial: Trial, facts: Sequence[Fact]) -> dict[str, Any]:
    """The full record of a trial, with its reports and attempts.

    Args:
        facts: the facts about this trial, which hold more about its attempts than the trial itself.
    """
    return {
        **trial_record(trial),
        "suggested": trial.is_suggested,
        "meta": plain(trial.meta),
        "parent": trial.parent,
        "until": trial.until,
        "checkpoints": [{"step": step, **plain(kept)} for step, kept in sorted(trial.checkpoints.items())],
        "reports": [{"step": r.step, "at": r.at, "metrics": plain(r.metrics)} for r in trial.reports],
        **({"per_instance": plain(own)} if (own := trial.per_instance) else {}),
        "attempts": attempt_records(facts),
    }


def attempt_records(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """The records of a trial's attempts: their workers, the checkpoints they began with, ends, outputs and errors."""
    attempts: dict[int, dict[str, Any]] = {}
    for fact in facts:
        if isinstance(fact, Started):
            begun = {"attempt": fact.attempt, "worker": fact.worker, "started_at": fact.at}
            came_from = {"from_trial": fact.from_trial, "from_step": fact.from_step}
            attempts[fact.attempt] = {**begun, **{key: value for key, value in came_from.items() if value is not None}}
        elif isinstance(fact, Printed):
            attempts[fact.attempt]["output"] = fact.text
        elif isinstance(fact, Saved):
            attempts[fact.attempt]["saved"] = [*attempts[fact.attempt].get("saved", []), fact.step]
        elif isinstance(fact, Paused):
            attempts[fact.attempt]["ended"] = f"paused at step {fact.step}"
        elif isinstance(fact, Requeued):
            attempts[fact.attempt]["ended"] = f"requeued: {fact.reason}"
        elif isinstance(fact, Finished):
            attempts[fact.attempt].update(ended=fact.status.value, error=fact.error)
    return list(attempts.values())


# ------------------------------------------------------------------------------------------------ studies


def study_record(row: StudyRow) -> dict[str, Any]:
    """The record of a study for a list of studies."""
    return {"name": row.name, "created_at": row.created_at, "facts": row.num_facts}


def outcome_record(ledger: Ledger) -> dict[str, Any]:
    """The outcome of a study that has been read, for a list of studies; ``best`` is in the first metric."""
    goal, best = ledger.spec.goals[0], ledger.best[0]
    value = None if best is None else best.metrics[goal.metric]
    kept = sum(int(record.get(BYTES, 0)) for record in kept_records(ledger))
    front = {"front": len(ledger.front)} if len(ledger.spec.goals) > 1 else {}
    return {"trials": len(ledger.trials), "best": value, **front, "checkpoint_bytes": kept, "state": state_of(ledger)}


def unreadable_record(error: Exception) -> dict[str, Any]:
    """The outcome of a study that cannot be read, in the place of ``outcome_record``."""
    return {"trials": None, "best": None, "checkpoint_bytes": None, "state": first_line(str(error))}


def state_of(ledger: Ledger) -> str:
    """The state of a stored study in words: whether and why it has ended."""
    return "running or interrupted" if ledger.stopped is None else f"ended: {ledger.stopped}"


def summary_record(results: Results) -> dict[str, Any]:
    """The summary of a study: goals, counts, and the best trial if there is one."""
    return {
        "name": results.name,
        "metrics": {goal.metric: goal.mode for goal in results.goals},
        "num_by_status": results.num_by_status,
        "best": trial_record(results.best_trial) if results.best_trials else None,
        "front": [trial.number for trial in results.best_trials],
        **({"arms": results.arms} if results.arms else {}),
        **_bounds_record(results),
    }


def _bounds_record(results: Results) -> dict[str, Any]:
    """The part of a summary about thresholds and outcome constraints, if there are any."""
    record: dict[str, Any] = {}
    if thresholds := {goal.metric: goal.threshold for goal in results.goals if goal.threshold is not None}:
        past = [trial.number for trial in results.best_past_thresholds]
        record |= {"thresholds": thresholds, "past_thresholds": past}
    if results.spec.constraints:
        constraints = [str(constraint) for constraint in results.spec.constraints]
        record |= {"outcome_constraints": constraints, "num_feasible": len(results.feasible)}
    return record


def settings_record(ledger: Ledger, now: float) -> dict[str, Any]:
    """The settings of a study, how it ended, and how long it ran; ``now`` is in epoch seconds."""
    spec = ledger.spec
    return {
        "sampler": str(spec.sampler),
        "scheduler": None if spec.scheduler is None else str(spec.scheduler),
        "seed": spec.seed,
        **spec.limits.to_json(),
        **spec.settings,
        "state": state_of(ledger),
        "running_time_s": ledger.elapsed_s(now) if ledger.stopped else None,
    }


def status_record(status: StudyStatus) -> dict[str, Any]:
    """The record of a study's status."""
    return {
        "name": status.name,
        "num_by_status": dict(status.counts),
        "num_trials": status.num_trials,
        "num_finished": status.num_finished,
        "num_paused": status.num_paused,
        "num_enqueued": status.num_enqueued,
        "limits": status.limits.to_json(),
        "best": plain(status.best),
        "best_number": status.best_number,
        "elapsed_s": status.elapsed_s,
        "is_running": status.is_running,
        "stopped": status.stopped,
        **({"num_infeasible": status.num_infeasible} if status.num_infeasible else {}),
    }


def snapshot_record(snapshot: Snapshot) -> dict[str, Any]:
    """The record of a snapshot: status, running trials, and histories of points (place, value, completed, feasible)."""
    return {
        "status": status_record(snapshot.status),
        "running": [plain(asdict(trial)) for trial in snapshot.running],
        "best_config": snapshot.best_config,
        "histories": [plain(asdict(history)) for history in snapshot.histories],
        **({} if snapshot.front is None else {"front": plain(asdict(snapshot.front))}),
        "first_failure": snapshot.first_failure,
    }


# ------------------------------------------------------------------------------------------------ errors


def error_record(error: BaseException) -> dict[str, Any]:
    """The record of an error: the name of its class, and the message that the command line prints after ``raytune-hpo:``."""
    return {"error": type(error).__name__, "message": str(error)}
