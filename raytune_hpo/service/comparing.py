"""Comparison of studies: the best value of each over trials and over running time, and the space that each searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raytune_hpo.display.text import number, short
from raytune_hpo.goals import Goal
from raytune_hpo.results.records import plain
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.records import state_in_words
from raytune_hpo.space import Choice, Float, Int, Ordinal
from raytune_hpo.space.domain import Domain

MAX_STUDIES = 20
_OPTIONS = 8  # of a choice that are named


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A study in a comparison, by its first goal.

    Attributes:
        goals: of the study; one of several metrics is not ranked by the first of them.
        state: in words: whether and why it has ended.
        best, best_number: the best value, and the trial that has it; None where there is none, and ``why_no_best`` says why.
        num_front: with several metrics, how many trials the Pareto front has.
        by_trials: (how many trials had finished or paused, the best value by then), where it changed.
        by_time: the same with the running time in seconds.
        length, elapsed_s: where the two curves end.
        parameters: the domain of each parameter in words, by name.
        seq: how many facts the study has.
    """

    name: str
    goals: tuple[Goal, ...]
    state: str
    stopped: str | None
    num_trials: int
    limit: int | None
    best: float | None
    best_number: int | None
    why_no_best: str
    num_front: int
    by_trials: tuple[tuple[float, float], ...]
    by_time: tuple[tuple[float, float], ...]
    length: int
    elapsed_s: float
    sampler: str
    seed: int
    parameters: Mapping[str, str]
    seq: int

    @property
    def goal(self) -> Goal:
        return self.goals[0]

    def record(self) -> dict[str, Any]:
        """As JSON."""
        found: dict[str, Any] = plain(
            {
                **{key: value for key, value in vars(self).items() if key != "goals"},
                "metric": self.goal.metric,
                "mode": self.goal.mode,
                "metrics": {goal.metric: goal.mode for goal in self.goals},
            }
        )
        return found


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A study in a comparison that cannot be read, and why."""

    name: str
    detail: str

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"name": self.name, "state": "unreadable", "detail": self.detail}


def standing(fold: Fold, kind: str, now: float) -> Standing:
    """The standing of a study of a kind at a time in epoch seconds."""
    ledger, spec = fold.ledger, fold.ledger.spec
    goal, best = spec.goals[0], ledger.best[0]
    improved = [(at, float(trial.metrics[goal.metric])) for at, trial in ledger.improved[0]]
    return Standing(
        name=fold.name,
        goals=spec.goals,
        state=state_in_words(fold, kind),
        stopped=ledger.stopped,
        num_trials=len(ledger.trials),
        limit=spec.limits.num_trials,
        best=None if best is None else float(best.metrics[goal.metric]),
        best_number=None if best is None else best.number,
        why_no_best=fold.why_no_best if best is None else "",
        num_front=len(ledger.front),
        by_trials=tuple((float(at), value) for at, value in improved),
        by_time=tuple((at_s, value) for at_s, (_, value) in zip(fold.improved_s, improved, strict=True)),
        length=len(ledger.told),
        elapsed_s=ledger.elapsed_s(now),
        sampler=spec.sampler.name,
        seed=spec.seed,
        parameters={column.name: in_words(column.domain) for column in spec.space.columns},
        seq=fold.seq,
    )


def leader(standings: Sequence[Standing]) -> Standing | None:
    """The study with the best value of all; None if they have no goal in common, or several each, or no result."""
    if not are_ranked(standings):
        return None
    with_best = [(standing.goal.loss(standing.best), standing) for standing in standings if standing.best is not None]
    return min(with_best, key=lambda pair: pair[0])[1] if with_best else None


def are_ranked(standings: Sequence[Standing]) -> bool:
    """Whether the studies' best values can be compared: each has one metric, and it is the same one."""
    goals = {tuple((goal.metric, goal.mode) for goal in standing.goals) for standing in standings}
    return [len(metrics) for metrics in goals] == [1]


def in_words(domain: Domain) -> str:
    """A parameter's domain in words."""
    if isinstance(domain, (Float, Int)):
        step = f", step {number(domain.step)}" if domain.step not in (None, 1) else ""
        return f"{number(domain.lo)} to {number(domain.hi)}{step}{', log' if domain.log else ''}"
    if isinstance(domain, (Choice, Ordinal)):
        named = ", ".join(short(option, 20) for option in domain.options[:_OPTIONS])
        more = len(domain.options) - _OPTIONS
        return f"{named} and {more} more" if more > 0 else named
    return short(repr(domain), 60)
