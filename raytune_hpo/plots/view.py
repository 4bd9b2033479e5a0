"""The view of a study shared by figures of parameters: one metric, and the tried values of each parameter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from raytune_hpo.analysis.fronts import FRONT, front_ranks
from raytune_hpo.analysis.importance import ped_anova
from raytune_hpo.analysis.series import Floats, MetricSeries, Positions, goal_named
from raytune_hpo.analysis.tried import Tried, TriedParameter
from raytune_hpo.display.status import INFEASIBLE, STATUSES, StatusRow
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.thinning import evenly_spaced
from raytune_hpo.plots import style
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results


_MOST_FAILED = 200
_PAIRED = 16  # parameters whose pairs are considered


@dataclass(frozen=True, eq=False)
class View(MetricSeries):
    """One metric of a study, and the values of each parameter that its trials tried.

    Attributes:
        goal: the metric and the direction in which it is good, see ``goal_named``.
    """

    results: Results

    @property
    def tried(self) -> Tried:
        return self.results.tried

    def at(self, rows: Positions) -> list[Trial]:
        """The trials at these positions."""
        return [self.trials[i] for i in rows.tolist()]

    @cached_property
    def failed(self) -> Positions:
        """Positions of the failed trials, or of an even selection if there are many."""
        failed = self.arrays.which(Status.FAILED)
        return failed[evenly_spaced(len(failed), _MOST_FAILED)]

    def parameters(self, names: Sequence[str] | None, most: int) -> list[TriedParameter]:
        """The parameters of these names, or at most ``most`` of the most important ones.

        Raises:
            SpecError: one of the names is not that of a parameter that varies.
        """
        if names is not None:
            return [self.tried.named(name) for name in _distinct(names)]
        by_name = {p.name: p for p in self.tried.parameters if p.active[self.valued].any()}
        return [by_name[name] for name in dict.fromkeys([*self._shares, *by_name])][:most]

    def pairs(self, names: Sequence[str] | None, most: int) -> list[tuple[TriedParameter, TriedParameter]]:
        """All pairs of the named parameters, or the ``most`` most important pairs that were tried together.

        Raises:
            SpecError: one of the names is not that of a parameter that varies, or there are fewer than two.
        """
        if names is not None:
            named = self.parameters(names, most)
            if len(named) < 2:
                raise SpecError(f"a figure of pairs has two parameters or more, got parameters={list(names)}")
            return list(combinations(named, 2))

        def vary(pair: tuple[TriedParameter, TriedParameter]) -> bool:
            """Whether both were tried together, each at more than one value: not a branch and what is in it."""
            rows = self.valued[pair[0].active[self.valued] & pair[1].active[self.valued]]
            return len(rows) > 0 and all(np.ptp(parameter.x[rows]) > 0 for parameter in pair)

        together = filter(vary, combinations(self.parameters(None, _PAIRED), 2))
        return sorted(together, key=lambda pair: -sum(self._shares.get(p.name, 0.0) for p in pair))[:most]

    @cached_property
    def _shares(self) -> dict[str, float]:
        return {importance.name: importance.share for importance in ped_anova(self.tried, self.ranks)}


def _distinct(names: Sequence[str]) -> list[str]:
    """The names that a user gave, each once.

    Raises:
        SpecError: they are no list of names, or none.
    """
    if isinstance(names, str):  # would be read letter by letter
        raise SpecError(f"parameters is a list of names, got {names!r}; write parameters=[{names!r}]")
    if not isinstance(names, Collection) or not names or not all(isinstance(name, str) for name in names):
        raise SpecError(f'parameters is a list of one name or more, such as ["lr", "depth"], got {names!r}')
    return list(dict.fromkeys(names))


class FrontView(View):
    """All goals of a study at once: the value of a trial is the front that it is in, 0 the best."""

    @cached_property
    def values(self) -> Floats:
        """The front (n,) of each trial with values, see ``front_ranks``; else NaN."""
        return front_ranks(self.trials, self.results.goals)


def view(results: Results, metric: str | None = None) -> View:
    """The view of one metric of a study, by default of the first goal; ``"front"`` is all goals at once.

    Raises:
        SpecError: no trial has such a metric.
    """
    if metric == FRONT and len(results.goals) > 1:
        return FrontView(Goal(FRONT), results.arrays, results)
    return View(goal_named(metric, results.spec, results.trials), results.arrays, results)


def rows_by_look(view: View, rows: Positions) -> list[tuple[StatusRow, Positions]]:
    """The rows of trials with a value by their status, and completed ones that break a constraint for themselves.

    Feasible ones come last, since they are drawn above the others.
    """
    statuses = np.array([trial.status for trial in view.at(rows)])
    found = [(STATUSES[status], rows[statuses == status]) for status in (Status.PRUNED, Status.PAUSED)]
    found += [(INFEASIBLE, rows[view.infeasible[rows]]), (STATUSES[Status.COMPLETED], rows[view.feasible[rows]])]
    return [(row, own) for row, own in found if len(own)]


def why_nothing(view: View) -> str:
    """The reason why there is no figure of parameters."""
    if not view.tried.parameters:
        return "no parameter of this study varies"
    if len(view.valued):
        return "no two parameters have been tried together yet"
    return f"no trial has a value of {style.short_name(view.goal.metric, 40)} yet"
