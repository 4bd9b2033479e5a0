"""One metric of a study and what was tried, as the figures of parameters look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.importance import ped_anova
from raytune_hpo.analysis.tried import Parameter, Tried
from raytune_hpo.analysis.values import Floats, evenly, goal_named, losses_of_values, standing_for_all, values_of
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.plots import style
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results


_MOST_FAILED = 200
_PAIRED = 16  # parameters among which pairs are looked for


@dataclass(frozen=True, eq=False)
class View:
    """One metric of a study.

    Attributes:
        goal: the metric; any other one than the study's goals is drawn as if it were minimised.
        values: (n,) in its own units; NaN where a trial has none. ``losses``: the same, minimised.
    """

    results: Results
    goal: Goal

    @cached_property
    def values(self) -> Floats:
        return values_of(self.results.trials, self.goal)

    @cached_property
    def losses(self) -> Floats:
        return losses_of_values(self.values, self.goal)

    @property
    def tried(self) -> Tried:
        return self.results.tried

    @cached_property
    def valued(self) -> NDArray[np.intp]:
        """The trials that have a value, by position."""
        return np.flatnonzero(np.isfinite(self.losses))

    def drawn(self, most: int) -> NDArray[np.intp]:
        """At most so many of them."""
        return self.valued[standing_for_all(self.losses[self.valued], most)]

    @cached_property
    def best(self) -> int | None:
        """The position of the best completed trial."""
        completed = [i for i in self.valued.tolist() if self.results[i].status is Status.COMPLETED]
        return min(completed, key=self.losses.__getitem__) if completed else None

    def trials(self, rows: NDArray[np.intp]) -> list[Trial]:
        return [self.results[i] for i in rows.tolist()]

    @cached_property
    def failed(self) -> NDArray[np.intp]:
        """The failed trials by position, or some from all over the study where they are many."""
        failed = [i for i, trial in enumerate(self.results.trials) if trial.status is Status.FAILED]
        return np.array(failed, dtype=np.intp)[evenly(len(failed), _MOST_FAILED)]

    def parameters(self, names: Sequence[str] | None, most: int) -> list[Parameter]:
        """Those named, or at most so many of those that matter most.

        Raises:
            SpecError: one of the names is no parameter.
        """
        if names is not None:
            return [self.tried.named(name) for name in names]
        by_name = {p.name: p for p in self.tried.parameters if p.active[self.valued].any()}
        return [by_name[name] for name in dict.fromkeys([*self._shares, *by_name])][:most]

    def pairs(self, names: Sequence[str] | None, most: int) -> list[tuple[Parameter, Parameter]]:
        """All pairs of those named, or at most so many: those that matter most of what was tried together.

        Raises:
            SpecError: one of the names is no parameter.
        """
        if names is not None:
            return list(combinations(self.parameters(names, most), 2))
        together = [pair for pair in combinations(self.parameters(None, _PAIRED), 2) if self._vary(pair)]
        return sorted(together, key=lambda pair: -sum(self._shares.get(p.name, 0.0) for p in pair))[:most]

    def _vary(self, pair: tuple[Parameter, Parameter]) -> bool:
        """Whether two parameters were tried together, each at more than one value: not a branch and what is in it."""
        rows = self.valued[pair[0].active[self.valued] & pair[1].active[self.valued]]
        return len(rows) > 0 and all(np.ptp(parameter.x[rows]) > 0 for parameter in pair)

    @cached_property
    def _shares(self) -> dict[str, float]:
        return {importance.name: importance.share for importance in ped_anova(self.tried, self.losses)}


def view(results: Results, metric: str | None = None) -> View:
    """One metric of a study, by default the first goal.

    Raises:
        SpecError: no trial has such a metric.
    """
    return View(results, goal_named(metric, results.goals, results.trials))


def split(view: View, rows: NDArray[np.intp]) -> list[tuple[Status, NDArray[np.intp]]]:
    """The rows of pruned and of completed trials, those below first."""
    found = []
    for status in (Status.PRUNED, Status.COMPLETED):
        own = np.array([i for i in rows.tolist() if view.results[i].status is status], dtype=np.intp)
        if len(own):
            found.append((status, own))
    return found


def why_nothing(view: View) -> str:
    """What to say instead of a figure of parameters."""
    if not view.tried.parameters:
        return "no parameter of this study varies"
    if len(view.valued):
        return "no two parameters have been tried together yet"
    return f"no trial has a value of {style.short_name(view.goal.metric, 40)} yet"
