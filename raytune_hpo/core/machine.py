"""The state machine that decides: events in, facts and a reply out.

No Ray, disk, clock, thread or network here. ``step`` decides on an event and applies the facts; ``apply`` takes facts in
and is all that a replay needs, so the state after a replay is the live state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import (
    Added,
    Answer,
    Asked,
    Assignment,
    Decision,
    Ended,
    Event,
    Halted,
    Idea,
    Lease,
    Lost,
    Measured,
    Mustered,
    Noted,
    Reply,
    Returned,
    Ticked,
)
from raytune_hpo.core.suggestions import Shelf
from raytune_hpo.facts import (
    Enqueued,
    Fact,
    Finished,
    Printed,
    Reported,
    Requeued,
    SessionOpened,
    Started,
    Status,
    StudyExtended,
    StudyStopped,
    Verdict,
)
from raytune_hpo.goals import to_losses
from raytune_hpo.protocols import Sampler, Scheduler, Signal, Suggestion
from raytune_hpo.registry import check_pairing
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial, evolve

_STOP = Answer(verdict=Verdict.STOP)
_NOTED = Noted()
_WAIT = Lease()
_OVER = Lease(is_over=True)


class OptimizerCore:
    """Decides for one study.

    Args:
        sampler, scheduler: as made with their options; the core binds them to the study.
        beside: suggestions that depend on results are computed by the caller, beside its event loop (see Shelf).
            Otherwise ``step`` computes them.
    """

    def __init__(
        self, spec: StudySpec, sampler: Sampler, scheduler: Scheduler | None = None, *, beside: bool = False
    ) -> None:
        check_pairing(spec, sampler)
        self.ledger = Ledger(spec)
        self.sampler = sampler.bind(spec.space, spec.goals, spec.seed)
        self.scheduler = None if scheduler is None else scheduler.bind(spec.goals)
        self.shelf = Shelf(self.ledger, self.sampler, beside=beside)
        self._facts: list[Fact] = []  # of the event that is being decided

    # -------------------------------------------------------------------------------------------- deciding

    def step(self, event: Event) -> Decision:
        """Decide on an event and apply what was decided."""
        self._facts = []
        reply = self._handlers[type(event)](self, event)
        self._stop_if_due(event.at)
        return Decision(reply=reply, facts=tuple(self._facts))

    def open(self, at: float, spec: StudySpec) -> tuple[Fact, ...]:
        """Take the study up (again): adopt the spec's limits and requeue what an earlier session left running."""
        self._facts = []
        if spec.limits != self.ledger.spec.limits:
            self._record(StudyExtended(limits=spec.limits.to_json(), at=at))
        self._record(SessionOpened(at=at))
        for trial in self._running():
            self._requeue(trial, "the session before ended", at)
        self._stop_if_due(at)
        return tuple(self._facts)

    def apply(self, fact: Fact) -> None:
        """Take in a fact, live or in replay."""
        trial = self.ledger.apply(fact)
        if trial is None or isinstance(fact, Printed):
            return
        if self.scheduler is not None:
            self.scheduler.observe(trial)
        if isinstance(fact, Finished):
            self.sampler.tell(trial)

    def _record(self, fact: Fact) -> None:
        self.apply(fact)
        self._facts.append(fact)

    # -------------------------------------------------------------------------------------------- handing out

    def _asked(self, event: Asked) -> Lease:
        ledger = self.ledger
        if ledger.stopped is not None:
            return _OVER
        if owned := [number for number in ledger.owned.get(event.worker, ()) if number not in event.holding]:
            return self._lease([ledger.trials[number] for number in owned])
        if ledger.requeued:  # one at a time: if it brings its worker down again, we know which it was
            return self._lease([self._hand_out_again(event)])
        trials = [trial for _ in range(self._share(event)) if (trial := self._hand_out(event)) is not None]
        if trials:
            return self._lease(trials)
        return _WAIT if ledger.stopped is None else _OVER

    def _share(self, event: Asked) -> int:
        """How many trials a worker may have at once; fewer towards the end, so that all workers come to it together."""
        if not self.sampler.traits.history_free:
            return 1
        num_trials, num_workers = self.ledger.spec.limits.num_trials, len(self.ledger.owned) + 1
        if num_trials is None:
            return event.limit
        return min(event.limit, max(1, (num_trials - len(self.ledger.trials)) // (2 * num_workers)))

    def _hand_out_again(self, event: Asked) -> Trial:
        trial = self.ledger.trials[self.ledger.requeued[0]]
        self._record(Started(number=trial.number, attempt=trial.attempt + 1, worker=event.worker, at=event.at))
        return self.ledger.trials[trial.number]

    def _hand_out(self, event: Asked) -> Trial | None:
        """A new trial: the user's next point, or else the sampler's next suggestion; None if there is none now."""
        ledger = self.ledger
        number = len(ledger.trials)
        if self._is_full():
            return None
        if ledger.enqueued:
            self.shelf.clear()  # its numbers have moved
            started = Started(number=number, worker=event.worker, at=event.at, config=ledger.enqueued[0])
        else:
            idea = self.shelf.take()
            if idea is None or not isinstance(idea.outcome, Suggestion):
                self._nothing_to_suggest(idea, event.at)
                return None
            started = self._start(idea, idea.outcome, event)
        self._record(started)
        return ledger.trials[number]

    def _start(self, idea: Idea, suggestion: Suggestion, event: Asked) -> Started:
        return Started(
            number=idea.job.number,
            worker=event.worker,
            at=event.at,
            config=self.ledger.spec.space.pack(suggestion.config),
            basis=idea.job.basis,
            meta=suggestion.meta,
            parent=suggestion.parent,
        )

    def _lease(self, trials: list[Trial]) -> Lease:
        return Lease(
            assignments=tuple(
                [
                    Assignment(number=t.number, attempt=t.attempt, config=t.config, next_step=self._next_step(t))
                    for t in trials
                ]
            )
        )

    def _next_step(self, trial: Trial) -> int | None:
        return None if self.scheduler is None else self.scheduler.next_step(trial)

    def _nothing_to_suggest(self, idea: Idea | None, at: float) -> None:
        if idea is not None and idea.outcome is Signal.EXHAUSTED and not self.ledger.open:
            self._stop("exhausted", at)

    # -------------------------------------------------------------------------------------------- listening

    def _measured(self, event: Measured) -> Answer:
        trial = self._held(event.number, event.attempt)
        if trial is None:
            return _STOP
        if trial.reports and event.step <= trial.reports[-1].step:
            return self._said_before(trial, event)
        if trial.reports and trial.reports[-1].verdict is Verdict.STOP:
            return _STOP
        fact = Reported(
            number=event.number,
            attempt=event.attempt,
            step=event.step,
            metrics=event.metrics,
            verdict=Verdict.CONTINUE,
            at=event.at,
        )
        if self.scheduler is not None:
            fact = self._judged(trial, fact)
        self._record(fact)
        return Answer(verdict=fact.verdict, next_step=self._next_step(self.ledger.trials[event.number]))

    def _judged(self, trial: Trial, fact: Reported) -> Reported:
        assert self.scheduler is not None
        verdict = self.scheduler.judge(evolve(trial, fact, self.ledger.spec.goals))
        if verdict is Verdict.CONTINUE:
            return fact
        return Reported(
            number=fact.number,
            attempt=fact.attempt,
            step=fact.step,
            metrics=fact.metrics,
            verdict=verdict,
            at=fact.at,
        )

    def _said_before(self, trial: Trial, event: Measured) -> Answer:
        """A repeated message gets the same answer."""
        verdict = next((r.verdict for r in reversed(trial.reports) if r.step == event.step), Verdict.CONTINUE)
        return Answer(verdict=verdict, next_step=self._next_step(trial))

    def _ended(self, event: Ended) -> Noted:
        trial = self._held(event.number, event.attempt)
        if trial is None:
            return _NOTED
        if event.output:
            self._record(Printed(number=event.number, attempt=event.attempt, text=event.output, at=event.at))
        self._finish(trial, event)
        return _NOTED

    def _finish(self, trial: Trial, event: Ended) -> None:
        stopped = bool(trial.reports) and trial.reports[-1].verdict is Verdict.STOP
        # An objective that swallows TrialStopped and returns was stopped all the same.
        status = Status.PRUNED if stopped and event.status is Status.COMPLETED else event.status
        self._record(
            Finished(
                number=event.number,
                attempt=event.attempt,
                status=status,
                at=event.at,
                metrics=trial.metrics if status is Status.PRUNED else event.metrics,
                error=event.error,
                started_at=event.started_at,
                duration_s=event.duration_s,
            )
        )

    def _held(self, number: int, attempt: int) -> Trial | None:
        """The trial if this attempt still runs it; None for a former owner's."""
        trials = self.ledger.trials
        if number < len(trials):
            trial = trials[number]
            if trial.attempt == attempt and trial.status is Status.RUNNING:
                return trial
        return None

    # -------------------------------------------------------------------------------------------- losing workers

    def _lost(self, event: Lost) -> Noted:
        owned = [self.ledger.trials[number] for number in self.ledger.owned.get(event.worker, ())]
        suspect = len(owned) == 1 and not event.blameless  # of several, nobody knows which it was
        for trial in owned:
            if suspect and trial.retries >= self.ledger.spec.max_retries:
                self._give_up(trial, event)
            else:
                self._requeue(trial, event.reason, event.at, spent=suspect)
        return _NOTED

    def _give_up(self, trial: Trial, event: Lost) -> None:
        error = (
            f"{event.reason}; the trial took its worker down {trial.retries + 1} times, "
            f"max_retries={self.ledger.spec.max_retries}"
        )
        self._record(
            Finished(number=trial.number, attempt=trial.attempt, status=Status.FAILED, at=event.at, error=error)
        )

    def _mustered(self, event: Mustered) -> Noted:
        for trial in self._running():
            if trial.worker is not None and not trial.worker.startswith(event.crew):
                self._requeue(trial, "its crew of workers was lost", event.at)
        return _NOTED

    def _returned(self, event: Returned) -> Noted:
        for number in event.numbers:
            if number in self.ledger.owned.get(event.worker, ()):
                self._requeue(self.ledger.trials[number], "returned", event.at)
        return _NOTED

    def _requeue(self, trial: Trial, reason: str, at: float, *, spent: bool = False) -> None:
        self._record(Requeued(number=trial.number, attempt=trial.attempt, reason=reason, spent=spent, at=at))

    def _running(self) -> Iterator[Trial]:
        return iter([trial for trial in self.ledger.open.values() if trial.status is Status.RUNNING])

    # -------------------------------------------------------------------------------------------- user and time

    def _added(self, event: Added) -> Noted:
        self._record(Enqueued(config=event.config, at=event.at))
        return _NOTED

    def _halted(self, event: Halted) -> Noted:
        self._stop(event.reason, event.at)
        return _NOTED

    def _ticked(self, event: Ticked) -> Noted:
        return _NOTED

    def _stop_if_due(self, at: float) -> None:
        reason = None if self.ledger.stopped is not None else self._reason_to_stop(at)
        if reason is not None:
            self._stop(reason, at)

    def _reason_to_stop(self, at: float) -> str | None:
        limits = self.ledger.spec.limits
        if self._is_full() and not self.ledger.open:
            return "num_trials"
        if limits.time_budget_s is not None and self.ledger.elapsed_s(at) >= limits.time_budget_s:
            return "time_budget_s"
        if limits.target is not None and self._has_reached(limits.target):
            return "target"
        return None

    def _is_full(self) -> bool:
        limit = self.ledger.spec.limits.num_trials
        return limit is not None and len(self.ledger.trials) >= limit

    def _has_reached(self, target: float) -> bool:
        best, goals = self.ledger.best[0], self.ledger.spec.goals[:1]
        goal_losses = to_losses({goals[0].metric: target}, goals)
        return best is not None and best.losses is not None and best.losses[:1] <= (goal_losses or ())

    def _stop(self, reason: str, at: float) -> None:
        """End the session; what runs waits to be taken up again."""
        if self.ledger.stopped is not None:
            return
        for trial in self._running():
            self._requeue(trial, f"study stopped: {reason}", at)
        self.shelf.clear()
        self._record(StudyStopped(reason=reason, at=at))

    _handlers: Mapping[type, Callable[[OptimizerCore, Any], Reply]] = {
        Asked: _asked,
        Measured: _measured,
        Ended: _ended,
        Returned: _returned,
        Lost: _lost,
        Mustered: _mustered,
        Added: _added,
        Halted: _halted,
        Ticked: _ticked,
    }
