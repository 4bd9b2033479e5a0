"""Pictures as inline SVG, without scripts or dependencies; text takes its colour from the surrounding page.

The colours are readable on white and on black. Dots are strokes of zero length with round ends, all in one path, so that
hundreds of them take only a few kilobytes.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from raytune_hpo.display.colours import BRIGHT_BLUE, BRIGHT_GREY, BRIGHT_ORANGE, BRIGHT_RED
from raytune_hpo.display.ranges import LOG_DECADES, end_without_outliers
from raytune_hpo.display.text import cut, numbers

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 8.0, 9.0, 18.0  # margins; labels are in the left and the bottom one
_CHARACTER = 6.0  # pixels of a label, at most
_NAMES = 14  # extra height below, and width at the left, for the name of an axis, if it has one
_LABELS = 3  # approximate number for an axis
_MARGIN = 0.05  # of an axis beyond the values
_CROSS = "m-2.5-2.5l5 5m-5 0l5-5"  # around a place
_TINY, _HUGE = 1e-300, 1e300  # beyond, differences and ratios leave the range of floats


class Dot(NamedTuple):
    """A point of a picture; the bold ones are drawn over the others, and crosses are red."""

    x: float
    y: float
    is_bold: bool = True
    is_cross: bool = False


def note_on_crosses(dots: Sequence[Dot]) -> str:
    """What a caption says about red crosses, if there are any."""
    return "; red crosses break a constraint" if any(dot.is_cross for dot in dots) else ""


class Scale(NamedTuple):
    """The scale of an axis: an interval of values, or of counts; values outside are drawn at its ends."""

    low: float
    high: float
    is_log: bool = False
    is_count: bool = False

    def at(self, value: float) -> float:
        """The position of a value, from 0 to 1."""
        value, low, high = min(max(value, self.low), self.high), self.low, self.high
        if self.is_log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values inside: powers of ten, or multiples of 1, 2 or 5 times one."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            stride = max(1, math.ceil((last - first + 1) / (_LABELS + 1)))
            return [10.0**power for power in range(first, last + 1, stride)]
        fewest = 1.0 if self.is_count else 0.0  # the least step
        rough = self._multiples(max(fewest, _round_step((self.high - self.low) / _LABELS)))
        if len(rough) > 1:
            return rough
        return self._multiples(max(fewest, _round_step((self.high - self.low) / (2 * _LABELS))))

    def _multiples(self, step: float) -> list[float]:
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def scale_of(values: Sequence[float], *, lower_is_better: bool) -> Scale:
    """The scale for drawable values of a metric: logarithmic if they span decades, otherwise without outliers."""
    low, high = min(values), max(values)
    decades = math.log10(high) - math.log10(low) if low > _TINY else 0.0
    if decades > LOG_DECADES:
        factor = 10 ** (_MARGIN * decades)
        return Scale(max(low / factor, _TINY), min(high * factor, _HUGE), is_log=True)
    best_first = sorted(values, reverse=not lower_is_better)
    best, most, worst = best_first[0], best_first[int(0.9 * (len(best_first) - 1))], best_first[-1]
    if lower_is_better:
        high = end_without_outliers(best, most, worst)
    else:
        low = -end_without_outliers(-best, -most, -worst)
    margin = _MARGIN * (high - low) or 0.5 * abs(high) or 0.5
    return Scale(low - margin, high + margin)


def draw_history(
    dots: Sequence[Dot],
    best: Sequence[tuple[float, float]],
    *,
    lower_is_better: bool,
    end: float,
    size: tuple[int, int],
    title: str,
) -> str:
    """A picture of values in order, with the staircase of the best value so far; empty without drawable values.

    Args:
        dots: the values; those of completed trials are bold.
        best: the corners of the staircase, which is drawn up to ``end``.
        size: width and height in pixels.
        title: the description for screen readers.
    """
    dots = [dot for dot in dots if _is_drawable(dot.y)]
    best = [corner for corner in best if _is_drawable(corner[1])]
    values = [*[dot.y for dot in dots], *[value for _, value in best]]
    if not values:
        return ""
    whole = Scale(0.0, max(end, 1.0), is_count=True)
    frame = _Frame(size, whole, scale_of(values, lower_is_better=lower_is_better))
    shapes = [_dots(frame, dots)]
    if best:
        shapes.append(_path(frame.staircase([*best, (end, best[-1][1])]), BRIGHT_ORANGE, 2))
    return frame.drawn(shapes, title)


def draw_scatter(
    dots: Sequence[Dot],
    names: tuple[str, str],
    *,
    lower_is_better: tuple[bool, bool],
    size: tuple[int, int],
    title: str,
) -> str:
    """A picture of two metrics: the front (bold) with the edge of what it dominates; empty without drawable dots."""
    dots = [dot for dot in dots if _is_drawable(dot.x) and _is_drawable(dot.y)]
    if not dots:
        return ""
    frame = _Frame(
        (size[0], size[1] - _NAMES),
        scale_of([dot.x for dot in dots], lower_is_better=lower_is_better[0]),
        scale_of([dot.y for dot in dots], lower_is_better=lower_is_better[1]),
        left=_NAMES,
    )
    front = _staircase_of([(dot.x, dot.y) for dot in dots if dot.is_bold], lower_is_better)
    # The corner lies on the worse side, since the edge bounds what the front dominates.
    edge = frame.staircase(front, rise_first=not lower_is_better[0]) if front else ""
    shapes = [_path(edge, BRIGHT_ORANGE, 1.5), _dots(frame, dots, bold=BRIGHT_ORANGE, other=BRIGHT_BLUE)]
    return frame.drawn(shapes, title, names)


def _staircase_of(
    front: Sequence[tuple[float, float]], lower_is_better: tuple[bool, bool]
) -> list[tuple[float, float]]:
    """The points that no other one dominates in these two metrics, by x: of a front in more metrics, not all of them."""
    x_sign, y_sign = (1 if is_low else -1 for is_low in lower_is_better)
    found: list[tuple[float, float]] = []
    for x, y in sorted(front, key=lambda point: (x_sign * point[0], y_sign * point[1])):
        if not found or y_sign * y < y_sign * found[-1][1]:
            found.append((x, y))
    return sorted(found)


class Span(NamedTuple):
    """A value with an interval around it, and another value to compare it with."""

    name: str
    value: float
    interval: tuple[float, float] | None
    other: float


def draw_intervals(spans: Sequence[Span], *, width: int, row_height: int, title: str) -> str:
    """A picture of intervals, one per row, the first on top: the value is a filled dot, the other value a hollow one."""
    values = [v for span in spans for v in (span.value, span.other, *(span.interval or ())) if _is_drawable(v)]
    if not values:
        return ""
    height = round(len(spans) * row_height + _TOP + _BOTTOM)
    low, high = min(values), max(values)
    margin = _MARGIN * (high - low) or 0.5 * abs(high) or 0.5
    frame = _Frame((width, height), Scale(low - margin, high + margin), Scale(0.0, float(len(spans))))
    shapes = []
    for row, span in enumerate(spans):
        y = frame.y(len(spans) - row - 0.5)
        shapes.append(_text(cut(span.name, 12), _LEFT - 6, float(y) + 3.5, "end"))
        if span.interval is not None:
            shapes.append(_path(f"M{frame.x(span.interval[0])} {y}H{frame.x(span.interval[1])}", BRIGHT_BLUE, 2))
        shapes.append(_path(f"M{frame.x(span.value)} {y}h0", BRIGHT_BLUE, 9))
        ring = (
            f'<circle cx="{frame.x(span.other)}" cy="{y}" r="4" fill="none" stroke="{BRIGHT_ORANGE}" stroke-width="2"/>'
        )
        shapes.append(ring)
    return frame.drawn_by_rows(shapes, title)


class _Frame:
    """The plotting area: maps values to pixels, and draws labels."""

    def __init__(self, size: tuple[int, int], x: Scale, y: Scale, left: int = 0) -> None:
        self._width, self._height = size
        self._x, self._y = x, y
        self._levels = numbers(y.ticks())
        self._left = max(_LEFT, left + 10 + _CHARACTER * max(map(len, self._levels), default=0))

    def x(self, value: float) -> str:
        return _pixel(self._left + self._x.at(value) * (self._width - self._left - _RIGHT))

    def y(self, value: float) -> str:
        return _pixel(_TOP + (1 - self._y.at(value)) * (self._height - _TOP - _BOTTOM))

    def staircase(self, corners: Sequence[tuple[float, float]], *, rise_first: bool = False) -> str:
        """A path through the corners along the axes."""
        (x, y), *others = [(self.x(x), self.y(y)) for x, y in corners]
        steps = (f"V{y}H{x}" if rise_first else f"H{x}V{y}" for x, y in others)
        return f"M{x} {y}{''.join(steps)}"

    def drawn(self, shapes: Sequence[str], title: str, names: tuple[str, str] | None = None) -> str:
        """The picture with labels on both axes.

        Args:
            names: the names of the axes; that of x takes a line below the picture.
        """
        right = _pixel(self._width - _RIGHT)
        levels = [(self.y(tick), label) for tick, label in zip(self._y.ticks(), self._levels, strict=True)]
        grid = _grid(f"M{_pixel(self._left)} {y}H{right}" for y, _ in levels)
        labels = [_text(label, self._left - 6, float(y) + 3.5, "end") for y, label in levels]
        shapes = [grid, *labels, *self._below(), *shapes]
        if names is None:
            return self._whole(shapes, title)
        middle, foot = (self._left + self._width - _RIGHT) / 2, self._height - _BOTTOM
        turned = f' transform="rotate(-90 10 {_pixel(foot / 2)})"'
        shapes.append(_text(cut(names[0], 60), middle, foot + 28, "middle"))
        shapes.append(_text(cut(names[1], 30), 10, foot / 2, "middle", turned))
        return self._whole(shapes, title, _NAMES)

    def drawn_by_rows(self, shapes: Sequence[str], title: str) -> str:
        """The picture with labels below, and vertical lines above them."""
        foot = _pixel(self._height - _BOTTOM)
        grid = _grid(f"M{self.x(tick)} {_pixel(_TOP)}V{foot}" for tick in self._x.ticks())
        return self._whole([grid, *self._below(), *shapes], title)

    def _below(self) -> list[str]:
        foot, ticks = self._height - _BOTTOM + 13, self._x.ticks()
        labels = numbers(ticks)
        needed = _CHARACTER * sum(map(len, labels)) * 1.2
        stride = max(1, math.ceil(needed / (self._width - self._left - _RIGHT)))  # of long labels, as many as fit
        drawn = list(zip(labels, ticks, strict=True))[::stride]
        return [_text(label, float(self.x(tick)), foot, "middle") for label, tick in drawn]

    def _whole(self, shapes: Sequence[str], title: str, below: int = 0) -> str:
        width, height = self._width, self._height + below
        return (
            f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'style="max-width: 100%; height: auto; overflow: visible"><title>{html.escape(title)}</title>'
            f"{''.join(shapes)}</svg>"
        )


def _dots(frame: _Frame, dots: Sequence[Dot], bold: str = BRIGHT_BLUE, other: str = BRIGHT_GREY) -> str:
    paths = []
    for colour, is_bold, opacity in ((other, False, 0.55), (bold, True, 0.8)):
        own = [dot for dot in dots if dot.is_bold is is_bold and not dot.is_cross]
        places = "".join(f"M{frame.x(dot.x)} {frame.y(dot.y)}h0" for dot in own)
        paths.append(_path(places, colour, 5, opacity) if places else "")
    crosses = "".join(f"M{frame.x(dot.x)} {frame.y(dot.y)}{_CROSS}" for dot in dots if dot.is_cross)
    return _path(crosses, BRIGHT_RED, 1.2) * bool(crosses) + "".join(paths)


def _grid(lines: Iterable[str]) -> str:
    return f'<path d="{"".join(lines)}" stroke="currentColor" stroke-opacity=".15" fill="none"/>'


def _path(d: str, colour: str, width: float, opacity: float = 1.0) -> str:
    return (
        f'<path d="{d}" stroke="{colour}" stroke-width="{width:g}" stroke-opacity="{opacity:g}" stroke-linecap="round" '
        f'stroke-linejoin="round" fill="none"/>'
    )


def _text(text: str, x: float, y: float, anchor: str, more: str = "") -> str:
    return (
        f'<text x="{_pixel(x)}" y="{_pixel(y)}" text-anchor="{anchor}" font-size="10" fill="currentColor" '
        f'fill-opacity=".7"{more}>{html.escape(text)}</text>'
    )


def _is_drawable(value: float) -> bool:
    """Whether a value is finite, and small enough that differences are finite too."""
    return abs(value) < _HUGE


def _pixel(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _round_step(step: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
