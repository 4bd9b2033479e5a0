"""The contract of schedulers: rules that every scheduler must keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import make_constraints, violations_of
from raytune_hpo.options import is_integral
from raytune_hpo.protocols import Continue, Scheduler, as_promoter, bound_scheduler, reads_constraints
from raytune_hpo.registry import check_part
from raytune_hpo.testing.cases import case
from raytune_hpo.testing.promoters import promoter_cases
from raytune_hpo.testing.races import Race, SchedulerMaker, curves, has_just_reported, race
from raytune_hpo.testing.trials import (
    GOALS,
    TWO_GOALS,
    UPWARDS,
    check_documented,
    check_same_options,
    finish,
    report,
    restart,
    start,
)

_BREAKABLE = make_constraints(["size >= 1"])  # among the trials that break it are the best


def scheduler_cases(make: SchedulerMaker) -> dict[str, Callable[[], None]]:
    """Every check of a scheduler, by name.

    If a member of the contract is missing, the only case is ``is_a_scheduler``, which reports it. ``good_survive`` and
    ``equals_survive`` are for rules that compare trials, ``heeds_constraints`` for those that are bound with constraints;
    all others apply to every rule. A scheduler that pauses and promotes gets ``promoter_cases`` as well, but not
    ``equals_survive``, since it keeps some of several equals paused.
    """
    try:
        check_is_a_scheduler(make)
    except AssertionError:  # the other cases would only fail for the same reason
        return {"is_a_scheduler": case(check_is_a_scheduler, make)}
    cases: dict[str, Callable[[], None]] = {
        check.__name__.removeprefix("check_"): case(check, make) for check in SCHEDULER_CHECKS
    }
    if as_promoter(make()) is None:
        return cases
    del cases["equals_survive"]
    return cases | promoter_cases(make)


def check_is_a_scheduler(make: SchedulerMaker) -> None:
    """It has the methods and version of a scheduler, keeps its options as attributes, and ``bind`` returns another."""
    part = make()
    try:
        check_part("scheduler", part)
    except SpecError as error:
        raise AssertionError(str(error)) from error
    try:
        bound: object = part.bind(GOALS)
    except Exception as error:
        raise AssertionError(f"bind returns a fresh scheduler, got {error!r}") from error
    assert type(bound) is type(part), f"bind returns a fresh scheduler of the same class, got {bound!r}"


def check_scheduler_bind_is_fresh(make: SchedulerMaker) -> None:
    """A scheduler bound from one that has judged has the same options, and no memory."""
    first = race(make().bind(GOALS), curves())  # before any other: what is kept in the class is shared by all
    used, should_say = first.scheduler, first.verdicts
    check_same_options(make(), used)
    again = used.bind(GOALS)
    assert type(again) is type(used), f"bind returns a scheduler of the same class, got {again!r}"
    check_same_options(used, again)
    says = race(again, curves()).verdicts
    assert says == should_say, "what bind returns has observed nothing: its verdicts are those of a new one"


def check_judge_reads_only(make: SchedulerMaker) -> None:
    """Judging three times gives the same verdict each time, and does not change later ones."""
    once, often = race(make().bind(GOALS), curves()), make().bind(GOALS)
    for trial in once.seen:
        if has_just_reported(trial):
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
    assert _answers(replayed) == _answers(live.scheduler), (
        "a replay judges as the live one does: observe alone learns, and judge remembers nothing"
    )


def check_ignores_own_entry(make: SchedulerMaker) -> None:
    """A verdict is the same before and after the scheduler has observed the report, and after observing it twice."""
    live, scheduler = race(make().bind(GOALS), curves()), make().bind(GOALS)
    for trial in live.seen:
        scheduler.observe(trial)
        scheduler.observe(trial)
        if has_just_reported(trial):
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
        assert due is None or is_integral(due), f"next_step returns a whole number or None, got {due!r}"
        if due is None or step < due:
            assert verdict is Verdict.CONTINUE, f"trial {number} was stopped at step {step}, next_step said {due}"


def check_pauses(make: SchedulerMaker) -> None:
    """Only a scheduler that promotes pauses trials, since nobody else would resume them."""
    scheduler = make().bind(GOALS)
    if as_promoter(scheduler) is None:
        paused = race(scheduler, curves()).paused
        assert not paused, (
            f"it pauses trials {sorted(paused)} and promotes none: give it promote and keeps, or stop them"
        )


def check_repeat_replaces(make: SchedulerMaker) -> None:
    """If a trial starts over, nothing of its first attempt remains at steps that the second one reaches."""
    once, twice = race(make().bind(GOALS), curves()), make().bind(GOALS)
    for trial in once.seen:
        if trial.status is Status.RUNNING and not trial.reports:
            lost = report(trial, 1, 1e6, verdict=twice.judge(report(trial, 1, 1e6)))
            for earlier in (trial, lost, restart(lost)):
                twice.observe(earlier)
        else:
            twice.observe(replace(trial, attempt=trial.attempt + 1))
    assert _answers(twice) == _answers(once.scheduler), (
        "after a requeue a trial's reports begin anew: observe remembers by the trial's number, and replaces"
    )


def check_good_survive(make: SchedulerMaker) -> None:
    """The best curve is never stopped, some curves are, and those are worse than the others on average, in both modes."""
    losses = curves()
    limits = [curve[-1] for curve in losses]
    for goals in (GOALS, UPWARDS):
        stopped = race(make().bind(goals), losses, goals=goals).stopped
        mode = goals[0].mode
        assert 0 not in stopped, f"the best trial was stopped, with mode {mode!r}: compare losses, which are minimised"
        assert stopped, f"nobody was stopped, with mode {mode!r}"
        kept = [limit for number, limit in enumerate(limits) if number not in stopped]
        assert np.mean([limits[number] for number in stopped]) > np.mean(kept), (
            f"those that were stopped are better than those that were kept, with mode {mode!r}: losses are minimised, "
            f"whatever the mode"
        )


def check_equals_survive(make: SchedulerMaker) -> None:
    """No trial is stopped among equal curves, nor when it is the only one."""
    assert not race(make().bind(GOALS), [curves()[5]] * 20).stopped, "one of twenty equal trials was stopped"
    assert not race(make().bind(GOALS), [curves()[5]]).stopped, "a trial that is alone was stopped"


def check_reports_without_losses(make: SchedulerMaker) -> None:
    """Reports without the goal's metric neither stop a trial nor affect others."""
    run = race(make().bind(GOALS), curves())
    trial = run.observe(start(99, {}))
    for step in range(1, 28):
        trial, verdict = run.report(trial, step, None)
        assert verdict is Verdict.CONTINUE, (
            f"a report without losses is no reason to stop, got {verdict!r} at step {step}"
        )
    _answers(run.scheduler)  # nor do they break later calls


def check_odd_trials(make: SchedulerMaker) -> None:
    """Trials that end without a report, skip steps or have huge losses are observed like all others, and judged."""
    run = race(make().bind(GOALS), curves())
    for number, status in enumerate((Status.FAILED, Status.PRUNED, Status.COMPLETED), start=100):
        metrics = {"loss": 0.5} if status is Status.COMPLETED else None
        run.observe(finish(restart(run.observe(start(number, {}))), metrics, status=status))
    for number, losses in enumerate(
        ((1.0, 0.5, 0.4), (1.7e308, 1.7e308, 1.7e308), (-1.7e308, 1.7e308, 0.0)), start=200
    ):
        trial, verdict = run.observe(start(number, {})), Verdict.CONTINUE
        for step, loss in zip((3, 9, 27), losses, strict=True):
            if verdict is Verdict.CONTINUE:
                trial, verdict = run.report(trial, step, loss)
                assert isinstance(verdict, Verdict), f"judge returns a Verdict, got {verdict!r}"
        run.end(trial, losses[-1], verdict)
    _answers(run.scheduler)


def check_judges_several_goals(make: SchedulerMaker) -> None:
    """With two goals, unless ``bind`` refuses them by a SpecError, trials are judged, and judged again alike."""
    try:
        once, again = make().bind(TWO_GOALS), make().bind(TWO_GOALS)
    except SpecError:  # a scheduler for one goal says so when it is bound
        return
    verdicts = [race(scheduler, curves(), goals=TWO_GOALS).verdicts for scheduler in (once, again)]
    assert verdicts[0] == verdicts[1], "with two goals, the same reports get the same verdicts"


def check_heeds_constraints(make: SchedulerMaker) -> None:
    """If ``bind`` takes constraints, more of the trials that survive keep them than do so without; again alike."""
    if not reads_constraints(make()):
        return
    without = race(make().bind(GOALS), curves())
    heeding, again = (race(bound_scheduler(make(), GOALS, _BREAKABLE), curves()) for _ in range(2))
    assert heeding.verdicts == again.verdicts, "with constraints, the same reports get the same verdicts"
    assert _share_feasible(heeding) > _share_feasible(without), (
        "bind takes constraints, and of the trials that are not stopped no more keep them than without: trials that break "
        "one come behind all others, whatever their losses; or leave the keyword out"
    )


def _share_feasible(run: Race) -> float:
    """The share of the trials not stopped that keep the constraints at the end."""
    kept = [trial for trial in run.seen if trial.status is Status.COMPLETED]
    return float(np.mean([not violations_of(trial.metrics, _BREAKABLE) for trial in kept]))


SCHEDULER_CHECKS: tuple[Callable[[SchedulerMaker], None], ...] = (
    check_is_a_scheduler,
    check_documented,
    check_scheduler_bind_is_fresh,
    check_judge_reads_only,
    check_scheduler_replay,
    check_ignores_own_entry,
    check_next_step,
    check_pauses,
    check_repeat_replaces,
    check_good_survive,
    check_equals_survive,
    check_reports_without_losses,
    check_odd_trials,
    check_judges_several_goals,
    check_heeds_constraints,
)


def _answers(scheduler: Scheduler) -> list[Verdict | Continue | None]:
    """Verdicts on unobserved new trials of every quality at every step, and the promotion."""
    answers: list[Verdict | Continue | None] = []
    for number, curve in enumerate(curves(10), start=1000):
        trial = start(number, {})
        for step, loss in enumerate(curve, start=1):
            trial = report(trial, step, loss)
            answers.append(scheduler.judge(trial))
    promoter = as_promoter(scheduler)
    if promoter is not None:
        answers += [promoter.promote(final=final) for final in (False, True)]
    return answers
