"""Synchronous brackets: when a rung closes, and who goes on from it."""

from __future__ import annotations

from collections import defaultdict

import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Started, Status, Verdict
from raytune_hpo.schedulers import SuccessiveHalving
from tests.schedulers.played import Played


def bracket(**options):
    return testing.Race(SuccessiveHalving(max_steps=9, **options).bind(testing.GOALS))


def come(race, losses, first=0):
    """New trials that report step 1 and pause, one after the other."""
    for number, loss in enumerate(losses, start=first):
        trial, verdict = race.report(race.observe(testing.start(number, {})), 1, loss)
        assert verdict is Verdict.PAUSE
        race.end(trial, loss, verdict)


def promoted(race, *, final=False):
    numbers = []
    while (trial := race.promote(final=final)) is not None:
        numbers.append(trial.number)
    return numbers


def test_a_rung_closes_when_all_have_come_and_the_best_third_go_on_in_the_order_of_their_losses():
    race = bracket()  # rungs at 1 and 3: nine trials
    come(race, [5, 2, 8, 1, 7, 3, 9, 6])
    assert race.promote(final=False) is None
    come(race, [4], first=8)
    running = [race.promote(final=False) for _ in range(4)]
    assert [trial and trial.number for trial in running] == [3, 1, 5, None]
    for trial, loss in zip(running[:3], [0.9, 0.8, 0.7], strict=True):
        assert race.promote(final=False) is None  # the three have not all come to the next rung
        trial, verdict = race.report(trial, 3, loss)
        race.end(trial, loss, verdict)
    last = race.promote(final=False)
    assert last.number == 5 and last.until == 9
    assert race.scheduler.next_step(last) is None


def test_those_that_have_failed_or_were_stopped_are_the_worst_of_their_rung():
    race = bracket()
    come(race, [1, 2, 3, 4])
    for number in (4, 5, 6):
        race.observe(testing.finish(race.observe(testing.start(number, {})), status=Status.FAILED))
    stopped = race.paused.pop(0)
    race.observe(testing.finish(stopped, status=Status.PRUNED))
    assert race.promote(final=False) is None
    come(race, [5, 6], first=7)
    assert promoted(race) == [1, 2, 3]  # the place of the best, whom the user stopped, goes to the next


def test_one_that_completes_early_takes_its_place_in_the_rung_and_is_never_promoted():
    race = bracket()
    race.end(race.observe(testing.start(0, {})), 0.5, Verdict.CONTINUE)
    come(race, range(1, 9), first=1)
    assert promoted(race) == [1, 2]


def test_ties_go_to_the_lower_number():
    race = bracket()
    come(race, [1.0] * 9)
    assert promoted(race) == [0, 1, 2]


def test_a_trial_that_waits_for_another_worker_holds_its_rung_open():
    race = bracket()
    come(race, range(8))
    lost = race.observe(testing.restart(race.observe(testing.start(8, {}))))
    assert race.promote(final=False) is None
    trial, verdict = race.report(lost, 1, -1.0)
    race.end(trial, -1.0, verdict)
    assert promoted(race) == [8, 0, 1]


def test_a_promoted_trial_that_starts_over_passes_the_rungs_that_it_has_passed():
    race = bracket()
    come(race, range(9))
    again = race.observe(testing.restart(race.promote(final=False)))
    assert race.scheduler.next_step(again) == 3
    again, verdict = race.report(again, 1, 5.0)
    assert verdict is Verdict.CONTINUE
    assert race.report(again, 3, 5.0)[1] is Verdict.PAUSE


def test_at_the_end_a_bracket_is_made_do_with_as_it_is_and_one_trial_comes_to_its_end():
    race = bracket()
    come(race, [3, 2, 1, 4, 5, 6, 7])
    assert race.promote(final=False) is None
    first = race.promote(final=True)
    assert first.number == 2
    assert race.promote(final=False).number == 1  # it is known to be cut short from then on
    assert race.promote(final=False) is None  # of seven two
    few = testing.race(SuccessiveHalving(max_steps=27).bind(testing.GOALS), testing.curves()[:2])
    assert few.completed == {0}


def test_late_ones_of_a_bracket_that_was_cut_short_have_a_chance():
    race = bracket()
    come(race, [3, 2, 1])
    assert race.promote(final=True).number == 2
    come(race, [0.5, 4, 5], first=3)  # the study was extended
    assert race.promote(final=False).number == 3
    assert race.promote(final=False) is None


def test_what_may_still_be_promoted_is_kept():
    race = bracket()
    come(race, range(8))
    keeps = race.scheduler.keeps
    assert [keeps(race.paused[number]) for number in range(8)] == [True] * 3 + [False] * 5
    come(race, [0.5], first=8)
    while (trial := race.promote(final=False)) is not None and trial.last_step == 1:
        trial, verdict = race.report(trial, 3, float(trial.number))
        race.end(trial, float(trial.number), verdict)
    assert trial.number == 0  # the best at step 3, which goes on to the end
    # The next one, should that one fail, and the next of the first rung, should all three fail that were promoted from it.
    assert {number for number, trial in race.paused.items() if keeps(trial)} == {1, 2}
    race.end(trial, 0.0, Verdict.CONTINUE)
    assert not any(keeps(trial) for trial in race.paused.values())


@pytest.mark.parametrize("seed", [1, 2])
def test_brackets_promote_their_best_thirds_and_free_workers_begin_the_next_one(seed):
    played = Played({"name": "successive_halving", "max_steps": 27}, seed=seed, num_trials=27 * 5, workers=40)
    came, went = defaultdict(dict), defaultdict(list)
    for fold, fact, _ in played.replayed():
        if isinstance(fact, Started) and fact.attempt > 1:
            trial = fold.ledger.trials[fact.number]
            went[fact.number // 27, trial.last_step].append(fact.number)
            siblings = fold.ledger.trials[fact.number // 27 * 27 :][:27]
            if trial.last_step == 1:
                assert len(siblings) == 27 and all(t.reports or t.status is Status.FAILED for t in siblings)
    for trial in played.trials:
        for report in trial.reports:
            came[trial.number // 27, report.step][trial.number] = report.losses[0]
    for (index, step), numbers in went.items():
        best = sorted(came[index, step], key=lambda number: (came[index, step][number], number))
        assert numbers == best[: len(numbers)]
        assert len(numbers) <= {1: 9, 3: 3, 9: 1}[step]
    assert len(went) >= 12


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "successive_halving needs max_steps, the last step"),
        ({"max_steps": 1}, "max_steps >= 2"),
        ({"max_steps": 9, "eta": 1}, "eta >= 2"),
        ({"max_steps": 9, "min_steps": 0}, "min_steps >= 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(SpecError, match=said):
        SuccessiveHalving(**options)
