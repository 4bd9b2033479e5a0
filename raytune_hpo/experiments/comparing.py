"""Comparison of several experiments, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from raytune_hpo.display.text import duration, number, table
from raytune_hpo.errors import SpecError
from raytune_hpo.experiments.archive import SPEC_FILE
from raytune_hpo.experiments.experiment import Experiment


def load_all(folders: Iterable[str | PathLike[str]]) -> list[Experiment]:
    """The experiments in folders; each folder is that of one experiment, or contains several such folders.

    Raises:
        SpecError: one of the folders has no experiment.
    """
    found: list[Experiment] = []
    for folder in map(Path, folders):
        own = (
            [folder] if (folder / SPEC_FILE).exists() else sorted(path.parent for path in folder.glob(f"*/{SPEC_FILE}"))
        )
        if not own:
            raise SpecError(
                f"no experiment in {folder}; `raytune-hpo experiment TASK REPEATS --out {folder}` makes one"
            )
        found += [Experiment.load(each) for each in own]
    return found


class Comparison:
    """Experiments in one table, one row each.

    Experiments of the same name are called by their folders too, as in ``monday/digits`` and ``tuesday/digits``.

    Args:
        experiments: those to compare.
        horizons_s: the times at which success rates are computed; empty: fractions of the shortest time limit.

    Raises:
        SpecError: an experiment has not reached one of the horizons.
    """

    def __init__(self, experiments: Sequence[Experiment], horizons_s: Sequence[float] = ()) -> None:
        self.experiments = _with_different_names(experiments)
        for experiment in experiments:
            experiment.checked(horizons_s)
        self._given = tuple(horizons_s)

    @cached_property
    def horizons_s(self) -> tuple[float, ...]:
        """The times at which success rates are computed."""
        asked = [experiment.horizons() for experiment in self.experiments if experiment.plan.until.goal is not None]
        return self._given or tuple(min(asked, key=max, default=[]))

    def to_json(self) -> dict[str, Any]:
        """All figures of the comparison, in plain JSON types."""
        return {
            "horizons_s": list(self.horizons_s),
            "experiments": [experiment.to_json(self.horizons_s) for experiment in self.experiments],
        }

    @property
    def header(self) -> list[str]:
        """The headings of the columns of ``rows``."""
        within = [f"in {duration(horizon)}" for horizon in self.horizons_s]
        return ["experiment", "repeats", "goal", *within, "to goal", "best", "trials", "thinking"]

    def rows(self) -> list[list[str]]:
        """A row of texts for each experiment that has repeats, in the columns of ``header``."""
        return [self._row(experiment) for experiment in self.experiments if len(experiment)]

    def _row(self, experiment: Experiment) -> list[str]:
        summary, goal = experiment.summary, experiment.plan.until.goal
        rates = [summary.success_rate(horizon) for horizon in self.horizons_s]
        data = summary.to_json(())
        time = summary.mean_time_to_goal_s
        return [
            experiment.name,
            str(len(experiment)),
            "" if goal is None else number(goal),
            *["" if goal is None else f"{p:.0%} ({100 * low:.0f}-{100 * high:.0f})" for p, low, high in rates],
            duration(time) if np.isfinite(time) else "",
            number(summary.median_best) if np.isfinite(summary.median_best) else "",
            f"{data['trials']:.4g}",
            duration(data["optimizer_s"]),
        ]

    def __str__(self) -> str:
        empty = [f"{experiment.name}: no repeat has ended" for experiment in self.experiments if not len(experiment)]
        return "\n".join([table(self.header, self.rows()), *empty, *self.cut_short()])

    def cut_short(self) -> list[str]:
        """A line for each experiment in which searches ran out of trials before the last horizon."""
        ended = [experiment for experiment in self.experiments if len(experiment)]
        return [f"{each.name}: {line}" for each in ended for line in each.summary.cut_short_line(self.horizons_s)]

    def page(self, path: str | PathLike[str]) -> None:
        """Write the table and all figures as one self-contained HTML page, which works offline."""
        from raytune_hpo.experiments.comparison_page import write_page

        write_page(self, path)


def _with_different_names(experiments: Sequence[Experiment]) -> tuple[Experiment, ...]:
    """The experiments, renamed where several have the same name: with the folder around theirs, or else with a number."""

    def with_folder(_: int, experiment: Experiment) -> str:
        folder = experiment.folder
        return experiment.name if folder is None else f"{folder.absolute().parent.name}/{experiment.name}"

    def with_number(number: int, experiment: Experiment) -> str:
        return f"{experiment.name} ({number})"

    found = list(experiments)
    for longer in (with_folder, with_number):
        again = {name for name, times in Counter(each.name for each in found).items() if times > 1}
        found = [replace(each, name=longer(i, each)) if each.name in again else each for i, each in enumerate(found, 1)]
    return tuple(found)
