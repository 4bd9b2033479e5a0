"""The values of a live study's page: tiles, the log, guards and parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.display.text import config_line, duration, number, value_text
from raytune_hpo.facts import Status
from raytune_hpo.goals import Guard
from raytune_hpo.live.fold import CANARY, LiveFold, group_of
from raytune_hpo.live.plan import HOUR_S
from raytune_hpo.live.timeline import GUARD, Event, Timeline
from raytune_hpo.service.web.live_lanes import lanes
from raytune_hpo.space.tree import Column
from raytune_hpo.trial import Trial

HOURS = (6, 24, 168)  # that a page may show
SHOWN_EVENTS = 20
_TIMES = "\u00d7"
_MARKS = {
    "observing": "waiting", "proposing": "waiting", "canary": "running", "promoting": "running", "holding": "completed",
    "rolling back": "failed", "frozen": "paused",
}  # fmt: skip


def row(live: Timeline) -> dict[str, Any]:
    """The row of a live study in the list."""
    fold = live.fold
    return {**_head(live), "last_at": fold.at, "baseline": config_line(fold.baseline or {}, 60), "now": _now(live)}


def page(live: Timeline, hours: int, now: float) -> dict[str, Any]:
    """The values for the template of a live study's page."""
    end = max(now if now - live.fold.at < hours * HOUR_S else live.fold.at, live.fold.at)
    begin = end - hours * HOUR_S
    windows = [trial for trial in live.windows_between(begin, end) if trial.status.is_finished]
    events = live.events_between(begin, end + 1.0)
    return {
        "s": _head(live),
        "tiles": _tiles(live, windows),
        "hours": hours,
        "begin": begin,
        "end": end,
        "lanes": lanes(live, windows, events, begin, end),
        "story": [_line(event) for event in events[: -SHOWN_EVENTS - 1 : -1]],
        "num_events": len(events),
        "guards": [_guard_row(guard, windows) for guard in live.fold.plan.guards],
        "parameters": [_parameter(live.fold, column) for column in live.fold.study.ledger.spec.space.columns],
    }


def ran(trial: Trial) -> dict[str, Any]:
    """The window that ran at the time that was asked for."""
    return {
        "number": trial.number,
        "group": group_of(trial),
        "status": trial.status.value,
        "config": config_line(trial.config),
        "metrics": config_line(trial.metrics),
        "at": trial.started_at,
    }


def _head(live: Timeline) -> dict[str, Any]:
    fold = live.fold
    spec, plan, frozen = fold.study.ledger.spec, fold.plan, fold.frozen
    candidate = fold.candidate
    return {
        "name": spec.name,
        "state": fold.state,
        "mark": _MARKS[fold.state],
        "now": _now(live),
        "settings": f"{spec.goals[0]} · windows of {duration(plan.window_s)}",
        "why": "" if frozen is None else frozen.why,
        "is_frozen": frozen is not None,
        "can_adopt": frozen is not None and frozen.found is not None,
        "waits": candidate.number if candidate is not None and not candidate.is_approved else None,
    }


def _now(live: Timeline) -> str:
    """What runs now, in a few words."""
    promoted, fold = live.promoted_number, live.fold
    runs = "baseline" if promoted is None else str(promoted)
    candidate = fold.candidate
    if candidate is None or not candidate.is_approved:
        return f"{runs} at 100 %"
    return f"{candidate.number} at {100 * fold.share:g} %, {runs} on the rest"


def _tiles(live: Timeline, windows: Sequence[Trial]) -> list[dict[str, str]]:
    fold = live.fold
    goal, plan = fold.goal, fold.plan
    last = next((w for w in reversed(windows) if group_of(w) != CANARY and goal.metric in w.metrics), None)
    spent, budget = fold.regret(fold.at)
    share = 100 * plan.regret * spent / budget if budget and math.isfinite(budget) else 0.0
    changes, rollbacks = fold.spent(fold.at)
    found = [("windows", f"{len(fold.study.ledger.finished):,}")]
    if last is not None:
        found = [(f"{goal.metric}, last window", number(float(last.metrics[goal.metric])))]
    if (gain := _gain(live, windows)) is not None:
        found.append(("against the baseline at this load", f"{gain:+.1f} %".replace("-", "\u2212")))
    return [
        {"what": what, "value": value}
        for what, value in (
            *found,
            (f"regret in a day, budget {100 * plan.regret:g} %", f"{share:.2f} %"),
            (f"changes in the last hour, at most {plan.changes_per_hour}", str(changes)),
            (f"rollbacks in a day; {plan.rollbacks_per_day} freeze the study", str(rollbacks)),
            ("drifts", str(fold.epoch)),
        )
    ]


def _gain(live: Timeline, windows: Sequence[Trial]) -> float | None:
    """The change of the goal against the baseline in the same class of context, in per cent; None if either is unknown."""
    fold = live.fold
    promoted, metric = fold.incumbent(), fold.goal.metric
    if promoted is None or promoted == fold.baseline:
        return None
    mine: list[float] = []
    base: list[float] = []
    for window in windows:
        if window.meta.get("place") == fold.place and metric in window.metrics:
            (mine if window.config == promoted else base if window.config == fold.baseline else []).append(
                float(window.metrics[metric])
            )
    if not mine or not base or not fmean(base):
        return None
    return 100 * (fmean(mine) / fmean(base) - 1)


def _line(event: Event) -> dict[str, Any]:
    return {"at": event.at, "said": event.said, "why": event.why, "is_bad": event.kind == GUARD}


# ------------------------------------------------------------------------------------------------ tables


def _guard_row(guard: Guard, windows: Sequence[Trial]) -> dict[str, Any]:
    """A guard: its bound, the value in the newest window, and how close it has come to the bound."""
    control = {w.meta.get("pair"): w for w in windows if w.meta.get("pair") is not None}
    seen: list[tuple[float, str, bool]] = []
    for window in windows:
        value = window.metrics.get(guard.metric)
        if not isinstance(value, (int, float)):
            continue
        other = control.get(window.number)
        beside = None if other is None else other.metrics.get(guard.metric)
        if guard.is_relative and (not isinstance(beside, (int, float)) or beside <= 0):
            continue
        shown = (
            f"{value / beside:.2f} {_TIMES}"
            if guard.is_relative and isinstance(beside, (int, float))
            else number(float(value))
        )
        is_try = group_of(window) == CANARY and window.meta.get("role") != "observe"
        seen.append((guard.overrun(float(value), beside), shown, window.status is Status.FAILED and is_try))
    sign, bound = ("≤" if guard.bound.lower_is_better else "≥"), guard.bound.threshold or 0.0
    return {
        "metric": guard.metric,
        "limit": f"{sign} {number(bound)} {_TIMES} control" if guard.is_relative else f"{sign} {number(bound)}",
        "now": seen[-1][1] if seen else "",
        "closest": max(seen)[1] if seen else "",
        "is_tripped": any(failed and over > 0 for over, _, failed in seen),
    }


def _parameter(fold: LiveFold, column: Column) -> dict[str, Any]:
    """A parameter: the baseline and the running value, both within its range, and the largest step."""
    space, name = fold.study.ledger.spec.space, column.name
    now = fold.incumbent() or {}
    was, runs = (dict(flattened(config or {})).get(name) for config in (fold.baseline, now))
    sampler = fold.study.ledger.spec.sampler.options
    tunable = sampler.get("tunable")
    step = (
        "not tuned"
        if tunable is not None and name not in tunable
        else f"± {100 * float(sampler.get('step', 0.05)):g} %"
    )
    places = {}
    for key, config in (("was", fold.baseline), ("at", now)):
        if config:
            unit = float(space.encode([config])[0][[c.name for c in space.columns].index(name)])
            places[key] = None if math.isnan(unit) else round(100 * min(1.0, max(0.0, unit)))
    return {
        "name": name, "was": _value(was), "now": _value(runs), "is_changed": was != runs, "step": step, "places": places,
    }  # fmt: skip


def _value(value: Any) -> str:
    return "" if value is None else value_text(value)


def compared(one: Trial, other: Trial) -> list[dict[str, Any]]:
    """Two windows side by side: configuration, context and measurements."""
    rows = []
    for what, before, after in (("configuration", one.config, other.config), ("measured", one.metrics, other.metrics)):
        for name in dict.fromkeys([*before, *after]):
            a, b = before.get(name), after.get(name)
            rows.append({"what": what, "name": name, "one": _value(a), "other": _value(b), "differs": a != b})
    return [{"what": what, "rows": list(found)} for what, found in groupby(rows, lambda found: found["what"])]
