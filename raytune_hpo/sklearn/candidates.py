"""The loop of a search: ask for candidates, have their folds fitted, stop those that are behind, tell the others."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.api.study import Study
from raytune_hpo.errors import ClusterError, StudyEnded
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.progress import Progress
from raytune_hpo.runtime.calls import Calls, Settled
from raytune_hpo.sklearn.folds import Experiment, Fit, Outcome, failed
from raytune_hpo.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a candidate goes through, step by step: folds, or where a training is cut into steps, these in all folds."""

    num_splits: int
    num_steps: int

    @property
    def is_over_folds(self) -> bool:
        return self.num_steps == 1

    @property
    def length(self) -> int:
        return self.num_splits if self.is_over_folds else self.num_steps

    def fits(self, params: Mapping[str, Any], way: range) -> list[Fit]:
        """What is to be done on a part of the course, all of which may run side by side."""
        if self.is_over_folds:
            return [Fit(params=params, split=split, way=range(1)) for split in way]
        return [Fit(params=params, split=split, way=way) for split in range(self.num_splits)]


@dataclass
class Candidate:
    """A candidate and what is known of it.

    Attributes:
        outcomes: by fold; those that further steps have passed are replaced.
        models: by fold, where further steps follow.
        way: the part of the course that it is on.
        num_open: fits of this part that have not ended.
        status: RUNNING, until it is known how it ended.
    """

    trial: Trial
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    models: dict[int, Any] = field(default_factory=dict)
    way: range = range(0)
    num_open: int = 0
    status: Status = Status.RUNNING

    @property
    def num_steps(self) -> int:
        """How far it came."""
        return self.way.stop

    @property
    def error(self) -> str | None:
        """The traceback of the first fold that failed."""
        return next((o["fit_error"] for o in self.outcomes.values() if o["fit_error"] is not None), None)

    def means(self, goals: Sequence[str], num_splits: int) -> dict[str, float]:
        """The means over the first folds, named as in ``cv_results_``."""
        scores = [outcome["test_scores"] for split, outcome in self.outcomes.items() if split < num_splits]
        names = next((list(score) for score in scores if isinstance(score, Mapping)), None)
        if names is None:
            return dict.fromkeys(goals, _mean(scores))
        rows = [score if isinstance(score, Mapping) else dict.fromkeys(names, score) for score in scores]
        means = {f"mean_test_{name}": _mean([row[name] for row in rows]) for name in names}
        # A function that turns out to return several scores was to be searched by its only one: take the first.
        return {**dict.fromkeys(goals, means[f"mean_test_{names[0]}"]), **means}


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
        *,
        goals: Sequence[str],
        time_budget_s: float | None,
    ) -> None:
        self._study, self._calls, self._experiment, self._goals = study, calls, experiment, goals
        self._course = Course(num_splits=len(experiment.splits), num_steps=experiment.training.num_steps)
        self._deadline = math.inf if time_budget_s is None else time.monotonic() + time_budget_s
        self._candidates: list[Candidate] = []
        self._queue: deque[tuple[Candidate, Fit]] = deque()
        self._under_way: dict[int, tuple[Candidate, Fit]] = {}
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
            candidate, fit = self._queue.popleft()
            self._under_way[self._num_begun] = (candidate, fit)
            self._calls.begin(self._num_begun, fit, candidate.models.pop(fit.split, None))
            self._num_begun += 1
        return bool(self._under_way)

    def _ask(self) -> bool:
        if time.monotonic() >= self._deadline:
            return False
        try:
            candidate = Candidate(self._study.ask())
        except StudyEnded:  # or the sampler waits for what is under way
            return False
        self._candidates.append(candidate)
        self._send_on(candidate)
        return True

    def _send_on(self, candidate: Candidate) -> None:
        """On to where it may be stopped next, before all others: what has begun comes first."""
        stop = self._study.next_step(candidate.trial) or self._course.length
        candidate.way = range(candidate.way.stop, min(stop, self._course.length))
        fits = self._course.fits(candidate.trial.config, candidate.way)
        candidate.num_open = len(fits)
        self._queue.extendleft((candidate, fit) for fit in reversed(fits))

    def _take(self, settled: Settled) -> None:
        candidate, fit = self._under_way.pop(settled.key)
        candidate.outcomes[fit.split] = self._outcome(settled, fit)
        candidate.models[fit.split] = settled.kept
        candidate.num_open -= 1
        if candidate.num_open == 0:
            self._judge(candidate)

    def _outcome(self, settled: Settled, fit: Fit) -> Outcome:
        if settled.error is not None:
            raise settled.error
        if settled.lost is None:
            outcome: Outcome = settled.value
            return outcome
        if self._experiment.error_score == "raise":
            raise ClusterError(f"a fit with {dict(fit.params)} cannot be made: {settled.lost}")
        return failed(self._experiment, settled.lost)

    def _judge(self, candidate: Candidate) -> None:
        """What becomes of a candidate that has come to the end of its way."""
        means = candidate.means(self._goals, self._course.num_splits)
        is_hopeless = not all(math.isfinite(means[goal]) for goal in self._goals)
        if is_hopeless and candidate.error is not None:
            candidate.status = self._study.fail(candidate.trial, candidate.error).status
        elif is_hopeless or candidate.way.stop == self._course.length:
            candidate.status = self._study.tell(candidate.trial, means).status
        elif self._report(candidate) is Verdict.STOP:
            candidate.status = self._study.tell(candidate.trial).status
        else:
            self._send_on(candidate)

    def _report(self, candidate: Candidate) -> Verdict:
        """Report each fold by the mean up to it, or the step that was reached by the mean of all folds."""
        course, way = self._course, candidate.way
        for step in range(way.start + 1, way.stop + 1) if course.is_over_folds else (way.stop,):
            means = candidate.means(self._goals, step if course.is_over_folds else course.num_splits)
            values = {goal: means[goal] for goal in self._goals}
            if self._study.report(candidate.trial, step, values) is Verdict.STOP:
                return Verdict.STOP
        return Verdict.CONTINUE


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)
