"""Figures of experiments: the progress of repeated searches over time. Pure functions; each experiment has a colour.

Each task has its own panel, since results on one task say nothing about another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.display.text import number
from raytune_hpo.goals import Goal
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.experiments import Experiment

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.RED, style.PURPLE, style.GREY)
_DASHES = ("solid", "dash", "dot")  # once the colours are used up
_ARM_COLOURS = ("#0072B2", "#56A5D8", "#A6CEE8", "#D55E00", "#EB8B4A", "#F6C29B", "#009E73", "#CC79A7", "#E69F00")
_POINTS = 240  # of a line
_BANDED = 4  # experiments in one panel, up to which their bands can be told apart
_BESIDE = 3  # experiments whose names fit beside the title
_NAME_PX, _NAMES_IN_A_ROW = 22, 2  # of those that do not
_NO_ARM = "random"  # the label of trials that no arm suggested
_BINS = 24  # of the time axis, in which the suggestions of arms are counted


def best_with_time(experiments: Sequence[Experiment]) -> Any:
    """The best value over time: the median repeat, and the band from the 10th to the 90th percentile."""
    titles = (
        "best {metric} so far on {task}: the median, and 80% of repeats",
        "best {metric} so far on {task}: the median",
    )

    def draw(panel: _TaskPanel) -> None:
        values: list[Array] = []
        for experiment in panel.experiments:
            low, middle, high = experiment.summary.best_so_far(panel.times.tolist()).values()
            panel.add(experiment.name, looks[experiment.name], middle, low, high, "%{y:.6g}")
            # The axis shows the range of most values, since those of the first minutes may be far off.
            times = np.linspace(0.0, experiment.longest_s, _POINTS).tolist()
            values += experiment.summary.best_so_far(times).values()
        goal = Goal(panel.experiments[0].metric, panel.experiments[0].mode)
        panel.figure.update_yaxes(**style.value_axis(np.concatenate(values), goal), **panel.place)
        targets = {target for e in panel.experiments if (target := e.plan.until.goal) is not None}
        for target in targets:
            line = {"color": "#5b6370", "width": 1, "dash": "dot"}
            text = {"annotation_text": f"goal {number(target)}", "annotation_position": "bottom right"}
            panel.figure.add_hline(target, line=line, **text, annotation_font_size=12, **panel.place)

    looks = _looks(experiments)
    return _by_task(experiments, titles, draw)


def share_with_time(experiments: Sequence[Experiment]) -> Any:
    """The share of repeats that have reached the goal, over time, with a 95 % interval."""
    titles = (
        "repeats that reached the goal on {task}, and the 95% interval",
        "repeats that reached the goal on {task}",
    )

    def draw(panel: _TaskPanel) -> None:
        for experiment in panel.experiments:
            rate, low, high = np.array([experiment.summary.success_rate(time) for time in panel.times]).T
            panel.add(experiment.name, looks[experiment.name], rate, low, high, "%{y:.0%}")

    looks = _looks(experiments)
    with_goal = [experiment for experiment in experiments if experiment.plan.until.goal is not None]
    if not with_goal:
        return style.nothing("no experiment has a goal")
    figure = _by_task(with_goal, titles, draw)
    figure.update_yaxes(range=[-0.02, 1.02], tickformat=".0%", title="share of repeats")
    return figure


def turns_of_arms(experiments: Sequence[Experiment]) -> Any:
    """The share of each arm in the suggestions of all repeats, over time."""
    armed = [experiment for experiment in experiments if experiment.summary.turns_of_arms()]
    if not armed:
        return style.nothing("no sampler of these has arms")
    figure = style.panels(
        [f"{experiment.name}: whose turn it was" for experiment in armed], height=360, between=style.WIDE
    )
    named = {arm for experiment in armed for arm in experiment.summary.turns_of_arms()}
    names = [*sorted(named - {_NO_ARM}), *({_NO_ARM} & named)]
    for panel, experiment in enumerate(armed):
        frame = experiment.to_dataframe()
        unit, unit_name = style.time_axis(experiment.longest_s)
        edges = np.linspace(0.0, experiment.longest_s, _BINS + 1)
        middles = (edges[:-1] + edges[1:]) / 2 / unit
        counts = np.array([np.histogram(frame.loc[frame["arm"] == arm, "total_s"], edges)[0] for arm in names], float)
        shares = counts / np.maximum(counts.sum(axis=0), 1.0)
        for index, arm in enumerate(names):
            if counts[index].any():
                colour = "#c9ced6" if arm == _NO_ARM else _ARM_COLOURS[index % len(_ARM_COLOURS)]
                trace = style.plotly().Bar(
                    x=middles, y=shares[index], name=arm, legendgroup=arm,
                    marker={"color": colour, "line": {"width": 0}}, hovertemplate=f"{arm}: %{{y:.0%}}<extra></extra>",
                )  # fmt: skip
                figure.add_trace(trace, **style.place(panel, 1))
        figure.update_layout(barmode="stack", bargap=0.06)
        figure.update_xaxes(title=f"{unit_name} of trials and thinking", **style.place(panel, 1))
    figure.update_yaxes(range=[0, 1], tickformat=".0%", title="share of trials")
    return style.name_once(figure)


# ---------------------------------------------------------------------------------------------- panels


@dataclass(frozen=True, kw_only=True)
class _TaskPanel:
    """The panel of one task.

    Attributes:
        place: plotly's row and column.
        times: (n,) seconds at which lines have points.
        unit: seconds of one step on the time axis.
    """

    figure: Any
    place: Mapping[str, int]
    experiments: Sequence[Experiment]
    times: Array
    unit: float

    def add(self, name: str, look: Mapping[str, Any], y: Array, low: Array, high: Array, shown: str) -> None:
        """A line through ``y`` and, where there are few lines, the band from ``low`` to ``high`` around it, all (n,).

        Args:
            shown: plotly's format of a value.
        """
        x = self.times / self.unit
        if len(self.experiments) <= _BANDED:
            known = np.isfinite(low) & np.isfinite(high)
            red, green, blue = (int(look["color"][i : i + 2], 16) for i in (1, 3, 5))
            band = style.plotly().Scatter(
                x=np.concatenate([x[known], x[known][::-1]]), y=np.concatenate([high[known], low[known][::-1]]),
                fill="toself", mode="none", fillcolor=f"rgba({red}, {green}, {blue}, 0.13)", hoverinfo="skip",
                showlegend=False, name=name,
            )  # fmt: skip
            self.figure.add_trace(band, **self.place)
        line = style.plotly().Scatter(
            x=x, y=y, mode="lines", name=name, legendgroup=name, line={**look, "shape": "hv"},
            hovertemplate=f"{name}<br>%{{x:.3g}}: {shown}<extra></extra>",
        )  # fmt: skip
        self.figure.add_trace(line, **self.place)


def _by_task(experiments: Sequence[Experiment], titles: tuple[str, str], draw: Callable[[_TaskPanel], None]) -> Any:
    """A figure with a panel for each task; tasks with the same name and different metrics are different tasks.

    Args:
        titles: the title of a panel with bands, and of one without.
    """
    groups: dict[tuple[str, str], list[Experiment]] = {}
    for experiment in experiments:
        if len(experiment):
            groups.setdefault((experiment.task, experiment.metric), []).append(experiment)
    if not groups:
        return style.nothing("no repeat has ended yet")
    said = [titles[len(group) > _BANDED].format(task=task, metric=metric) for (task, metric), group in groups.items()]
    figure = style.panels(said, height=400, between=style.WIDE)
    for index, group in enumerate(groups.values()):
        longest = max(experiment.longest_s for experiment in group)
        unit, unit_name = style.time_axis(longest)
        times, place = np.linspace(0.0, longest, _POINTS), style.place(index, 1)
        draw(_TaskPanel(figure=figure, place=place, experiments=group, times=times, unit=unit))
        figure.update_xaxes(title=f"{unit_name} of trials and thinking", range=[0, longest / unit], **place)
    figure.update_layout(showlegend=True)
    if len(experiments) > _BESIDE:
        added = _NAME_PX * -(-len(experiments) // _NAMES_IN_A_ROW)
        below = {"x": 0.0, "xanchor": "left", "y": 0.0, "yanchor": "bottom", "yref": "container", "xref": "container"}
        figure.update_layout(legend=below, height=figure.layout.height + added, margin_b=figure.layout.margin.b + added)
    return style.name_once(figure)


def _looks(experiments: Sequence[Experiment]) -> dict[str, dict[str, Any]]:
    """A line's colour and dashes for each experiment by its name, the same in all figures of the same experiments."""
    return {
        experiment.name: {
            "color": COLOURS[i % len(COLOURS)],
            "dash": _DASHES[i // len(COLOURS) % len(_DASHES)],
            "width": 2.5,
        }
        for i, experiment in enumerate(experiments)
    }
