"""Loop of a search: ask for candidates, fit their folds in parallel, stop poor ones early, and tell the results."""

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
from raytune_hpo.sklearn.folds import Fit, FitContext, FoldOutcome, failed
from raytune_hpo.trial import Trial

CUT_SHORT = (Status.PRUNED, Status.PAUSED)  # of candidates that a scheduler kept from reaching the end


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """The steps of evaluating a candidate: its folds, or, if training has steps, each of these in all folds at once."""

    num_splits: int
    num_steps: int

    @property
    def is_over_folds(self) -> bool:
        return self.num_steps == 1

    @property
    def length(self) -> int:
        return self.num_splits if self.is_over_folds else self.num_steps

    def fits(self, params: Mapping[str, Any], steps: range) -> list[Fit]:
        """The fits of some steps of the plan; all of them may run at the same time."""
        if self.is_over_folds:
            return [Fit(params=params, split=split, steps=range(1)) for split in steps]
        return [Fit(params=params, split=split, steps=steps) for split in range(self.num_splits)]


@dataclass
class SearchCandidate:
    """A candidate and what is known about it so far.

    Attributes:
        outcomes: outcomes by fold; further steps of a training replace the outcome of its fold.
        models: trained models by fold, if further steps follow.
        steps: the steps of the plan that are being fitted.
        num_open: fits of these steps that have not ended.
        status: RUNNING until the candidate has ended or paused.
    """

    trial: Trial
    outcomes: dict[int, FoldOutcome] = field(default_factory=dict)
    models: dict[int, Any] = field(default_factory=dict)
    steps: range = range(0)
    num_open: int = 0
    status: Status = Status.RUNNING

    @property
    def num_steps(self) -> int:
        """The number of steps that the candidate has completed."""
        return self.steps.stop

    @property
    def error(self) -> str | None:
        """The traceback of the first fold that failed."""
        return next((o["fit_error"] for o in self.outcomes.values() if o["fit_error"] is not None), None)

    def means(self, goals: Sequence[str], num_splits: int) -> dict[str, float]:
        """Mean scores over the first ``num_splits`` folds, named as in ``cv_results_``."""
        scores = [outcome["test_scores"] for split, outcome in self.outcomes.items() if split < num_splits]
        names = next((list(score) for score in scores if isinstance(score, Mapping)), None)
        if names is None:
            return dict.fromkeys(goals, _mean(scores))
        rows = [score if isinstance(score, Mapping) else dict.fromkeys(names, score) for score in scores]
        means = {f"mean_test_{name}": _mean([row[name] for row in rows]) for name in names}
        # If a scoring function turns out to return several scores, optimise the first.
        return {**dict.fromkeys(goals, means[f"mean_test_{names[0]}"]), **means}


class Search:
    """Asks a study for candidates and runs each to its end.

    Args:
        goals: names of the study's metrics.
        time_budget_s: seconds after which no further candidate begins.
    """

    def __init__(
        self,
        study: Study,
        calls: Calls,
        context: FitContext,
        *,
        goals: Sequence[str],
        time_budget_s: float | None,
    ) -> None:
        self._study, self._calls, self._context, self._goals = study, calls, context, goals
        self._plan = StepPlan(num_splits=len(context.splits), num_steps=context.training.num_steps)
        self._deadline = math.inf if time_budget_s is None else time.monotonic() + time_budget_s
        self._candidates: list[SearchCandidate] = []
        self._paused: dict[int, SearchCandidate] = {}  # by trial number, with the models to continue from
        self._queue: deque[tuple[SearchCandidate, Fit]] = deque()
        self._under_way: dict[int, tuple[SearchCandidate, Fit]] = {}
        self._num_begun = 0

    def run(self, progress: Progress) -> list[SearchCandidate]:
        """Run the search, or as much of it as Ctrl-C allows; the candidates that ended, in the order of asking."""
        try:
            while self._fill_slots():
                for settled in self._calls.wait():
                    self._receive(settled)
                progress.update(self._study.snapshot())
        except KeyboardInterrupt:
            pass  # the result is what is complete by now
        finally:
            self._calls.close()
        return [candidate for candidate in self._candidates if candidate.status is not Status.RUNNING]

    def _fill_slots(self) -> bool:
        """Begin as many fits as there is room for; False when no fit is running any more."""
        num_slots = self._calls.num_slots()
        while len(self._under_way) < num_slots and (self._queue or self._ask()):
            candidate, fit = self._queue.popleft()
            self._under_way[self._num_begun] = (candidate, fit)
            self._calls.begin(self._num_begun, fit, candidate.models.pop(fit.split, None))
            self._num_begun += 1
        return bool(self._under_way)

    def _ask(self) -> bool:
        """Begin another candidate, or resume a paused one; False if there is none now."""
        if time.monotonic() >= self._deadline:
            return False
        try:
            trial = self._study.ask()
        except StudyEnded:  # or the sampler waits for results of running candidates
            return False
        candidate = self._paused.pop(trial.number, None)
        if candidate is None:
            candidate = SearchCandidate(trial)
            self._candidates.append(candidate)
        candidate.trial, candidate.status = trial, Status.RUNNING
        self._advance(candidate)
        return True

    def _advance(self, candidate: SearchCandidate) -> None:
        """Queue the fits up to the next step with a verdict, ahead of all others: candidates that began finish first."""
        stop = self._study.next_step(candidate.trial) or self._plan.length
        candidate.steps = range(candidate.steps.stop, min(stop, self._plan.length))
        fits = self._plan.fits(candidate.trial.config, candidate.steps)
        candidate.num_open = len(fits)
        self._queue.extendleft((candidate, fit) for fit in reversed(fits))

    def _receive(self, settled: Settled) -> None:
        """Record the outcome of a fit that has ended."""
        candidate, fit = self._under_way.pop(settled.key)
        if settled.error is not None:
            raise settled.error
        if settled.lost is None:
            candidate.outcomes[fit.split] = settled.value
        elif self._context.error_score == "raise":
            raise ClusterError(f"a fit with {dict(fit.params)} failed: {settled.lost}")
        else:
            candidate.outcomes[fit.split] = failed(self._context, settled.lost)
        candidate.models[fit.split] = settled.kept
        candidate.num_open -= 1
        if candidate.num_open == 0:
            self._judge(candidate)

    def _judge(self, candidate: SearchCandidate) -> None:
        """Decide about a candidate whose steps have all been fitted: fail, complete, stop, pause or advance it."""
        means = candidate.means(self._goals, self._plan.num_splits)
        is_hopeless = not all(math.isfinite(means[goal]) for goal in self._goals)
        if is_hopeless and candidate.error is not None:
            candidate.status = self._study.fail(candidate.trial, candidate.error).status
        elif is_hopeless or candidate.steps.stop == self._plan.length:
            candidate.status = self._study.tell(candidate.trial, means).status
        elif (verdict := self._report(candidate)) is Verdict.STOP:
            candidate.status = self._study.tell(candidate.trial).status
        elif verdict is Verdict.PAUSE:
            candidate.status = Status.PAUSED
            self._paused[candidate.trial.number] = candidate
        else:
            self._advance(candidate)

    def _report(self, candidate: SearchCandidate) -> Verdict:
        """Report the mean up to each new fold, or, if training has steps, the mean of all folds."""
        plan, steps = self._plan, candidate.steps
        for step in range(steps.start + 1, steps.stop + 1) if plan.is_over_folds else (steps.stop,):
            means = candidate.means(self._goals, step if plan.is_over_folds else plan.num_splits)
            values = {goal: means[goal] for goal in self._goals}
            verdict = self._study.report(candidate.trial, step, values)
            if verdict in (Verdict.STOP, Verdict.PAUSE):
                return verdict
        return Verdict.CONTINUE


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)
