"""The contract of promoters: rules for schedulers that pause trials and resume some of them."""

from __future__ import annotations

from collections.abc import Callable

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Promoter, Scheduler, as_promoter
from raytune_hpo.testing.cases import case
from raytune_hpo.testing.races import Race, SchedulerMaker, curves, race
from raytune_hpo.testing.trials import GOALS, TWO_GOALS


def promoter_cases(make: SchedulerMaker) -> dict[str, Callable[[], None]]:
    """Every check of a promoter, by name; ``scheduler_cases`` includes them."""
    return {check.__name__.removeprefix("check_"): case(check, make) for check in PROMOTER_CHECKS}


def check_promote_reads_only(make: SchedulerMaker) -> None:
    """``promote`` and ``keeps`` return the same each time, and do not change later answers."""
    live, often = race(make().bind(GOALS), curves()), make().bind(GOALS)
    promoter = _promoter(often)
    for position, trial in enumerate(live.seen):
        for final in (False, True):
            said = [promoter.promote(final=final) for _ in range(3)]
            assert said[0] == said[1] == said[2], f"promote reads only: asked three times it says {said}"
        if trial.status is Status.PAUSED:
            kept = [promoter.keeps(trial) for _ in range(3)]
            assert len(set(kept)) == 1, f"keeps reads only: asked three times it says {kept}"
        _same(live, position, promoter, "asked more often, promote says something else: it reads only")
        often.observe(trial)


def check_promoter_replay(make: SchedulerMaker) -> None:
    """A fresh promoter that observes what a live one observed resumes the same trials."""
    live = race(make().bind(GOALS), curves())
    for position in sorted({asked_at for asked_at, _, _ in live.promotions})[::10]:
        # One for each question, since a resumed study's promoter was not asked the earlier ones.
        replayed = make().bind(GOALS)
        for trial in live.seen[:position]:
            replayed.observe(trial)
        _same(live, position, _promoter(replayed), "a replay promotes as the live one does: observe alone learns")


def check_keeps(make: SchedulerMaker) -> None:
    """``keeps`` returns True or False for every trial that has paused or completed."""
    live, scheduler = race(make().bind(GOALS), curves()), make().bind(GOALS)
    for trial in live.seen:
        scheduler.observe(trial)
        if trial.status in (Status.PAUSED, Status.COMPLETED):
            kept = _promoter(scheduler).keeps(trial)
            assert isinstance(kept, bool), f"keeps says True or False, got {kept!r} of trial {trial.number}"


def check_nobody_is_stranded(make: SchedulerMaker) -> None:
    """However few trials there are, at least one has completed when the promoter resumes no more."""
    for num in (1, 2, 3, 5, 10, 30):
        run = race(make().bind(GOALS), curves()[:num])
        assert run.completed, (
            f"of {num} trials none has completed: where nothing has, promote(final=True) continues one until it does"
        )


def check_promotes_for_several_goals(make: SchedulerMaker) -> None:
    """With two goals, unless it refuses them, a replay promotes the same trials, and a trial completes."""
    try:
        scheduler = make().bind(TWO_GOALS)
    except SpecError:  # a scheduler for one goal says so when it is bound
        return
    live, replayed = race(scheduler, curves(), goals=TWO_GOALS), make().bind(TWO_GOALS)
    assert live.completed, "with two goals none of thirty trials has completed"
    for position, trial in enumerate(live.seen):
        _same(live, position, _promoter(replayed), "with two goals a replay promotes as the live one does")
        replayed.observe(trial)


def check_repeated_observations(make: SchedulerMaker) -> None:
    """A trial that is observed twice in the same state counts once."""
    live, twice = race(make().bind(GOALS), curves()), make().bind(GOALS)
    for position, trial in enumerate(live.seen):
        _same(
            live,
            position,
            _promoter(twice),
            "observed twice, a trial counts twice: remember by its number, and replace",
        )
        twice.observe(trial)
        twice.observe(trial)


def check_slow_trials(make: SchedulerMaker) -> None:
    """A trial that is far slower than the others keeps neither them nor itself from ending."""
    run = race(make().bind(GOALS), curves(), slow=(0, 4))
    assert run.completed, "where two trials are slow, none completes"
    started = {trial.number for trial in run.seen}
    ended = {trial.number for trial in run.seen if trial.status.is_finished} | set(run.paused)
    assert started == ended == set(range(30)), "a trial neither ended nor paused"


PROMOTER_CHECKS: tuple[Callable[[SchedulerMaker], None], ...] = (
    check_promote_reads_only,
    check_promoter_replay,
    check_keeps,
    check_nobody_is_stranded,
    check_promotes_for_several_goals,
    check_repeated_observations,
    check_slow_trials,
)


def _promoter(scheduler: Scheduler) -> Promoter:
    promoter = as_promoter(scheduler)
    assert promoter is not None, (
        "a promoter has promote and keeps, and says so if its options decide whether it promotes"
    )
    return promoter


def _same(live: Race, position: int, promoter: Promoter, rule: str) -> None:
    """Check that the promoter answers as the live one did after ``position`` observations."""
    for asked_at, final, expected in live.promotions:
        if asked_at == position:
            said = promoter.promote(final=final)
            assert said == expected, f"{rule}; after {position} observations it says {said}, {expected} was said"
