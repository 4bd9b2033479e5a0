"""The choice of candidates: the configurations of a search that are worth repeating."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.repeats import by_config
from raytune_hpo.errors import SpecError
from raytune_hpo.numerics.pareto import pareto_front
from raytune_hpo.numerics.thinning import evenly_chosen
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A configuration that was chosen to be repeated, with its trials in the search.

    Attributes:
        number: the number of its first trial, which identifies it.
        losses: the mean losses over its trials, one for each goal.
    """

    number: int
    config: Mapping[str, Any]
    trials: tuple[Trial, ...]
    losses: tuple[float, ...]


def chosen(results: Results, top: int, also: Sequence[int] = ()) -> list[Chosen]:
    """The best feasible configurations, by the means over their trials or, with several goals, by the means' Pareto front.

    The configuration of the search's best trial is always included, since the search's optimism is computed for it; with
    several goals, those of the best trials in each goal, as far as ``top`` allows.

    Args:
        also: numbers of trials whose configurations are repeated in any case.

    Raises:
        NoCompletedTrial: there is nothing to confirm.
        SpecError: one of ``also`` is not the number of a feasible completed trial.
    """
    first = results.best_trial.number
    groups: dict[int, Chosen] = {}
    for trials in by_config([trial for trial in results if trial.is_feasible]):
        columns = zip(*(trial.losses or () for trial in trials), strict=True)
        losses = tuple(math.fsum(column) / len(trials) for column in columns)
        group = Chosen(number=trials[0].number, config=trials[0].config, trials=tuple(trials), losses=losses)
        groups.update((trial.number, group) for trial in trials)
    if not isinstance(also, Iterable):
        raise SpecError(f"also is a list of numbers of trials, got {also!r}; write also=[{also}]")
    if strange := [number for number in also if number not in groups]:
        raise SpecError(f"also must name completed, feasible trials, and {strange[0]} is not one")
    others = [groups[number] for number in also]
    return _unique([*_best(results, groups, first, top), *others])


def _best(results: Results, groups: Mapping[int, Chosen], first: int, top: int) -> list[Chosen]:
    ranked = sorted(_unique(groups.values()), key=lambda group: group.losses[0])
    if len(results.goals) == 1:
        return _unique([*ranked[: top - 1], groups[first], *ranked])[:top]
    is_best = pareto_front(np.array([group.losses for group in ranked], dtype=np.float64))
    front = [group for group, is_in in zip(ranked, is_best, strict=True) if is_in]
    goals = range(len(results.goals))
    best = [groups[min(results.best_trials, key=lambda t: (t.losses or ())[goal]).number] for goal in goals]
    return _unique([*best, *evenly_chosen(front, max(2, top)), *front])[:top]


def _unique(groups: Iterable[Chosen]) -> list[Chosen]:
    return list({group.number: group for group in groups}.values())
