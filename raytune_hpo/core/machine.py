"""The state machine that decides: commands in, facts and a reply out.

No Ray, disk, clock, thread or network here. ``step`` decides on a command and applies the facts; ``apply`` takes facts in
and is all that a replay needs, so the state after a replay is the live state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from raytune_hpo.core.fold import StudyFold
from raytune_hpo.core.messages import (
    Answer,
    AskTrials,
    Assignment,
    Command,
    Decision,
    EndTrial,
    EnqueueConfig,
    Lease,
    LoseWorker,
    Noted,
    ReplaceWorkers,
    Reply,
    ReportMetrics,
    ReturnTrials,
    StopStudy,
    Tick,
)
from raytune_hpo.core.suggestions import Suggestions
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
from raytune_hpo.protocols import Sampler, Scheduler, Signal, Suggestion
from raytune_hpo.registry import check_pairing
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

_STOP = Answer(verdict=Verdict.STOP)
_NOTED = Noted()
_WAIT = Lease()
_OVER = Lease(is_over=True)


class OptimizerCore(StudyFold):
    """Decides for one study.

    Args:
        sampler, scheduler: as made with their options; the core binds them to the study.
        ahead: suggestions that depend on results are computed by the caller, ahead of need (see Suggestions). Otherwise
            ``step`` computes them.
    """

    def __init__(
        self, spec: StudySpec, sampler: Sampler, scheduler: Scheduler | None = None, *, ahead: bool = False
    ) -> None:
        check_pairing(spec, sampler)
        super().__init__(spec, sampler, scheduler)
        self.suggestions = Suggestions(self.ledger, self.sampler, ahead=ahead)
        self._facts: list[Fact] = []  # of the command that is being decided

    def step(self, command: Command) -> Decision:
        """Decide on a command and apply what was decided."""
        self._facts = []
        reply = self._handlers[type(command)](self, command)
        self._stop_if_due(command.at)
        return Decision(reply=reply, facts=tuple(self._facts))

    def open(self, at: float, spec: StudySpec) -> tuple[Fact, ...]:
        """Take the study up (again): adopt the spec's limits and requeue what an earlier session left running."""
        self._facts = []
        if spec.limits != self.ledger.spec.limits:
            self._record(StudyExtended(limits=spec.limits.to_json(), at=at))
        self._record(SessionOpened(at=at))
        for trial in self.ledger.running():
            self._requeue(trial, "the session before ended", at)
        self._stop_if_due(at)
        return tuple(self._facts)

    def _record(self, fact: Fact) -> None:
        self.apply(fact)
        self._facts.append(fact)

    # -------------------------------------------------------------------------------------------- handing out

    def _ask_trials(self, command: AskTrials) -> Lease:
        ledger = self.ledger
        if ledger.stopped is not None:
            return _OVER
        if owned := [number for number in ledger.owned.get(command.worker, ()) if number not in command.holding]:
            return self._lease([ledger.trials[number] for number in owned])
        if ledger.requeued:  # one at a time: if it brings its worker down again, we know which it was
            return self._lease([self._hand_out_again(command)])
        trials = [trial for _ in range(self._share(command)) if (trial := self._hand_out(command)) is not None]
        if trials:
            return self._lease(trials)
        return _WAIT if ledger.stopped is None else _OVER

    def _share(self, command: AskTrials) -> int:
        """How many new trials a worker may have at once.

        One where the sampler learns: the next suggestion would miss the results of those that wait in the lease. Otherwise
        what it asks for, but no more than half of an even share of what is left: leases shrink towards the end, so that
        no worker is still busy with a long one when the others have nothing to do.
        """
        if not self.sampler.traits.history_free:
            return 1
        num_trials, num_workers = self.ledger.spec.limits.num_trials, len(self.ledger.owned) + 1
        if num_trials is None:
            return command.limit
        return min(command.limit, max(1, (num_trials - len(self.ledger.trials)) // (2 * num_workers)))

    def _hand_out_again(self, command: AskTrials) -> Trial:
        number = next(iter(self.ledger.requeued))
        attempt = self.ledger.trials[number].attempt + 1
        self._record(Started(number=number, attempt=attempt, worker=command.worker, at=command.at))
        return self.ledger.trials[number]

    def _hand_out(self, command: AskTrials) -> Trial | None:
        """A new trial: the user's next point, or else the sampler's next suggestion; None if there is none now."""
        ledger = self.ledger
        number = len(ledger.trials)
        if self._is_full():
            return None
        if ledger.enqueued:
            self.suggestions.clear()  # its numbers have moved
            self._record(Started(number=number, worker=command.worker, at=command.at, config=ledger.enqueued[0]))
            return ledger.trials[number]
        prepared = self.suggestions.take()
        if prepared is None:
            return None
        if not isinstance(prepared.outcome, Suggestion):
            if prepared.outcome is Signal.EXHAUSTED and ledger.is_settled:
                self._stop("exhausted", command.at)
            return None
        self._record(
            Started(
                number=number,
                worker=command.worker,
                at=command.at,
                config=ledger.spec.space.pack(prepared.outcome.config),
                basis=prepared.request.basis,
                meta=prepared.outcome.meta,
                parent=prepared.outcome.parent,
            )
        )
        return ledger.trials[number]

    def _lease(self, trials: list[Trial]) -> Lease:
        return Lease(
            assignments=tuple(
                [
                    Assignment(number=t.number, attempt=t.attempt, config=t.config, next_step=self.next_step(t))
                    for t in trials
                ]
            )
        )

    # -------------------------------------------------------------------------------------------- listening

    def _report_metrics(self, command: ReportMetrics) -> Answer:
        trial = self._held(command.number, command.attempt)
        if trial is None:
            return _STOP
        if trial.reports and command.step <= trial.reports[-1].step:  # a repeated message gets the same answer
            verdict = next((r.verdict for r in reversed(trial.reports) if r.step == command.step), Verdict.CONTINUE)
            return Answer(verdict=verdict, next_step=self.next_step(trial))
        if trial.reports and trial.reports[-1].verdict is Verdict.STOP:
            return _STOP
        report = Reported(
            number=command.number,
            attempt=command.attempt,
            step=command.step,
            metrics=command.metrics,
            verdict=Verdict.CONTINUE,
            at=command.at,
        )
        verdict = self.judge(report)
        self._record(report if verdict is Verdict.CONTINUE else replace(report, verdict=verdict))
        return Answer(verdict=verdict, next_step=self.next_step(self.ledger.trials[command.number]))

    def _end_trial(self, command: EndTrial) -> Noted:
        trial = self._held(command.number, command.attempt)
        if trial is None:
            return _NOTED
        if command.output:
            self._record(Printed(number=command.number, attempt=command.attempt, text=command.output, at=command.at))
        was_stopped = bool(trial.reports) and trial.reports[-1].verdict is Verdict.STOP
        # An objective that swallows TrialStopped and returns was stopped all the same.
        status = Status.PRUNED if was_stopped and command.status is Status.COMPLETED else command.status
        self._record(
            Finished(
                number=command.number,
                attempt=command.attempt,
                status=status,
                at=command.at,
                metrics=trial.metrics if status is Status.PRUNED else command.metrics,
                error=command.error,
                started_at=command.started_at,
                duration_s=command.duration_s,
            )
        )
        return _NOTED

    def _held(self, number: int, attempt: int) -> Trial | None:
        """The trial if this attempt still runs it; None for a former owner's."""
        trials = self.ledger.trials
        if number < len(trials):
            trial = trials[number]
            if trial.attempt == attempt and trial.status is Status.RUNNING:
                return trial
        return None

    # -------------------------------------------------------------------------------------------- losing workers

    def _lose_worker(self, command: LoseWorker) -> Noted:
        owned = [self.ledger.trials[number] for number in self.ledger.owned.get(command.worker, ())]
        is_suspect = len(owned) == 1 and not command.blameless  # of several, nobody knows which it was
        max_retries = self.ledger.spec.max_retries
        for trial in owned:
            if is_suspect and trial.retries >= max_retries:
                error = (
                    f"{command.reason}; the trial took its worker down {trial.retries + 1} times, "
                    f"max_retries={max_retries}"
                )
                self._record(
                    Finished(
                        number=trial.number, attempt=trial.attempt, status=Status.FAILED, at=command.at, error=error
                    )
                )
            else:
                self._requeue(trial, command.reason, command.at, spent=is_suspect)
        return _NOTED

    def _replace_workers(self, command: ReplaceWorkers) -> Noted:
        for trial in self.ledger.running():
            if trial.worker is not None and not trial.worker.startswith(command.prefix):
                self._requeue(trial, "its pool of workers was lost", command.at)
        return _NOTED

    def _return_trials(self, command: ReturnTrials) -> Noted:
        for number in command.numbers:
            if number in self.ledger.owned.get(command.worker, ()):
                self._requeue(self.ledger.trials[number], "returned", command.at)
        return _NOTED

    def _requeue(self, trial: Trial, reason: str, at: float, *, spent: bool = False) -> None:
        self._record(Requeued(number=trial.number, attempt=trial.attempt, reason=reason, spent=spent, at=at))

    # -------------------------------------------------------------------------------------------- user and time

    def _enqueue_config(self, command: EnqueueConfig) -> Noted:
        self._record(Enqueued(config=command.config, at=command.at))
        return _NOTED

    def _stop_study(self, command: StopStudy) -> Noted:
        self._stop(command.reason, command.at)
        return _NOTED

    def _tick(self, command: Tick) -> Noted:
        return _NOTED

    def _stop_if_due(self, at: float) -> None:
        ledger = self.ledger
        limits = ledger.spec.limits
        if ledger.stopped is not None:
            return
        if self._is_full() and ledger.is_settled:
            self._stop("num_trials", at)
        elif limits.time_budget_s is not None and ledger.elapsed_s(at) >= limits.time_budget_s:
            self._stop("time_budget_s", at)
        elif limits.target is not None and self._has_reached(limits.target):
            self._stop("target", at)

    def _is_full(self) -> bool:
        limit = self.ledger.spec.limits.num_trials
        return limit is not None and len(self.ledger.trials) >= limit

    def _has_reached(self, target: float) -> bool:
        best, goal = self.ledger.best[0], self.ledger.spec.goals[0]
        return best is not None and best.losses is not None and best.losses[0] <= goal.loss(target)

    def _stop(self, reason: str, at: float) -> None:
        """End the session; what runs waits to be taken up again."""
        if self.ledger.stopped is not None:
            return
        for trial in self.ledger.running():
            self._requeue(trial, f"study stopped: {reason}", at)
        self.suggestions.clear()
        self._record(StudyStopped(reason=reason, at=at))

    _handlers: Mapping[type, Callable[[OptimizerCore, Any], Reply]] = {
        AskTrials: _ask_trials,
        ReportMetrics: _report_metrics,
        EndTrial: _end_trial,
        ReturnTrials: _return_trials,
        LoseWorker: _lose_worker,
        ReplaceWorkers: _replace_workers,
        EnqueueConfig: _enqueue_config,
        StopStudy: _stop_study,
        Tick: _tick,
    }
