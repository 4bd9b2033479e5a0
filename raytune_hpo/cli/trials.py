"""One trial from its facts: what it was, what it reported, and what each attempt printed and died of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from raytune_hpo.display.text import duration, table
from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Fact, Finished, Printed, Requeued, Started, StudyCreated, TrialFact
from raytune_hpo.results.records import plain, trial_record
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial, evolve

MAX_REPORTS = 40  # lines of a table for people


def trial_data(name: str, number: int, first: Sequence[Fact], facts: Sequence[Fact]) -> dict[str, Any]:
    """The trial in plain JSON types.

    Args:
        first: the study's first fact.

    Raises:
        HpoError: there is no such trial.
    """
    if not facts or not first or not isinstance(first[0], StudyCreated):
        raise HpoError(f"study {name!r} has no trial {number}; see raytune-hpo trials {name}")
    spec = StudySpec.from_json(first[0].spec)
    trial: Trial | None = None
    for fact in facts:
        assert isinstance(fact, TrialFact)
        trial = evolve(trial, _unpacked(fact, spec), spec.goals)
    assert trial is not None
    return {
        **trial_record(trial),
        "suggested": trial.is_suggested,
        "meta": plain(trial.meta),
        "parent": trial.parent,
        "reports": [{"step": r.step, "at": r.at, "metrics": plain(r.metrics)} for r in trial.reports],
        "attempts": _attempts(facts),
    }


def _unpacked(fact: TrialFact, spec: StudySpec) -> TrialFact:
    if isinstance(fact, Started) and fact.config is not None:
        return replace(fact, config=spec.space.unpack(fact.config))
    return fact


def _attempts(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """What happened to each attempt: worker, end, output, error."""
    attempts: dict[int, dict[str, Any]] = {}
    for fact in facts:
        if isinstance(fact, Started):
            attempts[fact.attempt] = {"attempt": fact.attempt, "worker": fact.worker, "started_at": fact.at}
        elif isinstance(fact, Printed):
            attempts[fact.attempt]["output"] = fact.text
        elif isinstance(fact, Requeued):
            attempts[fact.attempt]["ended"] = f"requeued: {fact.reason}"
        elif isinstance(fact, Finished):
            attempts[fact.attempt].update(ended=fact.status.value, error=fact.error)
    return list(attempts.values())


def trial_text(data: dict[str, Any]) -> str:
    """The trial for people."""
    took = "" if data["duration_s"] is None else f", {duration(data['duration_s'])}"
    arm = f"'s arm {data['arm']}" if "arm" in data else ""
    how = f"suggested by the sampler{arm}" if data["suggested"] else "enqueued by the user"
    lines = [f"trial {data['number']}: {data['status']}{took}, attempt {data['attempt']}, {how}"]
    lines += ["config:", _indented(json.dumps(data["config"], indent=1))]
    lines += ["metrics:", _indented(json.dumps(data["metrics"], indent=1))]
    lines += _reports_lines(data["reports"])
    for attempt in data["attempts"]:
        lines.append(f"attempt {attempt['attempt']} on {attempt['worker']}: {attempt.get('ended', 'running')}")
        if attempt.get("output"):
            lines += ["  output:", _indented(attempt["output"], 4)]
        if attempt.get("error"):
            lines += ["  error:", _indented(attempt["error"], 4)]
    return "\n".join(lines)


def _reports_lines(reports: Sequence[dict[str, Any]]) -> list[str]:
    if not reports:
        return []
    shown = reports[-MAX_REPORTS:]
    title = "reports:" if len(shown) == len(reports) else f"reports (the last {len(shown)} of {len(reports)}):"
    names = list(dict.fromkeys(name for report in shown for name in report["metrics"]))
    rows = [[report["step"], *[report["metrics"].get(name, "") for name in names]] for report in shown]
    return [title, table(["step", *names], rows)]


def _indented(text: str, by: int = 2) -> str:
    return "\n".join(" " * by + line for line in text.rstrip().splitlines())
