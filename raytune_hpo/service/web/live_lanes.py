"""Lanes of a live study's page: share of the traffic, guarded metrics and context, on one axis of time, as SVG paths."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from statistics import fmean
from typing import Any

from raytune_hpo.display.svg import Scale
from raytune_hpo.display.text import number
from raytune_hpo.facts import Status
from raytune_hpo.goals import Guard
from raytune_hpo.live.contexts import PREFIX
from raytune_hpo.live.fold import CANARY, group_of
from raytune_hpo.live.plan import DAY_S, HOUR_S
from raytune_hpo.live.timeline import GUARD, Event, Timeline
from raytune_hpo.trial import Trial

_MOST_POINTS = 240  # of a line
_QUIET = ("context",)  # kinds of events that are no line in the figures
_BAD = (GUARD, "frozen", "drifted")
Pair = tuple[float, float]


def lanes(
    live: Timeline, windows: Sequence[Trial], events: Sequence[Event], begin: float, end: float
) -> list[dict[str, Any]]:
    """The lanes of a period, with coordinates in per cent of their width and height."""

    def x(at: float) -> float:
        return round(100 * min(1.0, max(0.0, (at - begin) / (end - begin))), 2)

    marks = [{"x": x(e.at), "is_bad": e.kind in _BAD} for e in events if e.kind not in _QUIET][-60:]
    shares = _share_lane(live, x, begin, end)
    canaries = [(x(a), x(b)) for a, b in _canaries(live, begin, end)]
    tripped = [(x(w.started_at or 0.0), x(w.finished_at or 0.0)) for w in windows if w.status is Status.FAILED]
    bands = {
        "canary": "".join(f"M{a} 0H{b}V100H{a}z" for a, b in canaries if b > a),
        "tripped": "".join(f"M{a} 0H{max(b, a + 0.4):.2f}V100H{a}z" for a, b in tripped),
    }
    found = [shares]
    plan, metric = live.fold.plan, live.fold.goal.metric
    guarded = {guard.metric: guard for guard in reversed(plan.guards) if guard.bound.threshold is not None}
    for name in [*guarded, *([metric] if metric not in guarded else [])]:
        if (lane := _metric_lane(name, guarded.get(name), windows, x)) is not None:
            found.append({**lane, "bands": bands, "events": marks})
    for column in plan.context:
        if (lane := _context_lane(column, windows, x)) is not None:
            found.append(lane)
    found[-1]["x"] = _clock(begin, end, x)
    return found


def _share_lane(live: Timeline, x: Callable[[float], float], begin: float, end: float) -> dict[str, Any]:
    """The share of the traffic that does not run the baseline, and the candidates under trial."""
    tuned, tried, names = "", "", []
    shares = live.shares
    for index, share in enumerate(shares):
        until = shares[index + 1].at if index + 1 < len(shares) else end
        if until < begin:
            continue
        at, y = x(share.at), 98 - 96 * (1.0 if share.promoted is not None else share.share)
        tuned += f"{'H' if tuned else 'M'}{at}{'V' if tuned else ' '}{y:.1f}"
        if share.candidate is not None:
            top = 98 - 96 * share.share
            tried += f"M{at} 98V{top:.1f}H{x(until)}V98"
        if until - share.at > 0.08 * (end - begin):
            runs = "baseline" if share.promoted is None else str(share.promoted)
            names.append({"x": x(max(share.at, begin)), "y": 80 if share.promoted is None else 26, "text": runs})
    last = live.shares[-1] if live.shares else None
    now = 100 if last is not None and last.promoted is not None else 100 * last.share if last is not None else 0
    return {
        "title": "share of traffic with a tuned configuration",
        "label": f"Share of traffic with a tuned configuration, now {now:g} %",
        "size": "lane",
        "y": [{"at": "2", "text": "100 %"}, {"at": "98", "text": "0"}],
        "lines": [("a", f"{tuned}H100" if tuned else ""), ("c", tried)],
        "names": names,
    }


def _canaries(live: Timeline, begin: float, end: float) -> list[Pair]:
    shares = live.shares
    spans = [
        (share.at, shares[i + 1].at if i + 1 < len(shares) else end)
        for i, share in enumerate(shares)
        if share.candidate is not None
    ]
    return [(a, b) for a, b in spans if b > begin and a < end]


def _metric_lane(
    name: str, guard: Guard | None, windows: Sequence[Trial], x: Callable[[float], float]
) -> dict[str, Any] | None:
    """A metric on the canary group and on the control group, and the bound that it has to keep."""
    control = _points(windows, name, lambda w: group_of(w) != CANARY)
    canary = _points(windows, name, lambda w: group_of(w) == CANARY)
    if not control:
        return None
    limits: list[Pair] = []
    if guard is not None:
        found = [(at, guard.limit(value)) for at, value in control]
        limits = [(at, limit) for at, limit in found if limit is not None]
    values = [value for points in (control, canary, limits) for _, value in points]
    scale = _linear(values)
    worst = f", bound {guard}" if guard is not None else ""
    return {
        "title": name,
        "label": f"{name} of the canary group beside the control group, last {number(control[-1][1])}{worst}",
        "size": "mid nox",
        "y": _ticks(scale),
        "lines": [
            ("limit", _path(limits, x, scale)),
            ("plain", _path(control, x, scale)),
            ("a", _path(canary, x, scale, is_broken=True)),
        ],
    }


def _context_lane(column: str, windows: Sequence[Trial], x: Callable[[float], float]) -> dict[str, Any] | None:
    points = _points(windows, PREFIX + column, lambda w: group_of(w) != CANARY)
    if not points:
        return None
    scale = _linear([value for _, value in points])
    return {
        "title": column,
        "label": f"Context {column}, last {number(points[-1][1])}",
        "size": "lane low2",
        "y": _ticks(scale),
        "lines": [("plain", _path(points, x, scale))],
    }


def _points(windows: Sequence[Trial], name: str, belongs: Callable[[Trial], bool]) -> list[Pair]:
    """(time, value) pairs, at most ``_MOST_POINTS``: neighbours are averaged."""
    found = [
        ((w.started_at or 0.0), float(w.metrics[name]))
        for w in windows
        if belongs(w) and isinstance(w.metrics.get(name), (int, float)) and math.isfinite(w.metrics[name])
    ]
    size = math.ceil(len(found) / _MOST_POINTS) or 1
    parts = [found[i : i + size] for i in range(0, len(found), size)]
    return [(fmean(at for at, _ in part), fmean(value for _, value in part)) for part in parts]


def _linear(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.5 * abs(high) or 0.5
    return Scale(low - margin, high + margin)


def _ticks(scale: Scale) -> list[dict[str, str]]:
    return [{"at": f"{100 * (1 - scale.at(tick)):.1f}", "text": number(tick)} for tick in scale.ticks()]


def _path(points: Sequence[Pair], x: Callable[[float], float], scale: Scale, *, is_broken: bool = False) -> str:
    """A line through the points; with ``is_broken``, it has a gap where two are much further apart than usual."""
    if not points:
        return ""
    gaps = sorted(b[0] - a[0] for a, b in pairwise(points))
    longest = 3 * gaps[len(gaps) // 2] if gaps and is_broken else math.inf
    path, before = "", -math.inf
    for at, value in points:
        path += f"{'L' if at - before <= longest and path else 'M'}{x(at)} {100 * (1 - scale.at(value)):.1f}"
        before = at
    return path if len(points) > 1 else f"{path}h0.3"


def _clock(begin: float, end: float, x: Callable[[float], float]) -> list[dict[str, Any]]:
    """Labels of the axis of time: whole hours, or days, of UTC; the script turns them into the reader's zone."""
    step = next(s for s in (HOUR_S, 3 * HOUR_S, DAY_S) if (end - begin) / s <= 8 or s == DAY_S)
    first = math.ceil(begin / step) * step
    times = [first + i * step for i in range(int((end - first) / step) + 1)]
    shown = "%d %b" if step == DAY_S else "%H:%M"
    labels = [datetime.fromtimestamp(at, timezone.utc).strftime(shown) for at in times]
    labels = [f"{label} UTC" if index == 0 else label for index, label in enumerate(labels)]
    is_day = step == DAY_S
    return [{"at": x(at), "when": at, "is_day": is_day, "text": text} for at, text in zip(times, labels, strict=True)]
