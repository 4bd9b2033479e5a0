"""Answers of searches: the command to use, its value, and by how much it beats the baseline."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.analysis.repeats import LEVEL, estimate
from raytune_hpo.commands.command import Command
from raytune_hpo.commands.command_values import names_of, values_of
from raytune_hpo.commands.inputs import Input
from raytune_hpo.commands.scaling import Scaling, fitted_scaling
from raytune_hpo.commands.surroundings import missing
from raytune_hpo.confirming import Confirmation, ConfirmedCandidate
from raytune_hpo.display.text import config_line
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.results import Results
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_PREFERENCE = re.compile(r"\s*(?P<name>[^=]+?)\s*=\s*(?P<end>small|large)\s*(?:,\s*(?P<share>\d+\.?\d*|\.\d+)\s*%)?\s*")


@dataclass(frozen=True, kw_only=True)
class Preference:
    """How ties are broken: recommend the configuration with the smallest, or largest, value of a parameter.

    Attributes:
        share: how much worse than the best a configuration may be and still count as tied, as a share; those that cannot be
            told apart by their noise are tied in any case.
    """

    name: str
    is_large: bool = False
    share: float = 0.0

    @classmethod
    def parsed(cls, text: str) -> Preference:
        """``jobs=small`` or ``jobs=small,3%``.

        Raises:
            SpecError: it is neither.
        """
        found = _PREFERENCE.fullmatch(text)
        if found is None:
            raise SpecError(f"a preference is like jobs=small,3%, got {text!r}")
        return cls(name=found["name"], is_large=found["end"] == "large", share=float(found["share"] or 0) / 100)

    def check(self, space: Space) -> None:
        """Check it against a space, before anything runs.

        Raises:
            SpecError: there is no such parameter, or it is not a number.
        """
        parameters = names_of(space)
        if self.name not in frozenset().union(*parameters.values()):
            known = {path.rpartition("/")[2] for path in parameters}
            raise SpecError(f"a preference names a parameter, there is no {self.name!r}; {nearest(self.name, known)}")
        last = self.name.rpartition("/")[2]
        domains = [column.domain for column in space.columns if column.name.rpartition("/")[2] == last]
        if not any(all(isinstance(value, Real) for value in domain.quantiles(2)) for domain in domains):
            raise SpecError(f"a preference is for a parameter whose values are numbers, {self.name!r} has others")

    def first(self, configs: Sequence[Mapping[str, Any]]) -> int:
        """The position of the preferred configuration. Those in which the parameter is not active come last."""
        values = [values_of(config).get(self.name) for config in configs]
        ranks = [math.inf if value is None else -value if self.is_large else value for value in values]
        return ranks.index(min(ranks))


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """The ratio of the baseline's value and a configuration's in one metric: how many times better it is.

    Attributes:
        interval: at 95 %, from pairs of runs one after the other; None if there are too few.
        n: the number of pairs.
    """

    value: float
    interval: tuple[float, float] | None
    n: int

    def __str__(self) -> str:
        within = "" if self.interval is None else f" ({_span(self.interval)})"
        return f"{self.value:.3g} times as good as the baseline{within}, n={self.n}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of a search over the configurations of a command.

    Attributes:
        trial: the trial of the recommended configuration; with several goals, one of the front.
        words: the command to use, as a list of words.
        value: its value in the first metric; ``interval`` at 95 %, None if measured only once; ``n`` fresh measurements.
        ratio: the ratio to the baseline; None if there is none.
        scaling: the scaling law of the preferred parameter, if that is a count.
        by_size: the best trial for each class of inputs by size, and its value there.
        notes: remarks for the reader, in sentences.
    """

    results: Results
    confirmation: Confirmation | None
    trial: Trial
    words: Sequence[str]
    value: float
    interval: tuple[float, float] | None
    n: int
    ratio: Ratio | None = None
    scaling: Scaling | None = None
    by_size: Mapping[str, tuple[Trial, float]]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        metric = self.results.goals[0].metric
        within = "" if self.interval is None else f", {_span(self.interval)}"
        lines = [f"use: {shlex.join(self.words)}", f"{metric}: {self.value:.4g} (n={self.n}{within})"]
        if self.ratio is not None:
            lines.append(str(self.ratio))
        if self.scaling is not None:
            lines.append(f"scaling: {self.scaling}")
        for label, (trial, value) in self.by_size.items():
            lines.append(f"size {label}: {config_line(flattened(trial.config))} ({metric} {value:.4g})")
        return "\n".join([*lines, *self.notes])

    def record(self) -> dict[str, Any]:
        """The same as JSON values."""
        ratio, scaling = self.ratio, self.scaling
        return {
            "trial": self.trial.number,
            "config": dict(self.trial.config),
            "argv": list(self.words),
            "command": shlex.join(self.words),
            "metric": self.results.goals[0].metric,
            "value": self.value,
            "interval": self.interval,
            "n": self.n,
            "ratio": None if ratio is None else {"value": ratio.value, "interval": ratio.interval, "n": ratio.n},
            "scaling": None
            if scaling is None
            else {
                "contention": scaling.contention,
                "coherency": scaling.coherency,
                "peak": None if math.isinf(scaling.peak) else scaling.peak,
            },
            "by_size": {
                label: {"trial": trial.number, "config": dict(trial.config), "value": value}
                for label, (trial, value) in self.by_size.items()
            },
            "notes": list(self.notes),
        }


def answer_of(
    command: Command,
    results: Results,
    confirmation: Confirmation | None,
    *,
    baseline: int | None = None,
    preference: Preference | None = None,
    inputs: Sequence[Any] = (),
) -> Answer:
    """The answer of a search, after its repeats if there are any.

    Args:
        baseline: the number of the baseline's trial.

    Raises:
        NoCompletedTrial: there is nothing to recommend.
    """
    goal = results.goals[0]
    candidate = None if confirmation is None else _preferred(confirmation, results, preference)
    if candidate is not None:
        trial, value, n = results[candidate.numbers[0]], candidate.mean, candidate.n
        interval = _interval(candidate, len(confirmation.candidates) if confirmation is not None else 1)
    else:
        trial = _preferred_trial(results, preference)
        value, interval, n = float(trial.metrics[goal.metric]), None, int(trial.metrics.get("runs", 1))
    return Answer(
        results=results,
        confirmation=confirmation,
        trial=trial,
        words=command.words(trial.config),
        value=value,
        interval=interval,
        n=n,
        ratio=_ratio(confirmation, candidate, baseline, goal),
        scaling=None if preference is None else _scaling(results, preference, goal),
        by_size=best_by_size(results, inputs),
        notes=[*_notes(results, trial), *missing(needs_memory=command.needs_memory)],
    )


def _span(interval: tuple[float, float]) -> str:
    return f"{LEVEL:.0%}: {interval[0]:.3g} to {interval[1]:.3g}"


def _interval(candidate: ConfirmedCandidate, k: int) -> tuple[float, float] | None:
    """The interval of a candidate; computed on the logarithmic scale for metrics that cannot be negative, such as times."""
    values = list(candidate.by_repeat.values())
    if not values or min(values) <= 0:
        return candidate.interval
    found = estimate([math.log(value) for value in values], k=k).interval
    return None if found is None else (math.exp(found[0]), math.exp(found[1]))


def tied(results: Results, preference: Preference) -> Trial:
    """The preferred trial among the feasible ones within the preference's share of the best."""
    goal, best = results.goals[0], results.best_trial
    reach = abs(best.metrics[goal.metric]) * preference.share
    near = [t for t in results.feasible if goal.loss(t.metrics[goal.metric] - best.metrics[goal.metric]) <= reach]
    return near[preference.first([trial.config for trial in near])]


def _preferred_trial(results: Results, preference: Preference | None) -> Trial:
    if len(results.goals) > 1:
        return results.best_trials[0] if results.best_trials else results.best_trial
    return results.best_trial if preference is None else tied(results, preference)


def mean_of_all(fresh: float, num_fresh: int, searched: float, num_searched: int) -> float:
    """The mean of a configuration over its runs in the search and at the end, by which the best is chosen.

    The value that is reported for it is the mean of the fresh runs alone: those of the search are biased by the choice.
    """
    return (num_fresh * fresh + num_searched * searched) / (num_fresh + num_searched)


def _best(confirmation: Confirmation, results: Results) -> ConfirmedCandidate:
    """The best candidate that does not fail, or break an outcome constraint, more often than not."""

    def loss(candidate: ConfirmedCandidate) -> float:
        num_searched = sum(int(results[number].metrics.get("runs", 1)) for number in candidate.numbers)
        mean = mean_of_all(candidate.mean, candidate.n, candidate.search_value, num_searched)
        return confirmation.goals[0].loss(mean)

    sound = [c for c in confirmation.candidates if c.n and c.n >= c.num_failed and c.is_feasible]
    return min(sound, key=loss, default=confirmation.best)


def _preferred(confirmation: Confirmation, results: Results, preference: Preference | None) -> ConfirmedCandidate:
    """The best candidate, or the preferred one among those tied with it."""
    best, goal = _best(confirmation, results), confirmation.goals[0]
    if preference is None:
        return best
    reach = abs(best.mean) * preference.share
    near = [c for c in confirmation.candidates if c.n and goal.loss(c.mean - best.mean) <= reach]
    found = [best, *(c for c in (*near, *confirmation.rivals) if c is not best and c.is_feasible)]
    return found[preference.first([candidate.config for candidate in found])]


def _ratio(
    confirmation: Confirmation | None, candidate: ConfirmedCandidate | None, baseline: int | None, goal: Goal
) -> Ratio | None:
    if confirmation is None or candidate is None or baseline is None:
        return None
    other = next((c for c in confirmation.candidates if baseline in c.numbers), None)
    if other is None:
        return None
    shared = candidate.by_repeat.keys() & other.by_repeat.keys()
    pairs = [(candidate.by_repeat[r], other.by_repeat[r]) for r in sorted(shared)]
    if not pairs or min(min(pair) for pair in pairs) <= 0:
        return None
    found = estimate([goal.loss(math.log(before) - math.log(after)) for after, before in pairs])
    within = None if found.interval is None else (math.exp(found.interval[0]), math.exp(found.interval[1]))
    return Ratio(value=math.exp(found.mean), interval=within, n=found.n)


def _scaling(results: Results, preference: Preference, goal: Goal) -> Scaling | None:
    """The scaling law of a count, fitted to the best time for each of its values; None if the goal is not a time."""
    if goal.metric != "time":
        return None
    best: dict[float, float] = {}
    for trial in results.feasible:
        count = values_of(trial.config).get(preference.name)
        if isinstance(count, int) and not isinstance(count, bool):
            best[count] = min(best.get(count, math.inf), float(trial.metrics[goal.metric]))
    return fitted_scaling(list(best), list(best.values())) if best else None


def best_by_size(results: Results, inputs: Sequence[Any]) -> dict[str, tuple[Trial, float]]:
    """The best trial for each size class of inputs (one order of magnitude), and its mean value there.

    Empty if all inputs are in one class. A trial counts in a class if it was measured on all inputs of it.
    """
    classes: dict[int, list[str]] = {}
    for item in inputs:
        if isinstance(item, Input) and item.size is not None:
            classes.setdefault(math.floor(math.log10(max(item.size, 1.0))), []).append(str(item))
    found: dict[str, tuple[Trial, float]] = {}
    goal = results.goals[0]
    for power, names in sorted(classes.items()) if len(classes) > 1 else ():
        scored = []
        for trial in results:
            measured = trial.per_instance
            if trial.status is not Status.FAILED and all(name in measured for name in names):
                scored.append((math.fsum(measured[name][goal.metric] for name in names) / len(names), trial))
        if scored:
            value, trial = min(scored, key=lambda pair: goal.loss(pair[0]))
            found[f"{10**power:,} to {10 ** (power + 1):,}"] = trial, value
    return found


def _notes(results: Results, trial: Trial) -> list[str]:
    notes = [str(trial.metrics["note"])] if "note" in trial.metrics else []
    disturbed = sum(bool(t.metrics.get("context/disturbed")) for t in results)
    if disturbed:
        notes.append(
            f"others were busy during {disturbed} of {len(results)} trials; --when-busy wait:60s waits for them"
        )
    left = sum(bool(t.metrics.get("left_running")) for t in results)
    if left:
        notes.append(f"processes that the command had left running were ended after {left} trials")
    capped = sum(bool(r.metrics.get("capped")) for t in results if t.status is Status.PRUNED for r in t.reports)
    if capped:
        notes.append(f"{capped} trials were ended because they took too long beside the best")
    return notes
