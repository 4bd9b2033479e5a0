"""A page of regret curves: the mean over tasks, then each task by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from raytune_hpo.plots import style
from tasks.scoring import Regrets

_COLUMNS = 3
_HEIGHT = 300  # pixels of a panel
_COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.RED, "#CC79A7", "#56B4E9", "#000000", "#8c564b")


def write(path: Path, regrets: Regrets, *, ours: Sequence[str], tasks: Sequence[str], num_trials: int) -> None:
    """Write one HTML file with everything in it. Peers' lines are dashed.

    Raises:
        HpoError: plotly is not installed.
    """
    titles = [f"mean of {len(tasks)} tasks", *tasks]
    num_rows = -(-len(titles) // _COLUMNS)
    figure = style.plotly("subplots").make_subplots(
        rows=num_rows,
        cols=_COLUMNS,
        subplot_titles=titles,
        vertical_spacing=0.2 / num_rows,
        horizontal_spacing=0.05,
    )
    for number, (name, by_task) in enumerate(regrets.items()):
        line = {"color": _COLOURS[number % len(_COLOURS)], "dash": "solid" if name in ours else "dash", "width": 2}
        for place, task in enumerate([None, *tasks]):
            curve = _curve(by_task, tasks if task is None else [task], num_trials)
            if curve is not None:
                trace = {"x": np.arange(1, len(curve) + 1), "y": curve, "name": name, "legendgroup": name}
                figure.add_scatter(
                    **trace,
                    mode="lines",
                    line=line,
                    showlegend=place == 0,
                    row=place // _COLUMNS + 1,
                    col=place % _COLUMNS + 1,
                )
    figure.update_layout(
        template="plotly_white", height=_HEIGHT * num_rows + 120, title="Normalised regret after so many trials"
    )
    figure.update_yaxes(rangemode="tozero")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(path)


def _curve(by_task: Mapping[str, Sequence[np.ndarray]], tasks: Sequence[str], num_trials: int) -> np.ndarray | None:
    """The mean over tasks of the mean over runs; None where some task has no run of that length."""
    means = []
    for task in tasks:
        runs = [run[:num_trials] for run in by_task.get(task, ()) if len(run) >= num_trials]
        if not runs:
            return None
        means.append(np.mean(runs, axis=0))
    return np.mean(means, axis=0)
