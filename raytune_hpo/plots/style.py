"""The style of all figures: colours, fonts, panels, axes, points; and the one place that imports plotly."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from importlib import import_module
from math import ceil, floor, log10
from textwrap import wrap
from typing import Any

import numpy as np

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.analysis.series import AxisRange, axis_range
from raytune_hpo.analysis.tried import TriedParameter
from raytune_hpo.display.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, RED
from raytune_hpo.display.status import STATUSES
from raytune_hpo.display.text import cut, cut_apart, number, short
from raytune_hpo.errors import HpoError
from raytune_hpo.goals import Goal
from raytune_hpo.trial import Trial

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "PURPLE", "RED"]  # others draw in these colours too

SCALE = ((0.0, "#d9e3ec"), (0.35, "#8fbbd9"), (0.7, "#2f7fb8"), (1.0, "#08306b"))  # light to dark in one hue
PALE_RED = "#e7b59a"  # lines that break a constraint
BEST_MARK = {"color": ORANGE, "symbol": "star", "size": 14, "line": {"color": "#5c4000", "width": 1}}
_ARM_COLOURS = (BLUE, GREEN, PURPLE, "#56B4E9", "#5b3a8e", "#8c6d00", "#3d4350")
_ARM_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "pentagon", "hexagram", "star-square")
MOST = 4_000  # points of a figure: more make a browser slow, and no picture clearer
_FEWEST = 200  # points of a panel
_SMALL = 800  # points from which on they are drawn small, with short hover texts
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_LEGEND = {"orientation": "h", "x": 1, "xanchor": "right", "yref": "container", "yanchor": "top"}
LEGEND_TOP = 34  # pixels: beside the first panel's title, below the row where plotly shows its buttons
_TOP, _FOOT, _BETWEEN = 64, 60, 76  # pixels above, below and between the panels
_CAPTION, TITLE = 34, 22  # pixels that a title above all panels takes, and one above a panel
WIDE = 104  # between panels whose axes have titles
_AXIS = {
    "gridcolor": "#eceef2",
    "linecolor": "#d5d9e0",
    "showline": True,
    "tickcolor": "#d5d9e0",
    "zeroline": False,
    "ticks": "outside",
    "exponentformat": "power",
    "minexponent": 6,  # 20,000 rather than 0.2 times a power of ten
    "separatethousands": True,
    "automargin": True,
    "title": {"font": {"size": 14}, "standoff": 10},
}
_ROWS_OF_LABELS = {1: 90, 2: 46, 3: 30}  # characters below a panel, by the number of columns of panels
_SHORTEST, _LONGEST, _UPRIGHT = 5, 16, 10  # characters of a label below a panel, and of one beside it
_CROWDED = 3  # columns of panels from which on names and ticks are shortened
_LINE, _CAPTION_LINE = 90, 80  # characters of a line of text in a figure, and of one beside plotly's buttons
_FEW_DECADES, _PART_OF_A_DECADE = 1.3, 0.6
_JITTER = 0.22  # to either side of an option's place
_TURNS = (0.7548776662466927, 0.5698402909980532)  # Roberts 2018: the R2 sequence, the golden ratio's analogue in 2-d
_UNITS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"), (1e-3, "ms"))


def plotly(module: str = "graph_objects") -> Any:
    """A module of plotly.

    Raises:
        HpoError: it is not installed.
    """
    try:
        return import_module(f"plotly.{module}")
    except ImportError as error:
        raise HpoError('plots need plotly, which is not installed: pip install "raytune_hpo[plots]"') from error


# ---------------------------------------------------------------------------------------------- panels


def panels(
    titles: Sequence[str],
    *,
    height: int = 380,
    cols: int = 1,
    between: int = _BETWEEN,
    beside: float = 0.28,
    **more: Any,
) -> Any:
    """An empty figure with panels below each other, or in ``cols`` columns.

    Args:
        height: the height of a row with its surroundings, in pixels.
        between: pixels between rows: for ticks, the title of the next row, and titles of axes if there are any.
        beside: the share of the width between columns.
        more: further arguments of plotly's make_subplots.
    """
    rows = -(-len(titles) // cols)
    gap = beside / cols
    spacing = {"vertical_spacing": min(between / (rows * height - _TOP - _FOOT), 0.5 / rows), "horizontal_spacing": gap}
    figure = plotly("subplots").make_subplots(
        rows=rows, cols=cols, subplot_titles=[html.escape(title) for title in titles], **spacing, **more
    )
    figure.update_layout(
        template={"layout": {"xaxis": _AXIS, "yaxis": _AXIS}},
        height=rows * height,
        margin={"l": 80, "r": 24, "t": _TOP, "b": _FOOT},
        font={"family": _FONT, "size": 14, "color": "#22262e"},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hoverlabel={"align": "left", "font": {"family": _FONT, "size": 13}},
        legend={**_LEGEND, "y": 1 - LEGEND_TOP / (height * rows)},
    )
    # Titles stand at the left; make_subplots has centred each over its panel.
    width = (1 - gap * (cols - 1)) / cols
    for annotation in figure.layout.annotations:
        annotation.update(x=annotation.x - width / 2, xanchor="left", font={"family": _FONT, "size": 15 - (cols > 1)})
    return figure


def panels_of_heights(titles: Sequence[str], heights: Sequence[int], *, between: int = _BETWEEN, **more: Any) -> Any:
    """An empty figure with panels below each other, of these heights in pixels."""
    whole = sum(heights) + between * (len(heights) - 1) + _TOP + _FOOT
    return panels(titles, row_heights=list(heights), height=-(-whole // len(heights)), between=between, **more)


def retitle(figure: Any, panel: int, title: str) -> None:
    """Change the title of a panel, counted from 0."""
    figure.layout.annotations[panel].text = html.escape(title)


def nothing(why: str) -> Any:
    """A figure without data, whose title gives the reason."""
    figure = panels([why], height=200)
    lines = "<br>".join(map(html.escape, wrap(why, _LINE)))
    figure.layout.annotations[0].update(text=lines, yanchor="top", align="left")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def place(panel: int, cols: int) -> dict[str, int]:
    """The row and the column of a panel, both counted from 1; panels are counted from 0."""
    return {"row": panel // cols + 1, "col": panel % cols + 1}


def note_on_trials(shown: int, total: int) -> str:
    """The note in a title about trials that were left out; empty if all are drawn."""
    return "" if shown >= total else f" ({shown:,} of {total:,} trials: the best, and others from all over the study)"


def note_on_outside(num: int) -> str:
    """The note in a title about values that are too far away to be inside the axes; empty if all are inside."""
    said = (
        f"{num:,} far worse ones lie outside: double-click to see them"
        if num > 1
        else "a far worse one lies outside: double-click to see it"
    )
    return f" ({said})" if num else ""


def note_on_parameters(shown: int, total: int) -> str:
    """The note in a title about parameters that were left out; empty if all are drawn."""
    return "" if shown >= total else f" ({shown} of {total} parameters)"


def caption_height(num_lines: int) -> int:
    """The pixels that a title above all panels takes."""
    return _CAPTION + 20 * (num_lines - 1)


def caption(figure: Any, text: str) -> None:
    """A title above all panels, and room for it; a long one is broken into lines, or it would lie under the buttons."""
    lines = wrap(text, _CAPTION_LINE)
    added = caption_height(len(lines))
    title = {"text": "<br>".join(map(html.escape, lines)), "font": {"size": 15}, "x": 0.012, "xanchor": "left"}
    title |= {"yanchor": "top", "yref": "container", "y": 1 - 14 / (figure.layout.height + added)}
    figure.update_layout(title=title, height=figure.layout.height + added, margin_t=_TOP + added)
    figure.update_layout(legend_y=1 - (LEGEND_TOP + 4) / figure.layout.height)


# ---------------------------------------------------------------------------------------------- axes


def metric_axis(goal: Goal, shown: AxisRange | None) -> dict[str, Any]:
    """An axis for a metric over the given range; None leaves the range to plotly."""
    title = {"title": {"text": html.escape(cut(goal.metric, 40))}}
    if shown is None:
        return title
    if shown.is_log:
        return {**title, **log_ticks(shown.low, shown.high)}
    return {**title, "range": [shown.low, shown.high]}


def value_axis(values: np.ndarray, goal: Goal, *, is_log: bool = False) -> dict[str, Any]:
    """An axis for values of a metric that are not those of one study's trials.

    Args:
        is_log: the axis of the same metric in another figure is logarithmic.
    """
    known = values[np.isfinite(values)]
    if is_log and len(known) and known.min() > 0:
        low, high = float(known.min()), float(known.max())
        return metric_axis(goal, AxisRange(low, high, is_log=True) if high > low else None) | {"type": "log"}
    return metric_axis(goal, axis_range(values, goal))


def log_ticks(low: float, high: float, *, intervals: int = 5) -> dict[str, Any]:
    """A log axis: labels at powers of ten, 0.1 and 0.01, and at 2 and 5 times one only if there are few of them.

    Args:
        intervals: the most between labels at powers of ten.
    """
    powers = floor(log10(high) + 1e-9) - ceil(log10(low) - 1e-9) + 1
    decades = log10(high / low)
    ticks: dict[str, Any] = {"nticks": 5}
    if powers >= 3 or (powers == 2 and decades > _FEW_DECADES):
        ticks = {"dtick": ceil(decades / intervals)}
    elif decades > _PART_OF_A_DECADE:
        ticks = {"dtick": "D2"}
    # With a format plotly writes whole numbers; without, bare digits between powers of ten, in letters of three sizes.
    return {"type": "log", "tickangle": 0, "tickformat": "~g", "tickfont": {"size": 12}, **ticks}


def parameter_axis(
    parameter: TriedParameter, cols: int = 1, *, title: bool = True, is_upright: bool = False
) -> dict[str, Any]:
    """An axis for a parameter: logarithmic if its domain is, with names if it is a choice.

    Args:
        cols: the number of columns of panels.
    """
    named = {"title": {"text": html.escape(short_name(parameter.name, 36 if cols < _CROWDED else 24))}} if title else {}
    if parameter.labels:
        # Labels lie flat and are cut to their share of the panel: turned ones run into what is below. Hovers have all of it.
        num, row = len(parameter.labels), _ROWS_OF_LABELS[cols]
        step = -(-num // (12 if is_upright else row // _SHORTEST))  # of many, as many as can be read
        places = list(range(0, num, step))
        width = _UPRIGHT if is_upright else min(_LONGEST, row // len(places) - 1)
        return {
            **named,
            "tickvals": places,
            "ticktext": [html.escape(label) for label in cut_apart([parameter.labels[i] for i in places], width)],
            "range": [-0.6, num - 0.4],
            "tickangle": 0,
        }
    known = parameter.numbers[parameter.active]
    if parameter.is_log and len(known):
        # In a narrow panel 0.00001 runs into 0.0001; those of two parameters, whose axes have titles, are the narrowest.
        intervals = 5 if cols < _CROWDED or is_upright else 3 if title else 4
        return {**named, **log_ticks(float(known.min()), float(known.max()), intervals=intervals)}
    return named


def jittered(parameter: TriedParameter, rows: Any, *, is_upright: bool = False) -> np.ndarray:
    """The coordinates of trials: their values, or jittered around the place of an option so that none hides another.

    Args:
        is_upright: jitter for the vertical axis, so that two choices against each other fill squares, not diagonals.
    """
    values: np.ndarray = parameter.numbers[rows]
    if not parameter.labels:
        return values
    even = (rows * _TURNS[is_upright]) % 1.0  # spreads any rows evenly, and the same every time
    return np.asarray(values + _JITTER * (2 * even - 1))


def count_axis(most: float) -> dict[str, Any]:
    """An axis of counts, with ticks at whole numbers if there are few."""
    return {"dtick": 1} if most <= 12 else {}


def time_axis(longest_s: float) -> tuple[float, str]:
    """The unit for times up to this one: its length in seconds, and its name."""
    return next(((size, name) for size, name in _UNITS if longest_s >= 2 * size), _UNITS[-1])


def short_name(name: str, width: int) -> str:
    """A name shortened at its beginning, since nested names differ in their ends."""
    return name if len(name) <= width else "..." + name[3 - width :]


# ---------------------------------------------------------------------------------------------- points


def most_of_a_panel(num_panels: int) -> int:
    """The number of points drawn in each panel: together at most MOST, but enough in each."""
    return max(_FEWEST, MOST // num_panels)


def dots(
    name: str, trials: Sequence[Trial], x: Any, y: Any, goals: Sequence[Goal], *, among: int = 0, **more: Any
) -> Any:
    """A trace of trials as points, with their hover texts.

    Args:
        among: the number of points in the whole figure; many are drawn small.
        more: further arguments of plotly's Scatter.
    """
    brief = max(among, len(trials)) > _SMALL
    marker = {"size": 5 if brief else 7, **more.pop("marker", {})}
    return plotly().Scatter(
        x=np.asarray(x),
        y=np.asarray(y),
        mode="markers",
        name=name,
        legendgroup=name,
        marker=marker,
        hovertemplate="%{text}<extra></extra>",
        text=[hover(trial, goals, brief=brief) for trial in trials],
        **more,
    )


def arm_marks(arms: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A colour and a symbol for each arm; fifty-six of them differ in one or the other."""
    return {
        arm: {
            "color": _ARM_COLOURS[i % len(_ARM_COLOURS)],
            "symbol": _ARM_SYMBOLS[i % len(_ARM_SYMBOLS)],
            "opacity": 0.75,
        }
        for i, arm in enumerate(arms)
    }


def arm_name(arm: str) -> str:
    """The text of an arm in a legend."""
    return html.escape(cut(arm, 24))


def foot(figure: Any, panel: int, cols: int, trace: Any) -> None:
    """Add a trace to the foot of a panel, for trials without a value, on a separate axis from 0 to 1."""
    number = "" if panel == 0 else str(panel + 1)
    own = {"overlaying": f"y{number}", "range": [0, 1], "visible": False, "fixedrange": True}
    figure.update_layout({f"yaxis{100 + panel}": own})
    figure.add_trace(trace, **place(panel, cols))
    figure.data[-1].update(yaxis=f"y{100 + panel}")


def name_once(figure: Any) -> Any:
    """The figure with one legend entry for all traces of the same name."""
    seen: set[str] = set()
    for trace in figure.data:
        if trace.legendgroup is not None:
            trace.showlegend = trace.legendgroup not in seen
            seen.add(trace.legendgroup)
    return figure


def hover(trial: Trial, goals: Sequence[Goal], *, brief: bool = False) -> str:
    """The hover text of a trial; all text from the user is escaped."""
    head = f"<b>trial {trial.number}</b> {STATUSES[trial.status].word}" + (
        f", by {arm_name(trial.arm)}" if trial.arm else ""
    )
    if trial.violations:
        head += f", breaks {html.escape(cut(', '.join(trial.violations), 80))}"
    metrics = [f"{g.metric} = {shown(trial.metrics[g.metric])}" for g in goals if g.metric in trial.metrics]
    if brief:
        return "<br>".join([head, *map(html.escape, metrics)])
    items = list(flattened(trial.config).items())
    config = [f"{cut(name, 40)}: {short(value)}" for name, value in items[:12]]
    more = [f"... {len(items) - 12} more"] if len(items) > 12 else []
    return "<br>".join([head, *map(html.escape, [*metrics, *config, *more])])


def shown(value: Any) -> str:
    """The text of a metric's value."""
    return number(value) if isinstance(value, (int, float)) else short(value)
