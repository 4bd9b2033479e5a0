"""The loop of a search: ask for candidates, have their folds fitted, stop those that are behind, tell the others."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.errors import ClusterError, StudyEnded
from raytune_hpo.progress import Progress
from raytune_hpo.runtime.calls import Calls, Settled
from raytune_hpo.sklearn.folds import Experiment, Fits, Outcome, failed
from raytune_hpo.study import Study
from raytune_hpo.trial import Status, Trial, Verdict

Rounds = Callable[[Mapping[str, Any]], Iterator[list[Fits]]]


@dataclass
class Candidate:
    """A candidate and what is known of it.

    Attributes:
        rounds: what is still to be done: the fits of a round run side by side, and between rounds it may be stopped.
        outcomes: by fold; those that a later step has passed are replaced.
        num_rounds: that are over.
        num_open: fits of this round that are not.
        status: RUNNING, until it is known how it ended.
    """

    trial: Trial
    rounds: Iterator[list[Fits]]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    num_rounds: int = 0
    num_open: int = 0
    status: Status = Status.RUNNING

    @property
    def error(self) -> str | None:
        """The traceback of the first fold that failed."""
        return next((o["fit_error"] for o in self.outcomes.values() if o["fit_error"] is not None), None)

    def means(self, goals: Sequence[str]) -> dict[str, float]:
        """The means over the folds seen so far, named as in ``cv_results_``."""
        scores = [outcome["test_scores"] for outcome in self.outcomes.values()]
        names = next((list(score) for score in scores if isinstance(score, Mapping)), None)
        if names is None:
            return dict.fromkeys(goals, _mean(scores))
        rows = [score if isinstance(score, Mapping) else dict.fromkeys(names, score) for score in scores]
        means = {f"mean_test_{name}": _mean([row[name] for row in rows]) for name in names}
        # A function that turns out to return several scores was to be searched by its only one: take the first.
        return {**dict.fromkeys(goals, means[f"mean_test_{names[0]}"]), **means}


def rounds_of(num_splits: int, num_steps: int, *, is_judged: bool) -> Rounds:
    """How candidates are worked off: all folds side by side, or step by step where a scheduler judges in between."""
    splits = range(num_splits)

    def rounds(params: Mapping[str, Any]) -> Iterator[list[Fits]]:
        if not is_judged:
            yield [Fits(params=params, splits=(split,)) for split in splits]
        elif num_steps == 1:
            yield from ([Fits(params=params, splits=(split,))] for split in splits)
        else:
            yield from ([Fits(params=params, splits=splits, step=step)] for step in range(num_steps))

    return rounds


class Search:
    """Runs candidates to their end.

    Args:
        goals: the metrics of the study.
        time_budget_s: after which no further candidate begins.
    """

    def __init__(
        self,
        study: Study,
        calls: Calls,
        experiment: Experiment,
        rounds: Rounds,
        *,
        goals: Sequence[str],
        time_budget_s: float | None,
    ) -> None:
        self._study, self._calls, self._experiment, self._rounds = study, calls, experiment, rounds
        self._goals = goals
        self._deadline = math.inf if time_budget_s is None else time.monotonic() + time_budget_s
        self._candidates: list[Candidate] = []
        self._queue: deque[tuple[Candidate, Fits, Any]] = deque()
        self._under_way: dict[int, tuple[Candidate, Fits]] = {}
        self._num_begun = 0

    def run(self, progress: Progress) -> list[Candidate]:
        """The candidates that ended, in the order in which they were asked for. Ctrl-C ends the search."""
        try:
            while self._hand_out():
                for settled in self._calls.wait():
                    self._take(settled)
                progress.update(self._study.snapshot())
        except KeyboardInterrupt:
            pass  # what is complete by now is the result
        finally:
            self._calls.close()
        return [candidate for candidate in self._candidates if candidate.status is not Status.RUNNING]

    def _hand_out(self) -> bool:
        """Begin as much as there is room for; whether anything is under way."""
        num_slots = self._calls.num_slots()
        while len(self._under_way) < num_slots and (self._queue or self._ask()):
            candidate, fits, models = self._queue.popleft()
            self._under_way[self._num_begun] = (candidate, fits)
            self._calls.begin(self._num_begun, fits, models)
            self._num_begun += 1
        return bool(self._under_way)

    def _ask(self) -> bool:
        if time.monotonic() >= self._deadline:
            return False
        try:
            trial = self._study.ask()
        except StudyEnded:  # or the sampler waits for what is under way
            return False
        candidate = Candidate(trial, self._rounds(trial.config))
        self._candidates.append(candidate)
        self._queue.extend(self._round(candidate))
        return True

    def _round(self, candidate: Candidate, models: Any = None) -> list[tuple[Candidate, Fits, Any]]:
        """What the next round has to do; nothing where there is none."""
        fits = next(candidate.rounds, [])
        candidate.num_open = len(fits)
        return [(candidate, each, models) for each in fits]

    def _take(self, settled: Settled) -> None:
        candidate, fits = self._under_way.pop(settled.key)
        candidate.outcomes.update(zip(fits.splits, self._outcomes(settled, fits), strict=True))
        candidate.num_open -= 1
        if candidate.num_open == 0:
            candidate.num_rounds += 1
            self._end_round(candidate, settled.kept)

    def _outcomes(self, settled: Settled, fits: Fits) -> list[Outcome]:
        if settled.error is not None:
            raise settled.error
        if settled.lost is None:
            outcomes: list[Outcome] = settled.value
            return outcomes
        if self._experiment.error_score == "raise":
            raise ClusterError(f"a fit with {dict(fits.params)} cannot be made: {settled.lost}")
        return [failed(self._experiment, settled.lost) for _ in fits.splits]

    def _end_round(self, candidate: Candidate, models: Any) -> None:
        means = candidate.means(self._goals)
        following = [] if self._is_hopeless(means) else self._round(candidate, models)
        if not following:
            self._end(candidate, means)
        elif self._study.report(candidate.trial, candidate.num_rounds, self._of_goals(means)) is Verdict.STOP:
            candidate.status = self._study.tell(candidate.trial).status
        else:
            self._queue.extendleft(following)  # what has begun comes first

    def _is_hopeless(self, means: Mapping[str, float]) -> bool:
        return not all(math.isfinite(means[goal]) for goal in self._goals)

    def _end(self, candidate: Candidate, means: Mapping[str, float]) -> None:
        if candidate.error is not None and self._is_hopeless(means):
            candidate.status = self._study.fail(candidate.trial, candidate.error).status
        else:
            candidate.status = self._study.tell(candidate.trial, means).status

    def _of_goals(self, means: Mapping[str, float]) -> dict[str, float]:
        return {goal: means[goal] for goal in self._goals}


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)
