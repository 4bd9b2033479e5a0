"""The record of one trial, read from its facts: configuration, reports, and the output and end of each attempt."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from shlex import quote
from typing import Any

from raytune_hpo.display.text import duration, number, size, table, visible
from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Fact, TrialFact
from raytune_hpo.results.records import full_trial_record
from raytune_hpo.spec import stored_spec
from raytune_hpo.trial import Trial, evolve, unpacked

_MAX_REPORTS = 40  # lines of a table for people


def read_trial(name: str, number: int, first: Sequence[Fact], facts: Sequence[Fact]) -> dict[str, Any]:
    """The full record of a trial.

    Args:
        first: the study's first fact.

    Raises:
        HpoError: there is no such trial.
    """
    if not facts or not first:
        raise HpoError(f"study {name!r} has no trial {number}; see raytune-hpo trials {quote(name)}")
    spec = stored_spec(first[0])
    trial: Trial | None = None
    for fact in facts:
        if isinstance(fact, TrialFact):  # a request to stop the trial concerns it, but does not change it
            trial = evolve(trial, unpacked(fact, spec.space), spec.goals, spec.constraints)
    assert trial is not None
    return full_trial_record(trial, facts)


def trial_text(data: dict[str, Any]) -> str:
    """A trial as text for people, from its full record."""
    took = "" if data["duration_s"] is None else f", {duration(data['duration_s'])}"
    arm = f"'s arm {data['arm']}" if "arm" in data else ""
    how = f"suggested by the sampler{arm}" if data["suggested"] else "enqueued by the user"
    lines = [f"trial {data['number']}: {data['status']}{took}, attempt {data['attempt']}, {how}"]
    lines += ["config:", _indented(json.dumps(data["config"], indent=1, ensure_ascii=False))]
    lines += ["metrics:", _indented(json.dumps(data["metrics"], indent=1, ensure_ascii=False))]
    lines += [_broken(metric, by) for metric, by in data.get("violations", {}).items()]
    if reports := data["reports"]:
        shown = reports[-_MAX_REPORTS:]
        lines.append("reports:" if shown == reports else f"reports (the last {len(shown)} of {len(reports)}):")
        names = list(dict.fromkeys(name for report in shown for name in report["metrics"]))
        rows = [[report["step"], *[report["metrics"].get(name, "") for name in names]] for report in shown]
        lines.append(table(["step", *names], rows))
    if own := data.get("per_instance"):
        names = list(dict.fromkeys(name for values in own.values() for name in values))
        lines.append("instances:")
        lines.append(table(["instance", *names], [[i, *[v.get(n, "") for n in names]] for i, v in own.items()]))
    kept = [f"step {kept['step']} ({size(kept.get('bytes') or 0)})" for kept in data["checkpoints"]]
    if kept:
        lines.append(f"checkpoints: {', '.join(kept)}")
    for attempt in data["attempts"]:
        ended = attempt.get("ended", "running")
        after = f" after step {attempt['from_step']}" if "from_step" in attempt else ""
        lines.append(visible(f"attempt {attempt['attempt']} on {attempt['worker']}{after}: {ended}"))
        if attempt.get("output"):
            lines += ["  output:", _indented(attempt["output"], 4)]
        if attempt.get("error"):
            lines += ["  error:", _indented(attempt["error"], 4)]
    return "\n".join(lines)


def _broken(metric: str, by: float | None) -> str:
    """A line on a broken outcome constraint; None: the trial has no such metric."""
    how = "which it does not have" if by is None else f"by {number(by)}"
    return f"breaks the outcome constraint on {visible(metric)}, {how}"


def _indented(text: str, by: int = 2) -> str:
    return "\n".join(" " * by + visible(line) for line in re.split("\r\n|\n|\r", text.rstrip()))
