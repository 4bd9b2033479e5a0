"""Simulated studies of given learning curves, which record everything that a scheduler decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.protocols import Continue, Scheduler, as_promoter
from raytune_hpo.testing.trials import GOALS, finish, go_on, pause, report, start
from raytune_hpo.trial import Trial

SchedulerMaker: TypeAlias = Callable[[], Scheduler]


@dataclass
class Race:
    """The record of learning curves that ran under a scheduler.

    Attributes:
        scheduler: the scheduler in its final state.
        goals: the goals of the study, whose metrics are those of ``metrics_of``.
        seen: the trials that it observed, in order.
        verdicts: its verdicts, by (number, step).
        expected: what ``next_step`` returned before each report, by (number, step).
        promotions: each call of ``promote``: the number of observations before it, ``final``, and the answer.
        paused: the trials that are paused, by number.
    """

    scheduler: Scheduler
    goals: Sequence[Goal] = GOALS
    seen: list[Trial] = field(default_factory=list)
    verdicts: dict[tuple[int, int], Verdict] = field(default_factory=dict)
    expected: dict[tuple[int, int], int | None] = field(default_factory=dict)
    promotions: list[tuple[int, bool, Continue | None]] = field(default_factory=list)
    paused: dict[int, Trial] = field(default_factory=dict)

    @property
    def stopped(self) -> set[int]:
        """The trials that did not complete: they were stopped, or paused and never resumed."""
        ended = {number for (number, _), verdict in self.verdicts.items() if verdict is Verdict.STOP}
        return ended | set(self.paused)

    @property
    def completed(self) -> set[int]:
        return {trial.number for trial in self.seen if trial.status is Status.COMPLETED}

    def observe(self, trial: Trial) -> Trial:
        self.seen.append(trial)
        self.scheduler.observe(trial)
        return trial

    def report(self, trial: Trial, step: int, loss: float | None) -> tuple[Trial, Verdict]:
        """Make one report, which is judged and observed as the optimizer does it."""
        self.expected[trial.number, step] = self.scheduler.next_step(trial)
        metrics = None if loss is None else metrics_of(trial, loss, self.goals)
        verdict = self.scheduler.judge(report(trial, step, metrics, goals=self.goals))
        self.verdicts[trial.number, step] = verdict
        return self.observe(report(trial, step, metrics, verdict=verdict, goals=self.goals)), verdict

    def end(self, trial: Trial, loss: float, verdict: Verdict) -> Trial:
        """End a trial's attempt: it is paused, stopped or completed."""
        if verdict is Verdict.PAUSE:
            self.paused[trial.number] = self.observe(pause(trial))
            return self.paused[trial.number]
        status = Status.PRUNED if verdict is Verdict.STOP else Status.COMPLETED
        return self.observe(finish(trial, metrics_of(trial, loss, self.goals), status=status, goals=self.goals))

    def promote(self, *, final: bool) -> Trial | None:
        """The paused trial that the scheduler resumes now, running again; None if there is none."""
        promoter = as_promoter(self.scheduler)
        if promoter is None:
            return None
        chosen = promoter.promote(final=final)
        self.promotions.append((len(self.seen), final, chosen))
        if chosen is None:
            return None
        assert isinstance(chosen, Continue), f"promote returns a Continue or None, got {chosen!r}"
        assert chosen.number in self.paused, (
            f"promote names a trial that has paused, got {chosen!r}; paused are {sorted(self.paused)}"
        )
        trial = self.paused[chosen.number]
        assert promoter.keeps(trial) is True, (
            f"promote continues trial {chosen.number}, but keeps says that it may not: its checkpoint may be gone"
        )
        del self.paused[chosen.number]
        return self.observe(go_on(trial, until=chosen.until))


def metrics_of(trial: Trial, loss: float, goals: Sequence[Goal]) -> Mapping[str, Any]:
    """Metrics of which the first goal has this loss; a second one, "size", conflicts with it for some of the trials."""
    return {goals[0].metric: goals[0].value(loss), "size": trial.number % 5 - loss}


def has_just_reported(trial: Trial) -> bool:
    """Whether the trial was observed because of its newest report, which the scheduler has judged."""
    return trial.status is Status.RUNNING and bool(trial.reports) and trial.reports[-1].step != trial.from_step


def curves(num: int = 30, steps: int = 27) -> list[list[float]]:
    """Falling losses that never cross; the limit of curve i is ``(7 i mod num) / num``, so curve 0 is the best."""
    return [[(7 * i % num) / num + 1 / step for step in range(1, steps + 1)] for i in range(num)]


def race(
    scheduler: Scheduler,
    losses: Sequence[Sequence[float]],
    *,
    workers: int = 6,
    goals: Sequence[Goal] = GOALS,
    slow: Sequence[int] = (),
) -> Race:
    """Run curve i as trial i, advancing the running trials by one step each in turn.

    A free worker resumes a trial that the scheduler promotes, or else begins a new one. When no new trial is left and none
    is running, the scheduler is asked for final promotions, until it returns none.

    Args:
        goals: the goals to which the scheduler was bound.
        slow: the numbers of trials that advance only while no others run.
    """
    run = Race(scheduler, goals)
    waiting = [start(number, {}) for number in range(len(losses))]
    running: list[Trial] = []
    while True:
        while len(running) < workers:
            trial = run.promote(final=False)
            if trial is None and waiting:
                trial = run.observe(waiting.pop(0))
            if trial is None and not running:
                trial = run.promote(final=True)
            if trial is None:
                break
            running.append(trial)
        if not running:
            return run
        running.sort(key=lambda trial: trial.number in slow)
        trial = running.pop(0)
        curve, step, verdict = losses[trial.number], len(trial.reports) + 1, Verdict.CONTINUE
        if step <= len(curve):
            trial, verdict = run.report(trial, step, curve[step - 1])
        if verdict is Verdict.CONTINUE and step < len(curve):
            running.append(trial)
        else:
            run.end(trial, curve[min(step, len(curve)) - 1], verdict)
