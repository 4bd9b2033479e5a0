"""The contract of promoters: what a scheduler must keep that pauses trials and has some of them go on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Promoter, Scheduler, as_promoter
from raytune_hpo.testing.races import Race, SchedulerMaker, curves, race
from raytune_hpo.testing.trials import GOALS, TWO_GOALS


def promoter_cases(make: SchedulerMaker) -> dict[str, Callable[[], None]]:
    """Every check of a promoter, by name; ``scheduler_cases`` has them too, beside those of every scheduler."""
    return {check.__name__.removeprefix("check_"): partial(check, make) for check in PROMOTER_CHECKS}


def check_promote_reads_only(make: SchedulerMaker) -> None:
    """Asking who is to go on, and who is kept, says the same each time, and leaves what comes after as it is."""
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
    """A fresh one that observes what a live one observed has the same trials go on."""
    live = race(make().bind(GOALS), curves())
    for position in sorted({asked_at for asked_at, _, _ in live.promotions})[::10]:
        replayed = make().bind(
            GOALS
        )  # for each question, as one that is taken up again has not been asked those before
        for trial in live.seen[:position]:
            replayed.observe(trial)
        _same(live, position, _promoter(replayed), "a replay promotes as the live one does: observe alone learns")


def check_keeps(make: SchedulerMaker) -> None:
    """Of every trial that has paused or completed, ``keeps`` says True or False."""
    live, scheduler = race(make().bind(GOALS), curves()), make().bind(GOALS)
    for trial in live.seen:
        scheduler.observe(trial)
        if trial.status in (Status.PAUSED, Status.COMPLETED):
            kept = _promoter(scheduler).keeps(trial)
            assert isinstance(kept, bool), f"keeps says True or False, got {kept!r} of trial {trial.number}"


def check_nobody_is_stranded(make: SchedulerMaker) -> None:
    """However few trials there are: asked until it has nobody go on any more, it has had one come to its end."""
    for num in (1, 2, 3, 5, 10, 30):
        run = race(make().bind(GOALS), curves()[:num])
        assert run.completed, (
            f"of {num} trials none has completed: where nothing has, promote(final=True) has one go on until it does"
        )


def check_promotes_for_several_goals(make: SchedulerMaker) -> None:
    """With two goals, unless it refuses them: a replay promotes the same, and a trial completes."""
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
    """A trial that is observed twice as it is counts once."""
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
    """A trial that is far behind the others keeps neither them nor itself from coming to an end."""
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
    """What was said in the live race after so many observations is what is said now."""
    for asked_at, final, expected in live.promotions:
        if asked_at == position:
            said = promoter.promote(final=final)
            assert said == expected, f"{rule}; after {position} observations it says {said}, {expected} was said"
