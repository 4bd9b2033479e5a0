"""The figure of a population: which segment continued which, and the resulting schedule of settings."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.lineage import lineage_of
from raytune_hpo.analysis.tried import TriedParameter
from raytune_hpo.display.status import STATUSES
from raytune_hpo.facts import Status
from raytune_hpo.plots import style
from raytune_hpo.trial import Trial, member_of

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_LANE, _LEAST, _MOST = 16, 120, 640  # pixels of a member, and of all of them
_SCHEDULE = 150  # pixels of the panel of a parameter
_MOST_SCHEDULES = 8
_MUTED = {"color": "#9fb3c4", "width": 1.5}
_LEADING = {"color": style.ORANGE, "width": 3}


def lineage_plot(results: Results, number: int | None = None) -> Any:
    """The members of a population by step, and below each parameter's schedule; one trial's lineage stands out.

    Raises:
        SpecError: there is no such trial.
    """
    segments = _segments(results)
    if not segments:
        return style.nothing("no sampler of populations (pbt, pb2) suggested these trials")
    best = results.best_trials[:1] or [trial for trial in [results.best_so_far] if trial is not None]
    if number is None and best:
        number = best[0].number
    chain = [] if number is None else lineage_of(results.trials, number)
    parameters = results.tried.parameters[:_MOST_SCHEDULES]
    shown = style.note_on_parameters(len(parameters), len(results.tried.parameters))
    slots = list(segments.values())
    heights = [int(np.clip(_LANE * (max(slots) + 1), _LEAST, _MOST)), *[_SCHEDULE] * len(parameters)]
    leading = "" if number is None else f"; orange leads to trial {number}"
    titles = [f"segments of {max(slots) + 1} members{leading}{shown}", *[p.name for p in parameters]]
    figure = style.panels_of_heights(titles, heights, shared_xaxes=True)
    for trace in _tree(results, segments, chain):
        figure.add_trace(trace, row=1, col=1)
    figure.update_yaxes(title="member", range=[max(slots) + 0.6, -0.6], showgrid=False, row=1, col=1)
    for row, parameter in enumerate(parameters, start=2):
        for trace in _schedule(results, parameter, list(segments), chain):
            figure.add_trace(trace, row=row, col=1)
        axis = style.parameter_axis(parameter, title=False, is_upright=True)
        figure.update_yaxes(**axis, row=row, col=1)
    figure.update_xaxes(showticklabels=True, row=1, col=1)
    figure.update_xaxes(title="step", row=1 + len(parameters), col=1)
    return style.name_once(figure)


def _segments(results: Results) -> dict[int, int]:
    """The slot of each trial that is a segment and has reported, by its number."""
    population = results.spec.sampler.options.get("population", 0)
    has_members = any(trial.slot is not None for trial in results)
    slots = ((t.number, member_of(t, population)) for t in results if has_members and t.last_step is not None)
    return {number: slot for number, slot in slots if slot is not None}


def _begin(results: Results, trial: Trial) -> int:
    """The step at which a segment begins: where the one before ended."""
    return 0 if trial.parent is None else results[trial.parent].last_step or 0


def _tree(results: Results, segments: dict[int, int], chain: Sequence[Trial]) -> list[Any]:
    """A line for each segment; one that has copied another member's begins there."""
    leading = [trial for trial in chain if trial.number in segments]
    lines = [("segments", [results[number] for number in segments], _MUTED, 5)]
    lines += [("lineage", leading, _LEADING, 7)] if leading else []
    traces = [_lines(results, segments, *line) for line in lines]
    lost = [results[number] for number in segments if results[number].status is Status.FAILED]
    if lost:
        steps, lanes = [trial.last_step for trial in lost], [segments[trial.number] for trial in lost]
        mark = STATUSES[Status.FAILED].mark
        traces.append(style.dots("failed", lost, steps, lanes, results.goals, marker={**mark, "size": 8}))
    return traces


def _lines(
    results: Results, segments: dict[int, int], name: str, trials: Sequence[Trial], line: dict[str, Any], size: int
) -> Any:
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    for trial in trials:
        slot, begin = segments[trial.number], _begin(results, trial)
        donor = slot if trial.parent is None else segments.get(trial.parent, slot)
        x += [begin, begin, trial.last_step, None]
        y += [donor, slot, slot, None]
        texts += ["", "", style.hover(trial, results.goals), ""]
    ends = [0 if place % 4 != 2 else size for place in range(len(x))]
    return style.plotly().Scatter(
        x=x,
        y=y,
        text=texts,
        mode="lines+markers",
        name=name,
        legendgroup=name,
        line=line,
        marker={"size": ends, "color": line["color"], "line": {"width": 0}},
        connectgaps=False,
        hovertemplate="%{text}<extra></extra>",
    )


def _schedule(results: Results, parameter: TriedParameter, numbers: Sequence[int], chain: Sequence[Trial]) -> list[Any]:
    """The parameter's values by step, of all segments and of the lineage."""
    name = html.escape(parameter.name)
    among = set(numbers)
    leading = [trial.number for trial in chain if trial.number in among]
    traces = []
    for label, chosen, line in (("segments", numbers, _MUTED), ("lineage", leading, _LEADING)):
        if not chosen:
            continue
        values = parameter.numbers[list(chosen)]
        begins = [_begin(results, results[number]) for number in chosen]
        ends = [results[number].last_step for number in chosen]
        gap = [] if label == "lineage" else [None]  # the lineage is one line, the segments are many
        traces.append(
            style.plotly().Scatter(
                x=[step for begin, end in zip(begins, ends, strict=True) for step in (begin, end, *gap)],
                y=[value for v in values for value in (v, v, *gap)],
                mode="lines",
                name=label,
                legendgroup=label,
                line=line,
                connectgaps=False,
                hovertemplate=f"{name} = %{{y}} up to step %{{x}}<extra></extra>",
            )
        )
    return traces
