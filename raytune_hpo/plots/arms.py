"""The arms of a portfolio: how often each had its turn, and where it found something better than all before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.best import improvements, losses_of
from raytune_hpo.plots import style
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results


def arms(results: Results) -> Any:
    """A rising line for each arm, with a star at each of its trials that was the best so far."""
    marks = style.arm_marks(results.arms)
    if not marks:
        return style.nothing("no sampler with arms suggested these trials")
    metric = results.goals[0].metric
    figure = style.panels([f"trials suggested by each arm; stars were the best {metric} so far"])
    better = improvements(losses_of(results.trials, len(results.goals))[:, 0])
    for arm, mark in marks.items():
        own = [trial for trial in results if trial.arm == arm]
        figure.add_trace(_line(arm, own, len(results), mark))
    stars = [results[index] for index in better if results[index].arm is not None]
    if stars:
        figure.add_trace(_stars(stars, _counts(results), results))
    figure.update_xaxes(title="trial", **style.count_axis(len(results)))
    figure.update_yaxes(title="suggested", rangemode="tozero", **style.count_axis(max(results.arms.values())))
    return style.name_once(figure)


def _line(arm: str, own: Sequence[Trial], end: int, mark: Mapping[str, Any]) -> Any:
    """How many trials an arm has suggested up to each number, drawn to the last trial."""
    numbers = np.array([trial.number for trial in own])
    return style.plotly().Scatter(
        x=[numbers[0], *numbers, end - 1],
        y=[0, *range(1, len(own) + 1), len(own)],
        mode="lines",
        name=style.arm_name(arm),
        legendgroup=arm,
        line={"color": mark["color"], "width": 2.5, "shape": "hv"},
        hovertemplate=f"{style.arm_name(arm)}: %{{y}} up to trial %{{x}}<extra></extra>",
    )


def _counts(results: Results) -> dict[int, int]:
    """How many trials the arm of each trial had suggested, itself included, by the trials' numbers."""
    seen: dict[str, int] = {}
    found = {}
    for trial in results:
        if trial.arm is not None:
            seen[trial.arm] = found[trial.number] = seen.get(trial.arm, 0) + 1
    return found


def _stars(trials: Sequence[Trial], counts: Mapping[int, int], results: Results) -> Any:
    return style.dots(
        "best so far",
        trials,
        [trial.number for trial in trials],
        [counts[trial.number] for trial in trials],
        results.goals,
        marker={**style.BEST_MARK, "size": 11},
    )
