"""The contract of schedulers: what every one must keep, and races of learning curves to see it by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import numpy as np

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.protocols import Scheduler
from raytune_hpo.registry import check_part, option_names, option_value
from raytune_hpo.testing.trials import GOALS, check_documented, finish, report, restart, start
from raytune_hpo.trial import Trial

SchedulerMaker: TypeAlias = Callable[[], Scheduler]


@dataclass
class Race:
    """What happened when learning curves ran under a scheduler.

    Attributes:
        scheduler: as it was at the end.
        seen: the trials it observed, in order.
        verdicts: by (number, step).
        expected: what ``next_step`` said before each report, by (number, step).
    """

    scheduler: Scheduler
    seen: list[Trial] = field(default_factory=list)
    verdicts: dict[tuple[int, int], Verdict] = field(default_factory=dict)
    expected: dict[tuple[int, int], int | None] = field(default_factory=dict)

    @property
    def stopped(self) -> set[int]:
        return {number for (number, _), verdict in self.verdicts.items() if verdict is not Verdict.CONTINUE}

    def observe(self, trial: Trial) -> Trial:
        self.seen.append(trial)
        self.scheduler.observe(trial)
        return trial

    def report(self, trial: Trial, step: int, loss: float | None) -> tuple[Trial, Verdict]:
        """One report, judged and observed as the optimizer does it."""
        self.expected[trial.number, step] = self.scheduler.next_step(trial)
        trial = report(trial, step, loss)
        verdict = self.verdicts[trial.number, step] = self.scheduler.judge(trial)
        return self.observe(trial), verdict


def curves(num: int = 30, steps: int = 27) -> list[list[float]]:
    """Falling losses that never cross; the limit of curve i is ``(7 i mod num) / num``, so curve 0 is the best."""
    return [[(7 * i % num) / num + 1 / step for step in range(1, steps + 1)] for i in range(num)]


def race(scheduler: Scheduler, losses: Sequence[Sequence[float]], *, workers: int = 6) -> Race:
    """Run curve i as trial i, one step of each running trial after the other."""
    run = Race(scheduler)
    waiting = list(enumerate(losses))
    running: list[tuple[Trial, Sequence[float]]] = []
    while waiting or running:
        while waiting and len(running) < workers:
            number, curve = waiting.pop(0)
            running.append((run.observe(start(number, {})), curve))
        trial, curve = running.pop(0)
        step = len(trial.reports) + 1
        trial, verdict = run.report(trial, step, curve[step - 1])
        if verdict is Verdict.CONTINUE and step < len(curve):
            running.append((trial, curve))
        else:
            status = Status.COMPLETED if verdict is Verdict.CONTINUE else Status.PRUNED
            run.observe(finish(trial, {"loss": curve[step - 1]}, status=status))
    return run


def scheduler_cases(make: SchedulerMaker) -> dict[str, Callable[[], None]]:
    """Every check of a scheduler, by name.

    What lacks a member of the contract gets the first case alone, ``is_a_scheduler``, which says so. ``good_survive`` and
    ``equals_survive`` are for rules that compare trials; all others apply to every rule.
    """
    try:
        check_is_a_scheduler(make)
    except AssertionError:  # the other cases would only stumble over what this one says
        return {"is_a_scheduler": partial(check_is_a_scheduler, make)}
    return {check.__name__.removeprefix("check_"): partial(check, make) for check in SCHEDULER_CHECKS}


def check_is_a_scheduler(make: SchedulerMaker) -> None:
    """It has the methods and version of a scheduler, keeps its options as attributes, and ``bind`` returns another."""
    part = make()
    try:
        check_part("scheduler", part)
    except SpecError as error:
        raise AssertionError(str(error)) from error
    bound: object = part.bind(GOALS)
    assert type(bound) is type(part), f"bind returns a fresh scheduler of the same class, got {bound!r}"


def check_scheduler_bind_is_fresh(make: SchedulerMaker) -> None:
    """A scheduler bound from one that has judged has the same options, and knows nothing."""
    used = race(make().bind(GOALS), curves()).scheduler
    again = used.bind(GOALS)
    assert type(again) is type(used), f"bind returns a scheduler of the same class, got {again!r}"
    for option in option_names(type(again)):
        old, new = option_value(used, option), option_value(again, option)
        assert new == old, f"bind passes options on: {option} was {old!r}, and is {new!r}"
    says, should_say = race(again, curves()).verdicts, race(make().bind(GOALS), curves()).verdicts
    assert says == should_say, "what bind returns has observed nothing: its verdicts are those of a new one"


def check_judge_reads_only(make: SchedulerMaker) -> None:
    """Judging three times says the same three times, and leaves later verdicts as they are."""
    once, often = race(make().bind(GOALS), curves()), make().bind(GOALS)
    for trial in once.seen:
        if trial.reports and trial.status is Status.RUNNING:
            said = {often.judge(trial) for _ in range(3)}
            step = trial.reports[-1].step
            expected = once.verdicts[trial.number, step]
            assert said == {expected}, (
                f"judge reads only: of trial {trial.number} at step {step} it says {said} when it is asked three "
                f"times, {expected!r} when it is asked once"
            )
        often.observe(trial)


def check_scheduler_replay(make: SchedulerMaker) -> None:
    """A fresh scheduler that observes what a live one observed judges newcomers as the live one does."""
    live = race(make().bind(GOALS), curves())
    replayed = make().bind(GOALS)
    for trial in live.seen:
        replayed.observe(trial)
    assert _verdicts_on_newcomers(replayed) == _verdicts_on_newcomers(live.scheduler), (
        "a replay judges as the live one does: observe alone learns, and judge remembers nothing"
    )


def check_ignores_own_entry(make: SchedulerMaker) -> None:
    """A verdict is the same before and after the scheduler has observed the report, and after observing it twice."""
    live, scheduler = race(make().bind(GOALS), curves()), make().bind(GOALS)
    for trial in live.seen:
        scheduler.observe(trial)
        scheduler.observe(trial)
        if trial.reports and trial.status is Status.RUNNING:
            step = trial.reports[-1].step
            said, expected = scheduler.judge(trial), live.verdicts[trial.number, step]
            assert said is expected, (
                f"judge leaves out what it remembers of the trial itself: of trial {trial.number} at step {step} it says "
                f"{said!r} after the report was observed, {expected!r} before"
            )


def check_next_step(make: SchedulerMaker) -> None:
    """Before the step that ``next_step`` names there is no verdict but CONTINUE."""
    run = race(make().bind(GOALS), curves())
    for (number, step), verdict in run.verdicts.items():
        due = run.expected[number, step]
        if due is None or step < due:
            assert verdict is Verdict.CONTINUE, f"trial {number} was stopped at step {step}, next_step said {due}"


def check_repeat_replaces(make: SchedulerMaker) -> None:
    """Of a trial that starts over, the first attempt leaves nothing behind at steps that the second one reaches."""
    once, twice = race(make().bind(GOALS), curves()), make().bind(GOALS)
    for trial in once.seen:
        if trial.status is Status.RUNNING and not trial.reports:
            lost = report(trial, 1, 1e6)
            for earlier in (trial, lost, restart(lost)):
                twice.observe(earlier)
        else:
            twice.observe(replace(trial, attempt=2))
    assert _verdicts_on_newcomers(twice) == _verdicts_on_newcomers(once.scheduler), (
        "after a requeue a trial's reports begin anew: observe remembers by the trial's number, and replaces"
    )


def check_good_survive(make: SchedulerMaker) -> None:
    """The best curve is never stopped, some are, and those are worse than the others on average."""
    losses = curves()
    stopped = race(make().bind(GOALS), losses).stopped
    limits = [curve[-1] for curve in losses]
    assert 0 not in stopped, "the best trial was stopped"
    assert stopped, "nobody was stopped"
    kept = [limit for number, limit in enumerate(limits) if number not in stopped]
    assert np.mean([limits[number] for number in stopped]) > np.mean(kept), (
        "those that were stopped are better than those that were kept: losses are minimised, whatever the mode"
    )


def check_equals_survive(make: SchedulerMaker) -> None:
    """Among equal curves nobody is stopped, nor is a trial without company."""
    assert not race(make().bind(GOALS), [curves()[5]] * 20).stopped, "one of twenty equal trials was stopped"
    assert not race(make().bind(GOALS), [curves()[5]]).stopped, "a trial that is alone was stopped"


def check_reports_without_losses(make: SchedulerMaker) -> None:
    """Reports that say nothing about the goal are no reason to stop, and no harm to others."""
    run = race(make().bind(GOALS), curves())
    trial = run.observe(start(99, {}))
    for step in range(1, 28):
        trial, verdict = run.report(trial, step, None)
        assert verdict is Verdict.CONTINUE, (
            f"a report without losses is no reason to stop, got {verdict!r} at step {step}"
        )
    _verdicts_on_newcomers(run.scheduler)  # nor do they break what comes after them


SCHEDULER_CHECKS: tuple[Callable[[SchedulerMaker], None], ...] = (
    check_is_a_scheduler,
    check_documented,
    check_scheduler_bind_is_fresh,
    check_judge_reads_only,
    check_scheduler_replay,
    check_ignores_own_entry,
    check_next_step,
    check_repeat_replaces,
    check_good_survive,
    check_equals_survive,
    check_reports_without_losses,
)


def _verdicts_on_newcomers(scheduler: Scheduler) -> list[Verdict]:
    """Verdicts on trials of every quality at every step, none of which is observed."""
    verdicts = []
    for number, curve in enumerate(curves(10), start=1000):
        trial = start(number, {})
        for step, loss in enumerate(curve, start=1):
            trial = report(trial, step, loss)
            verdicts.append(scheduler.judge(trial))
    return verdicts
