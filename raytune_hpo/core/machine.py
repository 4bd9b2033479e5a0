"""The state machine that decides: commands in, facts and a reply out.

No Ray, disk, clock, thread or network here. ``step`` decides on a command and applies the facts; ``apply`` takes facts in
and is all that a replay needs, so the state after a replay is the live state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.core.growing import drawn_value
from raytune_hpo.core.handing_out import HandingOut
from raytune_hpo.core.instances import means_so_far, own_metrics
from raytune_hpo.core.keeping import Keeping, last_reported
from raytune_hpo.core.messages import (
    Annotate,
    Answer,
    AskTrials,
    Command,
    Decision,
    DrawParameter,
    EndTrial,
    EnqueueConfig,
    ExtendStudy,
    KeepCheckpoint,
    LoseWorker,
    Noted,
    OfferCheckpoint,
    Parameter,
    Recorded,
    RecordObservations,
    ReplaceWorkers,
    Reply,
    ReportMetrics,
    ReturnTrials,
    StopStudy,
    StopTrial,
    TakeTrial,
    Tick,
    Told,
    Wanted,
    WithdrawConfig,
)
from raytune_hpo.errors import SpaceError
from raytune_hpo.facts import (
    Annotated,
    Drawn,
    Enqueued,
    Fact,
    Finished,
    Paused,
    Printed,
    Released,
    Reported,
    Saved,
    SessionOpened,
    Started,
    Status,
    StopAsked,
    StudyExtended,
    Verdict,
    Withdrawn,
    changed,
)
from raytune_hpo.protocols import Sampler, Scheduler
from raytune_hpo.registry import check_pairing
from raytune_hpo.space.growing import domain_of, grown
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

ADOPTED = "adopted"  # recorded as the worker of a trial whose result came while it waited to be handed out again
_STOP = Answer(verdict=Verdict.STOP)
_NOTED = Noted()


class OptimizerCore(HandingOut):
    """Decides for one study.

    Args:
        sampler, scheduler: as made with their options; the core binds them to the study.
        ahead: suggestions that depend on results are computed by the caller, ahead of need (see Suggestions). Otherwise
            ``step`` computes them.
        keep_checkpoints: the number of best trials whose last checkpoint is kept.
        grace_s: how long a study that stops waits for running trials to save.

    Attributes:
        released: the checkpoints that are no longer kept, to be deleted by the caller.
    """

    def __init__(
        self,
        spec: StudySpec,
        sampler: Sampler,
        scheduler: Scheduler | None = None,
        *,
        ahead: bool = False,
        keep_checkpoints: int = 1,
        grace_s: float = 0.0,
    ) -> None:
        check_pairing(spec, sampler, scheduler)
        super().__init__(spec, sampler, scheduler, ahead=ahead, grace_s=grace_s)
        self.released: list[Checkpoint] = []
        self._keeping = Keeping(self.ledger, self.promoter, keep_checkpoints)

    def step(self, command: Command) -> Decision:
        """Decide on a command and apply what was decided."""
        self._facts = []
        reply = self._handlers[type(command)](self, command)
        self._stop_if_due(command.at)
        if self.last_call is not None and isinstance(reply, Answer):
            reply = changed(reply, is_last_call=True)
        return Decision(reply=reply, facts=tuple(self._facts))

    def open(
        self,
        at: float,
        spec: StudySpec,
        *,
        suspect: bool = False,
        blame: bool = False,
        retry_failed: bool = False,
        versions: Mapping[str, str] | None = None,
    ) -> tuple[Fact, ...]:
        """Take the study up (again): adopt the spec's limits and requeue what an earlier session left running.

        Args:
            suspect: whether these may have killed that session, and so are handed out last.
            blame: whether one that ran alone did kill it, and uses up a retry; for trials in the optimizer's own process.
            retry_failed: whether the configurations of failed trials are enqueued again.
            versions: the versions of packages that compute the suggestions of this session.
        """
        self._facts = []
        if spec.limits != self.ledger.spec.limits:
            self._record(StudyExtended(limits=spec.limits.to_json(), at=at))
        self._record(SessionOpened(at=at, versions=versions or {}))
        left = self.ledger.running()
        is_to_blame = blame and len(left) == 1
        for trial in left:
            self._take_back(trial, "the previous session ended", at, spent=is_to_blame, suspect=suspect or blame)
        for trial in list(self.ledger.trials) if retry_failed else ():
            if trial.status is Status.FAILED and trial.number not in self.ledger.retried:
                config = spec.space.pack(trial.config)
                self._record(Enqueued(config=config, at=at, retry_of=trial.number))
        self._stop_if_due(at)
        return tuple(self._facts)

    def _release_unwanted(self, number: int, at: float) -> None:
        """Release checkpoints that are no longer needed after a fact about a trial."""
        if not self.ledger.checkpoints:
            return
        for owner, step in self._keeping.unwanted(number):
            self._release(owner, step, "no longer needed", at)

    def _release(self, number: int, step: int, reason: str, at: float) -> None:
        self.released.append(Checkpoint(number, step, self.ledger.trials[number].checkpoints[step]))
        self._record(Released(number=number, step=step, reason=reason, at=at))

    # -------------------------------------------------------------------------------------------- listening

    def _report_metrics(self, command: ReportMetrics) -> Answer:
        trial = self._held(command.number, command.attempt)
        if trial is None:
            return _STOP
        if trial.from_step is not None and command.step <= trial.from_step:  # it starts over: we know what it says
            return Answer(verdict=Verdict.CONTINUE, next_step=self.next_step(trial))
        if trial.reports and command.step <= trial.reports[-1].step:  # a repeated message gets the same answer
            verdict = next((r.verdict for r in reversed(trial.reports) if r.step == command.step), Verdict.CONTINUE)
            return Answer(verdict=verdict, next_step=self.next_step(trial))
        if (last := _last_verdict(trial)).is_final:
            return Answer(verdict=last)
        own = own_metrics(command.step, command.metrics, self._order, self.ledger.spec.instances)
        report = Reported(
            number=command.number,
            attempt=command.attempt,
            step=command.step,
            metrics=means_so_far([*(r.own for r in trial.reports), own]) if own else command.metrics,
            verdict=Verdict.CONTINUE,
            at=command.at,
            saves=command.saves,
            own=own,
        )
        verdict = self.judge(report)
        self._record(report if verdict is Verdict.CONTINUE else changed(report, verdict=verdict))
        return Answer(verdict=verdict, next_step=self.next_step(self.ledger.trials[command.number]))

    def _draw_parameter(self, command: DrawParameter) -> Parameter:
        trial = self._held(command.number, command.attempt)
        if trial is None:
            return Parameter(is_held=False)
        spec = self.ledger.spec
        try:
            domain = domain_of(command.domain)
            space = grown(spec.space, command.name, domain)
        except SpaceError as error:
            return Parameter(problem=str(error))
        value = command.value if command.is_given else drawn_value(spec.seed, trial, command.name, domain)
        is_known = command.name in trial.config and trial.config[command.name] == value and space is spec.space
        if not is_known:
            self._record(
                Drawn(
                    number=trial.number,
                    attempt=trial.attempt,
                    name=command.name,
                    domain=command.domain,
                    value=value,
                    at=command.at,
                    is_given=command.is_given,
                )
            )
        if space is not spec.space:
            self.suggestions.clear()  # they were computed with fewer results
        return Parameter(value=value)

    def _annotate(self, command: Annotate) -> Noted:
        if command.number is None or command.number < len(self.ledger.trials):
            self._record(Annotated(number=command.number, name=command.name, value=command.value, at=command.at))
        return _NOTED

    def _keep_checkpoint(self, command: KeepCheckpoint) -> Answer:
        trial = self._held(command.number, command.attempt)
        if trial is None:
            return _STOP
        self._save(trial, command.step, command.checkpoint, command.at)
        self._release_unwanted(trial.number, command.at)
        return Answer(verdict=_last_verdict(trial), next_step=self.next_step(trial))

    def _save(self, trial: Trial, step: int, checkpoint: Mapping[str, Any], at: float) -> None:
        if step not in trial.checkpoints:
            saved = Saved(number=trial.number, attempt=trial.attempt, step=step, checkpoint=checkpoint, at=at)
            self._record(saved)

    def _offer_checkpoint(self, command: OfferCheckpoint) -> Wanted:
        trial = self._held(command.number, command.attempt)
        return Wanted(is_wanted=trial is not None and self._keeping.is_wanted(trial, command.metrics))

    def _end_trial(self, command: EndTrial) -> Told:
        known = self.ledger.trials[command.number] if command.number < len(self.ledger.trials) else None
        verdict = Verdict.CONTINUE if known is None else _last_verdict(known)  # adopting begins another attempt
        trial = self._held(command.number, command.attempt) or self._adopted(command)
        if trial is None:
            return Told(trial=known, is_news=False)
        if command.output:
            self._record(Printed(number=trial.number, attempt=trial.attempt, text=command.output, at=command.at))
        for name, value in command.notes.items():
            self._record(Annotated(number=trial.number, name=name, value=value, at=command.at))
        if command.notes:
            trial = self.ledger.trials[trial.number]
        if command.status is Status.WAITING:
            self._begin_before(trial, command)
            return Told(trial=self.ledger.trials[trial.number], is_news=True)
        if command.checkpoint is not None and trial.last_step is not None:
            self._save(trial, trial.last_step, command.checkpoint, command.at)
        status = command.status
        if verdict is Verdict.PAUSE and status is not Status.FAILED:
            status = Status.PRUNED if trial.number in self.ledger.stop_asked else Status.PAUSED
        elif verdict is Verdict.STOP and status is Status.COMPLETED:
            status = Status.PRUNED  # an objective that swallows TrialStopped and returns was stopped all the same
        elif verdict is Verdict.COMPLETE and status is Status.PRUNED:
            status = Status.COMPLETED  # with its last report: its objective continued after the last step
        if status is not Status.PAUSED:
            self._finish(trial, status, command)
        elif verdict is Verdict.PAUSE and trial.last_step is not None:
            self._record(
                Paused(
                    number=trial.number,
                    attempt=trial.attempt,
                    step=trial.last_step,
                    at=command.at,
                    duration_s=command.duration_s,
                )
            )
        else:
            self._requeue(trial, "paused without being told to", command.at)
        self._release_unwanted(trial.number, command.at)
        return Told(trial=self.ledger.trials[trial.number], is_news=True)

    def _begin_before(self, trial: Trial, command: EndTrial) -> None:
        """A trial's checkpoint cannot be read: let it resume from the previous one, or start over.

        One that began with none has failed over another's: it would do so again.
        """
        lost = self._begun_with(trial)
        if lost is None:
            self._finish(trial, Status.FAILED, command)
            self._release_unwanted(trial.number, command.at)
            return
        self._release(lost.number, lost.step, command.reason or "it cannot be read", command.at)
        self._requeue(trial, f"its checkpoint cannot be read: {command.reason}", command.at)

    def _finish(self, trial: Trial, status: Status, command: EndTrial) -> None:
        is_of_reports = status is not command.status or bool(self._order and trial.reports)
        is_bare = status is Status.PRUNED and not command.metrics
        metrics = trial.metrics if is_of_reports or is_bare else command.metrics
        if status is Status.COMPLETED and not metrics:
            metrics = last_reported(self.ledger, trial)
        self._record(
            Finished(
                number=trial.number,
                attempt=trial.attempt,
                status=status,
                at=command.at,
                metrics=metrics,
                error=command.error,
                reason=command.reason,
                started_at=command.started_at,
                duration_s=command.duration_s,
                asked=command.asked,
            )
        )

    def _adopted(self, command: EndTrial) -> Trial | None:
        """Adopt a late result: if it is that of a waiting trial's last attempt, record it and return the trial."""
        trials, number = self.ledger.trials, command.number
        if self.ledger.stopped is not None or number >= len(trials):
            return None
        trial = trials[number]
        if trial.status is not Status.WAITING or trial.attempt != command.attempt:
            return None
        return self._hand_out_as_it_is(trial, ADOPTED, command.at)

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
        is_to_blame = len(owned) == 1 and not command.blameless  # of several, it is unknown which one it was
        for trial in owned:
            self._take_back(trial, command.reason, command.at, spent=is_to_blame)
        return _NOTED

    def _take_back(self, trial: Trial, reason: str, at: float, *, spent: bool, suspect: bool = False) -> None:
        """Requeue a trial that came back unfinished; if it is to blame and has no retry left, it fails."""
        max_retries = self.ledger.spec.max_retries
        if not spent or trial.retries < max_retries:
            self._requeue(trial, reason, at, spent=spent, suspect=suspect)
            return
        error = f"{reason}; the trial took its worker down {trial.retries + 1} times, max_retries={max_retries}"
        self._record(
            Finished(
                number=trial.number, attempt=trial.attempt, status=Status.FAILED, at=at, error=error, reason=reason
            )
        )
        self._release_unwanted(trial.number, at)

    def _replace_workers(self, command: ReplaceWorkers) -> Noted:
        for trial in self.ledger.running():
            worker = trial.worker or ""
            is_spared = command.spared is not None and worker.startswith(command.spared)
            if not worker.startswith(command.prefix) and not is_spared:
                self._requeue(trial, "its pool of workers was lost", command.at)
        return _NOTED

    def _return_trials(self, command: ReturnTrials) -> Noted:
        for number in command.numbers:
            if number in self.ledger.owned.get(command.worker, ()):
                self._requeue(self.ledger.trials[number], "returned", command.at)
        return _NOTED

    # -------------------------------------------------------------------------------------------- user and time

    def _enqueue_config(self, command: EnqueueConfig) -> Noted:
        self._record(Enqueued(config=command.config, at=command.at, is_next=command.is_next))
        return _NOTED

    def _withdraw_config(self, command: WithdrawConfig) -> Noted:
        if command.position in self.ledger.enqueued:
            self._record(Withdrawn(position=command.position, at=command.at))
        return _NOTED

    def _record_observations(self, command: RecordObservations) -> Recorded:
        """Record points of the user that were measured elsewhere, ahead of those in the queue."""
        ledger = self.ledger
        is_full = ledger.num_left is not None and len(command.observations) > ledger.num_left
        if ledger.stopped is not None or is_full:
            return Recorded(numbers=())
        first = len(ledger.trials)
        self.suggestions.clear()  # their numbers have moved
        for number, seen in enumerate(command.observations, first):
            position = ledger.num_enqueued
            self._record(Enqueued(config=seen.config, at=command.at))
            self._record(
                Started(number=number, worker=command.worker, at=command.at, config=seen.config, position=position)
            )
            self._record(
                Finished(
                    number=number,
                    attempt=1,
                    status=seen.status,
                    at=command.at,
                    metrics=seen.metrics,
                    error=seen.error,
                    reason=seen.reason,
                    duration_s=seen.duration_s,
                )
            )
        return Recorded(numbers=tuple(range(first, len(ledger.trials))))

    def _take_trial(self, command: TakeTrial) -> Noted:
        trials = self.ledger.trials
        if self.ledger.stopped is None and command.number < len(trials):
            trial = trials[command.number]
            if trial.status is Status.WAITING:
                self._hand_out_as_it_is(trial, command.worker, command.at)
        return _NOTED

    def _stop_trial(self, command: StopTrial) -> Noted:
        trials = self.ledger.trials
        if command.number >= len(trials) or trials[command.number].status.is_finished:
            return _NOTED
        trial = trials[command.number]
        self._record(StopAsked(number=command.number, at=command.at))
        waits = trial.status is Status.WAITING and self.ledger.stopped is None
        if waits:
            trial = self._hand_out_as_it_is(trial, ADOPTED, command.at)
        if waits or trial.status is Status.PAUSED:
            self._record(
                Finished(
                    number=trial.number,
                    attempt=trial.attempt,
                    status=Status.PRUNED,
                    at=command.at,
                    metrics=trial.metrics,
                )
            )
            self._release_unwanted(trial.number, command.at)
        return _NOTED

    def _extend_study(self, command: ExtendStudy) -> Noted:
        if self.ledger.stopped is None and command.limits != self.ledger.spec.limits:
            self._record(StudyExtended(limits=command.limits.to_json(), at=command.at))
        return _NOTED

    def _stop_study(self, command: StopStudy) -> Noted:
        if command.at_once:
            self._stop(command.reason, command.at)
        elif self.last_call is None and self.ledger.stopped is None:
            self._call_last(command.reason, command.at)
        return _NOTED

    def _tick(self, command: Tick) -> Noted:
        return _NOTED

    _handlers: Mapping[type, Callable[[OptimizerCore, Any], Reply]] = {
        AskTrials: HandingOut._ask_trials,
        DrawParameter: _draw_parameter,
        Annotate: _annotate,
        ReportMetrics: _report_metrics,
        KeepCheckpoint: _keep_checkpoint,
        OfferCheckpoint: _offer_checkpoint,
        EndTrial: _end_trial,
        ReturnTrials: _return_trials,
        LoseWorker: _lose_worker,
        ReplaceWorkers: _replace_workers,
        EnqueueConfig: _enqueue_config,
        WithdrawConfig: _withdraw_config,
        RecordObservations: _record_observations,
        TakeTrial: _take_trial,
        StopTrial: _stop_trial,
        ExtendStudy: _extend_study,
        StopStudy: _stop_study,
        Tick: _tick,
    }


def _last_verdict(trial: Trial) -> Verdict:
    """The verdict on the newest report of a trial's attempt."""
    if not trial.reports or (trial.from_step is not None and trial.reports[-1].step <= trial.from_step):
        return Verdict.CONTINUE
    return trial.reports[-1].verdict
