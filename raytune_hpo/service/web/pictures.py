"""Small figures as SVG: geometry is in attributes, since the pages' security policy forbids inline styles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from raytune_hpo.core.snapshot import Front, History
from raytune_hpo.display.svg import scale_of
from raytune_hpo.display.text import cut, duration, number
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.trial import Trial

KEYS = "abcd"  # keys of the lines' styles, each with its own colour and dash
_NAME = 24  # characters at the end of a line
_BEYOND = 10.0  # per cent of a figure's height, by which what lies outside its scale is out of sight
_DRAWN = (Status.COMPLETED, Status.PRUNED, Status.PAUSED, Status.FAILED)  # the parts of a bar, from the left


def bar(counts: Mapping[str, int], total: int | None) -> list[dict[str, Any]]:
    """The segments of a progress bar in per cent; without a limit of trials, they fill the bar."""
    whole = max(total or 0, sum(counts.get(status, 0) for status in _DRAWN)) or 1
    parts, x = [], 0.0
    for status in _DRAWN:
        width = 100 * counts.get(status, 0) / whole
        if width:
            shown = "plain" if status is Status.PAUSED else status.value
            parts.append({"status": shown, "x": f"{x:.2f}", "width": f"{width:.2f}"})
        x += width
    return parts


def spark(history: History, goal: Goal) -> str:
    """The best value so far as a small step line; empty if there is none."""
    corners = [(at, value) for at, value in history.best if math.isfinite(value)]
    if not corners:
        return ""
    scale = scale_of([value for _, value in corners], lower_is_better=goal.lower_is_better)
    last = max(history.length, 1)
    points = [(100 * at / last, 3 + 16 * (1 - scale.at(value))) for at, value in corners]
    path = [f"M{points[0][0]:.0f} {points[0][1]:.1f}"] + [f"H{x:.0f}V{y:.1f}" for x, y in points[1:]]
    return "".join([*path, "H100"])


def history(drawn: History, goal: Goal, total: int | None) -> dict[str, Any] | None:
    """The figure of a study's history; None where nothing has a value."""
    values = [point.value for point in drawn.points] + [value for _, value in drawn.best]
    if not values:
        return None
    scale = scale_of(values, lower_is_better=goal.lower_is_better)
    last = max(drawn.length, total or 0, 1)

    def at(place: float, value: float) -> tuple[str, str]:
        return f"{100 * place / last:.1f}", f"{100 * (1 - scale.at(value)):.1f}"

    dots: dict[str, list[str]] = {"infeasible": [], "pruned": [], "completed": []}
    for point in drawn.points:
        x, y = at(point.place, point.value)
        look = "completed" if point.is_completed else "pruned"
        dots[look if point.is_feasible else "infeasible"].append(f"M{x} {y}h0")
    steps = [at(place, value) for place, value in drawn.best]
    line = f"M{steps[0][0]} {steps[0][1]}" + "".join(f"H{x}V{y}" for x, y in steps[1:]) if steps else ""
    best = f", and the best so far, which came to {number(drawn.best[-1][1])}" if drawn.best else ""
    return {
        "title": f"{goal.metric} ({goal.mode}), in the order of finishing",
        "label": f"{goal.metric} of {drawn.length:,} trials in the order in which they finished{best}",
        "y": [{"at": f"{100 * (1 - scale.at(tick)):.1f}", "text": number(tick)} for tick in scale.ticks()],
        "x": _from_zero(last, last // 2, lambda place: f"{place:,.0f}"),
        "dots": [(name, "".join(parts)) for name, parts in dots.items() if parts],
        "line": f"{line}H{100 * drawn.length / last:.1f}" if line else "",
        "line_class": "steps",
        "has_infeasible": bool(dots["infeasible"]),
    }


def front(drawn: Front, goals: Sequence[Goal]) -> dict[str, Any] | None:
    """The first two metrics of all feasible trials, with the front; None where nothing is feasible."""
    if not drawn.dots:
        return None
    across, up = (
        scale_of([dot[axis] for dot in drawn.dots], lower_is_better=goals[axis].lower_is_better) for axis in (0, 1)
    )
    dots: dict[str, list[str]] = {"dominated": [], "front": []}
    for dot in drawn.dots:
        place = f"M{100 * across.at(dot.x):.1f} {100 * (1 - up.at(dot.y)):.1f}h0"
        dots["front" if dot.is_front else "dominated"].append(place)
    x, y = (f"{metric} ({mode})" for metric, mode in zip(drawn.metrics, drawn.modes, strict=True))
    return {
        "title": f"{y} against {x}",
        "label": f"{y} against {x} of feasible trials, with the Pareto front",
        "is_front": True,
        "y": [{"at": f"{100 * (1 - up.at(tick)):.1f}", "text": number(tick)} for tick in up.ticks()],
        "x": [
            {"at": f"{100 * across.at(tick):.1f}", "anchor": "middle", "minor": False, "text": number(tick)}
            for tick in across.ticks()
        ],
        "dots": [(name, "".join(parts)) for name, parts in dots.items() if parts],
    }


def curve(trial: Trial, goal: Goal) -> dict[str, Any] | None:
    """The figure of a trial's reports; None where there are fewer than two values."""
    points = [(r.step, r.metrics[goal.metric]) for r in trial.reports if goal.metric in r.metrics]
    points = [(step, float(v)) for step, v in points if isinstance(v, (int, float)) and math.isfinite(v)]
    if len(points) < 2:
        return None
    scale = scale_of([value for _, value in points], lower_is_better=goal.lower_is_better)
    first, last = points[0][0], points[-1][0]
    placed = [(f"{100 * (s - first) / (last - first):.1f}", f"{100 * (1 - scale.at(v)):.1f}") for s, v in points]
    return {
        "title": f"{goal.metric} ({goal.mode}) by {'instance, the mean so far' if trial.per_instance else 'step'}",
        "label": f"{goal.metric} at {len(points)} steps, last {number(points[-1][1])} at step {last}",
        "y": [{"at": f"{100 * (1 - scale.at(tick)):.1f}", "text": number(tick)} for tick in scale.ticks()],
        "x": _ends("instance" if trial.per_instance else "step", first, last),
        "dots": [("completed", "".join(f"M{x} {y}h0" for x, y in placed))] if len(points) <= 60 else [],
        "line": "M" + "L".join(f"{x} {y}" for x, y in placed),
        "line_class": "a",
    }


def _from_zero(last: float, middle: float, text: Callable[[float], str]) -> list[dict[str, Any]]:
    """Labels of an axis at 0, near its middle and at its end; the middle one only where it differs from the others."""
    first, half, end = text(0), text(middle), text(last)
    found = [(0.0, "start", False, first), (middle, "middle", True, half), (last, "end", False, end)]
    return [
        {"at": f"{100 * place / last:.1f}", "anchor": anchor, "minor": is_minor, "text": label}
        for place, anchor, is_minor, label in found
        if not is_minor or half not in (first, end)
    ]


def _ends(what: str, first: float, last: float) -> Sequence[dict[str, Any]]:
    return (
        {"at": "0", "anchor": "start", "minor": False, "text": f"{what} {first:,}"},
        {"at": "100", "anchor": "end", "minor": False, "text": f"{last:,}"},
    )


class Line(NamedTuple):
    """A step line of a comparison.

    Attributes:
        corners: (place, value) where the value changes; ``end``: the place where it ends.
    """

    name: str
    corners: tuple[tuple[float, float], ...]
    end: float


def lines(drawn: Sequence[Line], goal: Goal, *, in_time: bool = False) -> dict[str, Any]:
    """The figure of several step lines, labelled at their ends. A line comes into it from values that it does not show."""
    scale = scale_of([v for line in drawn for _, v in line.corners], lower_is_better=goal.lower_is_better)
    last = max([line.end for line in drawn] + [1e-9])

    def at(place: float, value: float) -> tuple[str, str]:
        beyond = _BEYOND if value < scale.low else -_BEYOND if value > scale.high else 0.0
        return f"{100 * place / last:.1f}", f"{100 * (1 - scale.at(value)) + beyond:.1f}"

    shown = []
    for key, line in zip(KEYS, drawn, strict=False):
        steps = [at(*corner) for corner in line.corners]
        x, y = at(line.end, line.corners[-1][1])
        path = f"M{steps[0][0]} {steps[0][1]}" + "".join(f"H{x}V{y}" for x, y in steps[1:]) + f"H{x}"
        shown.append({"key": key, "path": path, "name": cut(line.name, _NAME), "x": x, "y": y})
    return {
        "label": f"Best {goal.metric} so far of {', '.join(line.name for line in drawn)}",
        "y": [{"at": f"{100 * (1 - scale.at(tick)):.1f}", "text": number(tick)} for tick in scale.ticks()],
        "x": _from_zero(last, last / 2, lambda s: duration(s) if s else "0")
        if in_time
        else _from_zero(last, last // 2, lambda place: f"{place:,.0f}"),
        "lines": shown,
    }
