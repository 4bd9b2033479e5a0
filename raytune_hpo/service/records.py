"""Records: studies, trials and facts as the API returns them, in strict JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from raytune_hpo.analysis.stagnation import has_stagnated
from raytune_hpo.codec import to_row
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.facts import Fact
from raytune_hpo.results.records import full_trial_record, plain, state_of, status_record, trial_record
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.leases import worker_of
from raytune_hpo.trial import Trial


def study_line(fold: Fold, kind: str, now: float) -> dict[str, Any]:
    """A study in a list."""
    ledger = fold.ledger
    status = ledger.status(now)
    goal = ledger.spec.goals[0]
    return {
        "name": ledger.spec.name,
        "kind": kind,
        "state": "running" if ledger.stopped is None else "ended",
        "stopped": ledger.stopped,
        "counts": dict(status.counts),
        "num_trials": status.num_trials,
        "best": plain(status.best.get(goal.metric)),
        "best_number": status.best_number,
        "metric": goal.metric,
        "mode": goal.mode,
        "last_fact_at": fold.last_at,
        "seq": fold.seq,
        "stale_s": fold.stale_s,
    }


def study_resource(fold: Fold, kind: str, now: float) -> dict[str, Any]:
    """A study in full."""
    ledger = fold.ledger
    spec = ledger.spec.to_json()
    return {
        **study_line(fold, kind, now),
        "status": status_record(ledger.status(now)),
        "limits": ledger.spec.limits.to_json(),
        "spec": plain({key: spec[key] for key in spec if key != "limits"}),
        "workers": {worker: sorted(numbers) for worker, numbers in ledger.owned.items()},
        "http_workers": {worker: sorted(ledger.owned[name]) for name in ledger.owned if (worker := worker_of(name))},
        "num_steps": ledger.num_steps,
    }


def state_in_words(fold: Fold, kind: str) -> str:
    """The state of a study, for people: nobody knows here whether one that is only stored still runs elsewhere."""
    return "running" if fold.ledger.stopped is None and kind != "stored" else state_of(fold.ledger)


def stopping_record(fold: Fold, now: float) -> dict[str, Any]:
    """Whether a study still improves, and what is left of its limits; ``now`` is in epoch seconds."""
    ledger, spec = fold.ledger, fold.ledger.spec
    limits, elapsed_s = spec.limits, ledger.elapsed_s(now)
    return {
        "stopped": ledger.stopped,
        "stagnation": has_stagnated(ledger.finished, len(spec.space.columns)),
        "num_trials_since_best": _num_trials_since_best(ledger),
        "budget": {
            "num_trials": _budget(limits.num_trials, len(ledger.trials)),
            "time_budget_s": _budget(limits.time_budget_s, elapsed_s),
            "num_steps": _budget(limits.num_steps, ledger.num_steps),
        },
        "seq": fold.seq,
    }


def _num_trials_since_best(ledger: Ledger) -> int | None:
    """How many trials were told since the best of them, or, with several goals, since the front last got a new point."""
    if len(ledger.spec.goals) == 1:
        improved = ledger.improved[0]
        return len(ledger.told) - improved[-1][0] if improved else None
    first_by_losses = {trial.losses: trial.number for trial in reversed(ledger.front)}  # an equal is no progress
    progress = set(first_by_losses.values())
    since = (back for back, trial in enumerate(reversed(ledger.told)) if trial.number in progress)
    return next(since, None)


def _budget(limit: float | None, used: float) -> dict[str, float | None]:
    return {"limit": limit, "used": used, "left": None if limit is None else max(0, limit - used)}


def trial_line(trial: Trial) -> dict[str, Any]:
    """A trial in a list."""
    return {
        **trial_record(trial),
        "parent": trial.parent,
        "until": trial.until,
        "from_step": trial.from_step,
        "last_step": trial.last_step,
        "finished_at": trial.finished_at,
        "reason": trial.reason,
        "checkpoint_step": max(trial.checkpoints, default=None),
    }


def trial_resource(trial: Trial, facts: list[Fact]) -> dict[str, Any]:
    """A trial in full: its reports, attempts, output, references to its checkpoints, and the basis of its suggestion."""
    return {
        **trial_line(trial),
        **full_trial_record(trial, facts),
        "basis": trial.basis,
        "per_instance": trial.per_instance,
    }


def fact_record(position: int, fact: Fact) -> dict[str, Any]:
    """A fact as it is stored, with its position in the journal."""
    kind, version, body = to_row(fact)
    return {"seq": position, "kind": kind, "version": version, **json.loads(body)}


def to_bytes(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("utf-8", "surrogatepass")


def dumped(value: Mapping[str, Any]) -> str:
    """Compact JSON as text, on one line."""
    return to_bytes(value).decode("utf-8", "replace")
