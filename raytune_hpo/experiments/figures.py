"""Figures of experiments: how repeated searches got on with time. Pure functions; each experiment has a colour.

One panel for each task: what is better on one says nothing about another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.display.text import number
from raytune_hpo.goals import Goal
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.experiments import Experiment

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.RED, style.PURPLE, style.GREY)
_DASHES = ("solid", "dash", "dot")  # once the colours are used up
_POINTS = 240  # of a line
_BANDED = 4  # experiments in one panel, up to which their bands can be told apart
_BESIDE = 3  # experiments whose names fit beside the title
_NAME_PX, _NAMES_IN_A_ROW = 22, 2  # of those that do not
_NO_ARM = "random"  # what stands for an arm where none had a hand in it
_BINS = 24  # of the time, in which the turns of arms are counted

_Looks = Mapping[str, Mapping[str, Any]]  # of lines, by the names of experiments
_Drawn = Callable[[Any, "Experiment", np.ndarray, float, Mapping[str, Any], bool], None]


def best_so_far(experiments: Sequence[Experiment]) -> Any:
    """The best value with time: the median repeat, and the band between the 10th and the 90th in a hundred."""
    titles = (
        "best {metric} so far on {task}: the median, and 80% of repeats",
        "best {metric} so far on {task}: the median",
    )
    figure = _by_task(experiments, _looks(experiments), _add_best, titles)
    for panel, group in enumerate(_groups(experiments)):
        for goal in {goal for experiment in group if (goal := experiment.plan.until.goal) is not None}:
            line = {"color": "#5b6370", "width": 1, "dash": "dot"}
            text = {"annotation_text": f"goal {number(goal)}", "annotation_position": "bottom right"}
            figure.add_hline(goal, line=line, **text, annotation_font_size=12, **style.place(panel, 1))
    return figure


def reached(experiments: Sequence[Experiment]) -> Any:
    """The share of repeats that had reached the goal, with time and a 95 % interval."""
    asked = [experiment for experiment in experiments if experiment.plan.until.goal is not None]
    if not asked:
        return style.nothing("no experiment has a goal")
    titles = (
        "repeats that reached the goal on {task}, and the 95% interval",
        "repeats that reached the goal on {task}",
    )
    figure = _by_task(asked, _looks(experiments), _add_reached, titles)
    figure.update_yaxes(range=[-0.02, 1.02], tickformat=".0%", title="share of repeats")
    return figure


def arms(experiments: Sequence[Experiment]) -> Any:
    """Whose turn it was with time: the share of each arm in the suggestions of all repeats."""
    armed = [experiment for experiment in experiments if experiment.summary.turns_of_arms()]
    if not armed:
        return style.nothing("no sampler of these has arms")
    figure = style.panels(
        [f"{experiment.name}: whose turn it was" for experiment in armed], height=360, between=style.WIDE
    )
    named = {arm for experiment in armed for arm in experiment.summary.turns_of_arms()}
    names = [*sorted(named - {_NO_ARM}), *({_NO_ARM} & named)]
    for panel, experiment in enumerate(armed):
        _add_arms(figure, panel, experiment, names)
    figure.update_yaxes(range=[0, 1], tickformat=".0%", title="share of trials")
    return style.name_once(figure)


# ---------------------------------------------------------------------------------------------- panels


def _groups(experiments: Sequence[Experiment]) -> list[list[Experiment]]:
    """Those of the same task together, if they have a repeat; a task whose metric is another is another one."""
    groups: dict[tuple[str, str], list[Experiment]] = {}
    for experiment in experiments:
        if len(experiment):
            groups.setdefault((experiment.task, experiment.metric), []).append(experiment)
    return list(groups.values())


def _by_task(experiments: Sequence[Experiment], looks: _Looks, add: _Drawn, titles: tuple[str, str]) -> Any:
    """A panel for each task, into which each of its experiments is drawn.

    Args:
        titles: of a panel with bands, and of one without.
    """
    groups = _groups(experiments)
    if not groups:
        return style.nothing("no repeat has ended yet")
    said = [titles[len(g) > _BANDED].format(task=g[0].task, metric=g[0].metric) for g in groups]
    figure = style.panels(said, height=400, between=style.WIDE)
    for panel, group in enumerate(groups):
        longest = max(experiment.longest_s for experiment in group)
        unit, name = style.time_axis(longest)
        for experiment in group:
            times = np.linspace(0.0, longest, _POINTS)
            traces = _Panel(figure, panel)
            add(traces, experiment, times, unit, looks[experiment.name], len(group) <= _BANDED)
        figure.update_xaxes(title=f"{name} of trials and thinking", range=[0, longest / unit], **style.place(panel, 1))
        if add is _add_best:
            _set_value_axis(figure, panel, group)
    figure.update_layout(showlegend=True)
    if len(experiments) > _BESIDE:
        _put_names_below(figure, len(experiments))
    return style.name_once(figure)


def _put_names_below(figure: Any, num: int) -> None:
    """Where the names of many lines have room."""
    added = _NAME_PX * -(-num // _NAMES_IN_A_ROW)
    figure.update_layout(
        legend={"x": 0.0, "xanchor": "left", "y": 0.0, "yanchor": "bottom", "yref": "container", "xref": "container"},
        height=figure.layout.height + added,
        margin_b=figure.layout.margin.b + added,
    )


class _Panel:
    """Adds traces to one panel."""

    def __init__(self, figure: Any, panel: int) -> None:
        self._figure, self._at = figure, style.place(panel, 1)

    def line(self, name: str, x: np.ndarray, y: np.ndarray, look: Mapping[str, Any], **more: Any) -> None:
        trace = style.plotly().Scatter(x=x, y=y, mode="lines", name=name, legendgroup=name, line=dict(look), **more)
        self._figure.add_trace(trace, **self._at)

    def band(self, name: str, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str) -> None:
        known = np.isfinite(low) & np.isfinite(high)
        x, low, high = x[known], low[known], high[known]
        trace = style.plotly().Scatter(
            x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself", mode="none",
            fillcolor=_pale(colour), hoverinfo="skip", showlegend=False, name=name,
        )  # fmt: skip
        self._figure.add_trace(trace, **self._at)


def _add_best(
    panel: _Panel, experiment: Experiment, times: np.ndarray, unit: float, look: Mapping[str, Any], is_banded: bool
) -> None:
    low, middle, high = experiment.summary.best_so_far(times.tolist()).values()
    if is_banded:
        panel.band(experiment.name, times / unit, low, high, look["color"])
    hover = f"{experiment.name}<br>%{{x:.3g}}: %{{y:.6g}}<extra></extra>"
    panel.line(experiment.name, times / unit, middle, {**look, "shape": "hv"}, hovertemplate=hover)


def _add_reached(
    panel: _Panel, experiment: Experiment, times: np.ndarray, unit: float, look: Mapping[str, Any], is_banded: bool
) -> None:
    rates = np.array([experiment.summary.success_rate(time) for time in times])
    if is_banded:
        panel.band(experiment.name, times / unit, rates[:, 1], rates[:, 2], look["color"])
    hover = f"{experiment.name}<br>%{{x:.3g}}: %{{y:.0%}}<extra></extra>"
    panel.line(experiment.name, times / unit, rates[:, 0], {**look, "shape": "hv"}, hovertemplate=hover)


def _add_arms(figure: Any, panel: int, experiment: Experiment, names: Sequence[str]) -> None:
    """Areas on top of each other."""
    frame = experiment.to_dataframe()
    unit, name = style.time_axis(experiment.longest_s)
    edges = np.linspace(0.0, experiment.longest_s, _BINS + 1)
    counts = np.array([np.histogram(frame.loc[frame["arm"] == arm, "total_s"], edges)[0] for arm in names], dtype=float)
    shares = counts / np.maximum(counts.sum(axis=0), 1.0)
    middles = (edges[:-1] + edges[1:]) / 2 / unit
    for index, arm in enumerate(names):
        if counts[index].any():
            colour = "#c9ced6" if arm == _NO_ARM else _ARMS[index % len(_ARMS)]
            trace = style.plotly().Bar(
                x=middles, y=shares[index], name=arm, legendgroup=arm, marker={"color": colour, "line": {"width": 0}},
                hovertemplate=f"{arm}: %{{y:.0%}}<extra></extra>",
            )  # fmt: skip
            figure.add_trace(trace, **style.place(panel, 1))
    figure.update_layout(barmode="stack", bargap=0.06)
    figure.update_xaxes(title=f"{name} of trials and thinking", **style.place(panel, 1))


# ---------------------------------------------------------------------------------------------- looks


_ARMS = ("#0072B2", "#56A5D8", "#A6CEE8", "#D55E00", "#EB8B4A", "#F6C29B", "#009E73", "#CC79A7", "#E69F00")


def _looks(experiments: Sequence[Experiment]) -> dict[str, dict[str, Any]]:
    """A line's colour and dashes for each experiment, the same in all figures of the same experiments."""
    return {
        experiment.name: {
            "color": COLOURS[i % len(COLOURS)],
            "dash": _DASHES[i // len(COLOURS) % len(_DASHES)],
            "width": 2.5,
        }
        for i, experiment in enumerate(experiments)
    }


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.13)"


def _set_value_axis(figure: Any, panel: int, group: Sequence[Experiment]) -> None:
    """Where most of the lines are: what came in the first minutes may be far off."""
    values = np.concatenate([_levels(experiment) for experiment in group])
    goal = Goal(group[0].metric, group[0].mode)
    figure.update_yaxes(**style.value_axis(values, goal), **style.place(panel, 1))


def _levels(experiment: Experiment) -> np.ndarray:
    times = np.linspace(0.0, experiment.longest_s, _POINTS).tolist()
    return np.concatenate(list(experiment.summary.best_so_far(times).values()))
