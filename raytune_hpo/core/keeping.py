"""Retention of checkpoints: which ones are kept, and from which one a trial resumes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.facts import Status
from raytune_hpo.goals import to_losses, violations_of
from raytune_hpo.protocols import Promoter
from raytune_hpo.trial import Trial

Losses: TypeAlias = tuple[float, ...]
_SWEEP_EVERY = 16  # checkpoints more than after the last sweep, and as many again as there were then


class Keeping:
    """Decides of each checkpoint whether it may still be needed.

    Needed are the newest one of every trial that runs, waits, or may continue; the one from which a running child began; and
    those of the best completed trials.

    Args:
        promoter: decides which trials may continue; None: all that have paused, and none that has completed.
        num_best: the number of best completed trials whose last checkpoint is kept.
    """

    def __init__(self, ledger: Ledger, promoter: Promoter | None, num_best: int) -> None:
        self._ledger, self._promoter, self._num_best = ledger, promoter, num_best
        # Losses and numbers of the best that have one. By the first goal; of equals there, those on the front come first.
        self._best: list[tuple[Losses, int]] | None = None
        self._sweep_at = _SWEEP_EVERY

    def is_wanted(self, trial: Trial, metrics: Mapping[str, Any]) -> bool:
        """Whether a trial that is about to complete with these metrics shall save its last checkpoint."""
        spec = self._ledger.spec
        losses = to_losses(metrics, spec.goals)
        if losses is None or violations_of(metrics, spec.constraints):
            return False
        best = self._of_best()
        is_good = len(best) < self._num_best or (bool(best) and (losses, trial.number) < best[-1])
        return is_good or (self._promoter is not None and self._promoter.keeps(trial))

    def unwanted(self, number: int) -> Iterator[tuple[int, int]]:
        """(trial, step) of the checkpoints that are no longer needed after a fact about a trial."""
        ledger = self._ledger
        trial = ledger.trials[number]
        looked_at = {number} if trial.from_trial is None else {number, trial.from_trial}
        if trial.status is Status.COMPLETED and trial.checkpoints:
            looked_at |= self._entered(trial)
        has_ended_segment = trial.until is not None and trial.status.is_finished  # then it replaces any other one
        if has_ended_segment or len(ledger.checkpoints) >= self._sweep_at:
            looked_at |= set(ledger.checkpoints)
        begun_with = set[tuple[int | None, int | None]]()
        if not looked_at.isdisjoint(ledger.parents):
            children = (trial for trial in ledger.unfinished.values() if not trial.checkpoints)
            begun_with = {(child.from_trial, child.from_step) for child in children}
        for candidate in sorted(looked_at):
            kept = ledger.trials[candidate].checkpoints
            newest = max(kept) if kept and self._newest_is_wanted(ledger.trials[candidate]) else None
            yield from ((candidate, s) for s in kept if s != newest and (candidate, s) not in begun_with)
        if len(ledger.checkpoints) >= self._sweep_at:  # what is left; those just yielded are gone by now
            self._sweep_at = 2 * len(ledger.checkpoints) + _SWEEP_EVERY

    def _newest_is_wanted(self, trial: Trial) -> bool:
        return self._may_go_on(trial) or (trial.is_feasible and self._is_best(trial))

    def _may_go_on(self, trial: Trial) -> bool:
        if trial.status in (Status.RUNNING, Status.WAITING):
            return True
        if self._promoter is None:  # with pauses, it is the sampler that decides which continues: any may
            return trial.status is Status.PAUSED
        return self._promoter.keeps(trial)

    def _is_best(self, trial: Trial) -> bool:
        return any(number == trial.number for _, number in self._of_best())

    def _of_best(self) -> list[tuple[Losses, int]]:
        if self._best is None:
            self._best = []
            for number in self._ledger.checkpoints:
                self._enter(self._ledger.trials[number])
        return self._best

    def _entered(self, trial: Trial) -> set[int]:
        """The trials that are no longer among the best, now that this one has completed with a checkpoint."""
        before = {number for _, number in self._of_best()}
        self._enter(trial)
        return before - {number for _, number in self._of_best()}

    def _enter(self, trial: Trial) -> None:
        best = self._best
        assert best is not None
        if trial.losses is not None and trial.is_feasible and (trial.losses, trial.number) not in best:
            insort(best, (trial.losses, trial.number))
            del best[self._num_best :]


def resume_point(ledger: Ledger, trial: Trial) -> tuple[int | None, int | None]:
    """From where a trial resumes: (trial whose checkpoint it is, step); (None, None): from the start.

    Its own newest one, or else that of the nearest ancestor that has one. Where steps are instances, it continues with the
    next one.
    """
    if ledger.spec.instances:
        return None, trial.last_step
    if trial.checkpoints:
        return trial.number, max(trial.checkpoints)
    return first_kept(ledger, trial.parent) if trial.from_trial is not None else (None, None)


def last_reported(ledger: Ledger, trial: Trial) -> Mapping[str, Any]:
    """What a trial reported last or, if it has not reported, what its parent did at the step from which it continues."""
    if trial.reports or trial.from_trial is None:
        return trial.metrics
    parent = ledger.trials[trial.from_trial]
    return next((report.metrics for report in parent.reports if report.step == trial.from_step), {})


def first_kept(ledger: Ledger, number: int | None, step: int | None = None) -> tuple[int | None, int | None]:
    """A trial's checkpoint of a step, or else the newest of the nearest ancestor that has one; (None, None) for neither."""
    seen: Iterable[int] = ()
    while number is not None and 0 <= number < len(ledger.trials) and number not in seen:
        ancestor = ledger.trials[number]
        if step in ancestor.checkpoints:
            return number, step
        if ancestor.checkpoints:
            return number, max(ancestor.checkpoints)
        seen = {*seen, number}
        number = ancestor.parent
    return None, None


def kept_records(ledger: Ledger) -> Iterator[Mapping[str, Any]]:
    """The records of all checkpoints that are kept."""
    for number in ledger.checkpoints:
        yield from ledger.trials[number].checkpoints.values()
