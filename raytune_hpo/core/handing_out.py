"""Handing out of trials: which one a worker gets next, and when the study is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_hpo.analysis.stagnation import has_stagnated
from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.core.asking import check_stored
from raytune_hpo.core.fold import StudyFold
from raytune_hpo.core.instances import order_of
from raytune_hpo.core.keeping import first_kept, resume_point
from raytune_hpo.core.last_call import LastCall
from raytune_hpo.core.messages import AskTrials, Assignment, Lease, SuggestionRequest
from raytune_hpo.core.suggestions import Suggestions
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Fact, Requeued, Started, Status, StudyStopped
from raytune_hpo.protocols import Continue, Sampler, Scheduler, Signal
from raytune_hpo.rng import derive
from raytune_hpo.space import Space
from raytune_hpo.space.growing import domain_form, domains_of
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

_WAIT = Lease()
_OVER = Lease(is_over=True)


class HandingOut(StudyFold):
    """A fold that also decides what comes next: trials for the workers that ask, or the end of the study.

    Trials are handed out in this order: those that the worker owns and has lost; those that came back; those that the
    scheduler promotes; those that the user enqueued; those that the sampler suggests, new or paused; those that may have
    killed a session; and when nothing else is left, those that the scheduler promotes then.

    Args:
        sampler, scheduler, ahead, grace_s: see OptimizerCore.

    Attributes:
        last_call: what the session waits for before it stops; None while it continues.
    """

    def __init__(
        self, spec: StudySpec, sampler: Sampler, scheduler: Scheduler | None, *, ahead: bool, grace_s: float
    ) -> None:
        super().__init__(spec, sampler, scheduler)
        self.last_call: LastCall | None = None
        self._grace_s = grace_s
        self.suggestions = Suggestions(self.ledger, self.sampler, ahead=ahead)
        self._order = order_of(len(spec.instances), spec.seed)
        self._forms: tuple[Space, Mapping[str, Mapping[str, Any]]] | None = None  # of the parameters of a growing space
        self._facts: list[Fact] = []  # of the command that is being decided
        # A number of finished trials, and whether the search had stagnated.
        self._stagnant: tuple[int, bool] | None = None

    def _record(self, fact: Fact) -> None:
        self.apply(fact)
        self._facts.append(fact)

    def _ask_trials(self, command: AskTrials) -> Lease:
        ledger = self.ledger
        self._stop_if_due(command.at)  # first: a trial that is handed out when time is up would run for nothing
        if ledger.stopped is not None:
            return _OVER
        if self.last_call is not None:
            return _WAIT
        if owned := [number for number in ledger.owned.get(command.worker, ()) if number not in command.holding]:
            return self._lease([ledger.trials[number] for number in owned])
        if ledger.requeued:  # one at a time: if it brings its worker down again, we know which it was
            return self._lease([self._hand_out_again(next(iter(ledger.requeued)), command.worker, command.at)])
        if (chosen := self.promotion(final=False)) is not None:
            return self._lease([self._go_on(chosen, command)])
        trials = [trial for _ in range(self._share(command)) if (trial := self._hand_out(command)) is not None]
        if not trials and ledger.stopped is None and (number := self._next_suspect()) is not None:
            trials = [self._hand_out_again(number, command.worker, command.at)]
        is_still = not trials and ledger.stopped is None and ledger.is_settled and self.suggestions.request(1) is None
        if is_still and (chosen := self.promotion(final=True)) is not None:
            trials = [self._go_on(chosen, command)]
        if trials:
            return self._lease(trials)
        return _WAIT if ledger.stopped is None else _OVER

    def _share(self, command: AskTrials) -> int:
        """How many new trials a worker may have at once.

        One if the sampler learns: the next suggestion would miss the results of those that wait in the lease; and one if
        trials report and may be paused: promoted ones would wait for those in the lease. Otherwise what it asks for, but no
        more than half of an even share of what is left: leases shrink towards the end, so that no worker is still busy with
        a long one when the others are idle.
        """
        may_pause = self.promoter is not None and self.ledger.num_steps > 0
        if may_pause or not self.sampler.traits.history_free:
            return 1
        num_trials, num_workers = self.ledger.spec.limits.num_trials, len(self.ledger.owned) + 1
        if num_trials is None:
            return command.limit
        return min(command.limit, max(1, (num_trials - len(self.ledger.trials)) // (2 * num_workers)))

    def _hand_out_again(self, number: int, worker: str, at: float) -> Trial:
        """A trial that waits is handed out again, to continue from its newest checkpoint."""
        trial = self.ledger.trials[number]
        return self._start_again(trial, worker, at, resume_point(self.ledger, trial), until=trial.until)

    def _go_on(self, chosen: Continue, command: AskTrials, basis: int | None = None) -> Trial:
        """A paused trial that was chosen continues, from its newest checkpoint."""
        trial = self.ledger.trials[chosen.number]
        basis = self.ledger.seen if basis is None else basis
        begin = resume_point(self.ledger, trial)
        return self._start_again(trial, command.worker, command.at, begin, until=chosen.until, basis=basis)

    def _hand_out_as_it_is(self, trial: Trial, worker: str, at: float) -> Trial:
        """Hand out a waiting trial so that it continues after its last report, since the worker has its state."""
        return self._start_again(trial, worker, at, (None, trial.last_step), until=trial.until)

    def _start_again(
        self,
        trial: Trial,
        worker: str,
        at: float,
        begin: tuple[int | None, int | None],
        *,
        until: int | None,
        basis: int | None = None,
    ) -> Trial:
        from_trial, from_step = begin
        self._record(
            Started(
                number=trial.number,
                attempt=trial.attempt + 1,
                worker=worker,
                at=at,
                basis=basis,
                until=until,
                from_trial=from_trial,
                from_step=from_step,
            )
        )
        return self.ledger.trials[trial.number]

    def _next_suspect(self) -> int | None:
        """The next of the trials that were running when a session died; None if none may go out now.

        They come after everything new. Those to which that happened twice run one at a time: if the session dies again, it
        is known which one it was.
        """
        ledger = self.ledger
        wary = any(ledger.session_deaths(trial.number) > 1 for trial in ledger.running())
        for number, deaths in ledger.suspects.items():
            if deaths == 1 or not wary:
                return number
        return None

    def _hand_out(self, command: AskTrials) -> Trial | None:
        """A new trial: the user's next point, or else the sampler's next suggestion; None if there is none now."""
        ledger = self.ledger
        number = len(ledger.trials)
        if self._owes_a_suspect():
            return None
        if ledger.num_left == 0 and not (self.sampler.traits.continues and ledger.paused):
            return None
        if ledger.enqueued and ledger.num_left != 0:
            self.suggestions.clear()  # its numbers have moved
            config = next(iter(ledger.enqueued.values())).config
            self._record(Started(number=number, worker=command.worker, at=command.at, config=config))
            return ledger.trials[number]
        prepared = self.suggestions.take()
        if prepared is None:
            return None
        if isinstance(prepared.outcome, Continue):
            if prepared.outcome.number in ledger.paused:
                return self._go_on(prepared.outcome, command, basis=prepared.request.basis)
            self.suggestions.clear()  # it was resumed meanwhile, or stopped
            return None
        if isinstance(prepared.outcome, Signal):
            self._hear(prepared.outcome, prepared.request, command.at)
            return None
        from_trial, from_step = None, None
        if prepared.outcome.from_step is not None:
            from_trial, from_step = first_kept(ledger, prepared.outcome.parent, prepared.outcome.from_step)
        space = ledger.spec.space
        config = prepared.outcome.config
        if not space.plain:  # values derived by functions may be domains, drawn for this trial alone
            config = space.drawn(config, derive(ledger.spec.seed, "derived", number))
        config = space.pack(config)
        check_stored(self.sampler, "config", config)
        self._record(
            Started(
                number=number,
                worker=command.worker,
                at=command.at,
                config=config,
                basis=prepared.request.basis,
                meta=prepared.outcome.meta,
                parent=prepared.outcome.parent,
                until=prepared.outcome.until,
                from_trial=from_trial,
                from_step=from_step,
            )
        )
        return ledger.trials[number]

    def _hear(self, signal: Signal, request: SuggestionRequest, at: float) -> None:
        """Handle the signal of a sampler that has nothing to suggest now, or is exhausted."""
        ledger = self.ledger
        if not ledger.is_settled or self.promotion(final=True) is not None:
            return
        if signal is Signal.EXHAUSTED:
            self._stop("exhausted" if ledger.num_left != 0 else "num_trials", at)
        elif request.history == len(ledger.told):
            raise SpecError(
                f"a sampler waits for trials that are pending, and there are none; ask of {type(self.sampler).__name__} "
                "returned Signal.WAIT: suggest something, or return Signal.EXHAUSTED"
            )

    def _owes_a_suspect(self) -> bool:
        """Whether a suspect must go out although new trials are left: without a limit of trials, it would wait for ever."""
        ledger = self.ledger
        is_endless = ledger.spec.limits.num_trials is None
        return is_endless and bool(ledger.suspects) and len(ledger.finished) > ledger.num_finished_before

    def _lease(self, trials: list[Trial]) -> Lease:
        return Lease(
            assignments=tuple(
                [
                    Assignment(
                        number=t.number,
                        attempt=t.attempt,
                        config=t.config,
                        next_step=self.next_step(t),
                        last_step=self.last_step,
                        from_step=t.from_step,
                        checkpoint=self._begun_with(t),
                        order=self._order,
                        domains=self._domains(),
                        slot=t.slot,
                    )
                    for t in trials
                ]
            )
        )

    def _domains(self) -> Mapping[str, Mapping[str, Any]] | None:
        """The known parameters of a growing space."""
        if not self.ledger.spec.grows:
            return None
        space = self.ledger.spec.space
        if self._forms is None or self._forms[0] is not space:
            self._forms = space, {name: domain_form(domain) for name, domain in domains_of(space).items()}
        return self._forms[1]

    def _begun_with(self, trial: Trial) -> Checkpoint | None:
        """The checkpoint that a trial's attempt begins with."""
        if trial.from_trial is None or trial.from_step is None:
            return None
        record = self.ledger.trials[trial.from_trial].checkpoints.get(trial.from_step)
        return None if record is None else Checkpoint(trial.from_trial, trial.from_step, record)

    # -------------------------------------------------------------------------------------------- the end

    def _stop_if_due(self, at: float) -> None:
        """End the session if a limit is reached and no running trial is waited for."""
        if self.ledger.stopped is not None:
            return
        if self.last_call is None and (limit := self._limit_reached(at)) is not None:
            self._call_last(limit, at)
        if self.last_call is not None and not self.last_call.is_waited_for(self.ledger, at):
            self._stop(self.last_call.reason, at)

    def _call_last(self, reason: str, at: float) -> None:
        """From now on, no trials are handed out, and running ones may save what they have done."""
        self.last_call = LastCall.of(self.ledger, reason, at + self._grace_s)

    def _limit_reached(self, at: float) -> str | None:
        """The name of a limit that is reached."""
        ledger = self.ledger
        limits = ledger.spec.limits
        if self._is_through():
            return "num_trials"
        # A trial that reports nothing counts as a step, or a study with no other limit would never end.
        if limits.num_steps is not None and ledger.num_steps + ledger.num_silent >= limits.num_steps:
            return "num_steps"
        if limits.max_failures is not None and self._num_failed() >= limits.max_failures:
            return "max_failures"
        if limits.time_budget_s is not None and ledger.elapsed_s(at) >= limits.time_budget_s:
            return "time_budget_s"
        if limits.target is not None and self._has_reached(limits.target):
            return "target"
        return "stagnation" if limits.stagnation and self._is_stagnant() else None

    def _is_through(self) -> bool:
        """Whether all trials that may begin have, and none of them runs, waits, or is to continue."""
        ledger = self.ledger
        if ledger.num_left != 0 or not ledger.is_settled:
            return False
        if self.sampler.traits.continues and ledger.paused:
            return False  # its sampler is asked when a worker comes
        return self.promotion(final=False) is None and self.promotion(final=True) is None

    def _num_failed(self) -> int:
        """The number of failures in this session: before resuming a study, its user has presumably fixed their cause."""
        return self.ledger.counts[Status.FAILED] - self.ledger.num_failed_before

    def _has_reached(self, target: float) -> bool:
        best, goal = self.ledger.best[0], self.ledger.spec.goals[0]
        return best is not None and best.losses is not None and best.losses[0] <= goal.loss(target)

    def _is_stagnant(self) -> bool:
        """Whether the search stagnates; checked at every command, computed once for each number of finished trials."""
        num = len(self.ledger.finished)
        if self._stagnant is None or self._stagnant[0] != num:
            self._stagnant = num, has_stagnated(self.ledger.finished, self.ledger.spec.space.num_columns)
        return self._stagnant[1]

    def _stop(self, reason: str, at: float) -> None:
        """End the session; running trials wait until the study is taken up again."""
        if self.ledger.stopped is not None:
            return
        for trial in self.ledger.running():
            self._requeue(trial, f"study stopped: {reason}", at)
        self.suggestions.clear()
        self.last_call = None
        self._record(StudyStopped(reason=reason, at=at))

    def _requeue(self, trial: Trial, reason: str, at: float, *, spent: bool = False, suspect: bool = False) -> None:
        self._record(
            Requeued(number=trial.number, attempt=trial.attempt, reason=reason, spent=spent, suspect=suspect, at=at)
        )
