"""The study's fold: the ledger with the learning sampler and scheduler; the same live, in a replay, and in an audit."""

from __future__ import annotations

from typing import cast

from raytune_hpo.core.asking import Telling, recall
from raytune_hpo.core.growing import GrowingSampler
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.lending import lender
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Drawn, Fact, Finished, Paused, Printed, Recalled, Released, Reported, Saved, Verdict
from raytune_hpo.options import is_integral
from raytune_hpo.protocols import (
    Continue,
    Promoter,
    Sampler,
    Scheduler,
    as_promoter,
    bound_sampler,
    bound_scheduler,
    last_step,
)
from raytune_hpo.registry import check_bound
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial


class StudyFold:
    """A ledger with the sampler and the scheduler that learn from its facts.

    Args:
        sampler, scheduler: as made with their options; the fold binds fresh ones to the study.

    Raises:
        SpecError: ``bind`` returns something that is not a sampler or scheduler, or one without the options.
    """

    def __init__(self, spec: StudySpec, sampler: Sampler, scheduler: Scheduler | None = None) -> None:
        self.ledger = Ledger(spec)
        bound = bound_sampler(sampler, spec.space, spec.goals, spec.seed, spec.constraints)
        self.sampler: Sampler = check_bound("sampler", sampler, bound)
        self._growing = GrowingSampler(sampler, spec) if spec.grows else None
        if self._growing is not None:
            self.sampler = cast(Sampler, self._growing)  # it has the traits of the sampler that it wraps
        self.scheduler: Scheduler | None = (
            None
            if scheduler is None
            else check_bound("scheduler", scheduler, bound_scheduler(scheduler, spec.goals, spec.constraints))
        )
        self.promoter: Promoter | None = as_promoter(self.scheduler)
        ends = [] if scheduler is None else [last_step(scheduler), len(spec.instances) or None]
        self.last_step = min((end for end in ends if end is not None), default=None)
        self._tell, self._lend = Telling(self.sampler), lender(self.scheduler)

    def apply(self, fact: Fact) -> None:
        """Apply a fact."""
        space = self.ledger.spec.space
        trial = self.ledger.apply(fact)
        kind = type(fact)
        if self._growing is not None and self.ledger.spec.space is not space:
            self._growing.grow(self.ledger.spec.space, self.ledger.seen)
        if isinstance(fact, Recalled):
            recall(self.sampler, fact)
        if trial is None or kind in _OF_NO_PART:
            return
        if self.scheduler is not None:
            self.scheduler.observe(self._lend(trial))
        if kind in _OF_THE_SAMPLER:
            self._tell(trial)

    def judge(self, report: Reported) -> Verdict:
        """The verdict on a report that has not been applied yet: STOP if a user asked for it, else the scheduler's."""
        if report.number in self.ledger.stop_asked:
            return Verdict.STOP
        if self.scheduler is None:
            return Verdict.CONTINUE
        verdict = self.scheduler.judge(self._lend(self.ledger.after(report)))
        if not isinstance(verdict, Verdict):
            raise SpecError(
                f"judge of {type(self.scheduler).__name__} returns a Verdict, got {verdict!r}; "
                "return Verdict.CONTINUE or Verdict.STOP"
            )
        if verdict is Verdict.PAUSE and self.promoter is None and not self.sampler.traits.continues:
            raise SpecError(
                f"a scheduler that pauses trials also resumes some; judge of {type(self.scheduler).__name__} returned "
                "Verdict.PAUSE, and it does not promote: give it promote and keeps, or return Verdict.STOP"
            )
        has_ended = self.last_step is not None and report.step >= self.last_step
        return Verdict.COMPLETE if has_ended and verdict is not Verdict.STOP else verdict

    def promotion(self, *, final: bool) -> Continue | None:
        """The paused trial that the scheduler promotes now.

        Raises:
            SpecError: the scheduler returns anything but None or a Continue of a trial that has paused.
        """
        if self.promoter is None or not self.ledger.paused:
            return None
        chosen = self.promoter.promote(final=final)
        if chosen is not None and (not isinstance(chosen, Continue) or chosen.number not in self.ledger.paused):
            raise SpecError(
                f"promote of {type(self.scheduler).__name__} returns None or a Continue of a trial that has paused, got "
                f"{chosen!r}; paused are {sorted(self.ledger.paused)[:10]}"
            )
        return chosen

    def next_step(self, trial: Trial) -> int | None:
        """The next step at which the verdict may be anything but CONTINUE; None if there is none.

        After the end of a segment there is one too, unless that was the last step: trials that continue from it reach it.

        Raises:
            SpecError: the scheduler returns anything but a whole number or None.
        """
        if self.last_step is not None and trial.reports and trial.reports[-1].step >= self.last_step:
            return None
        step = None if self.scheduler is None else self.scheduler.next_step(self._lend(trial))
        if step is not None and not is_integral(step):
            raise SpecError(
                f"next_step of {type(self.scheduler).__name__} returns a whole number or None, got {step!r}; "
                "return the first step at which judge may return anything but Verdict.CONTINUE"
            )
        if self.last_step is None:
            return step
        return self.last_step if step is None else min(step, self.last_step)


_OF_NO_PART = frozenset((Drawn, Printed, Saved, Released))  # facts that neither sampler nor scheduler learns from
_OF_THE_SAMPLER = frozenset((Finished, Paused))
