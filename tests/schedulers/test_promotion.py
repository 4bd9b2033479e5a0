"""Trials that pause and are promoted, on a virtual clock with many workers: who goes on, when, and at what cost."""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.core.audit import audit
from raytune_hpo.facts import Reported, Started, Status, Verdict
from raytune_hpo.numerics.pareto import fronts
from raytune_hpo.protocols import as_promoter
from raytune_hpo.schedulers import ASHA
from raytune_hpo.schedulers.ranking import Criteria
from raytune_hpo.schedulers.rungs import Rung
from raytune_hpo.trial import Reports
from tests.core.test_random_events import plain
from tests.schedulers.played import Played

PROMOTING = {
    "asha": {"name": "asha", "promote": True, "max_steps": 27},
    "asha without an end": {"name": "asha", "promote": True},
    "asha, delayed": {"name": "asha", "promote": True, "delay": True, "max_steps": 27},
    "hyperband": {"name": "hyperband", "promote": True, "max_steps": 27},
    "successive_halving": {"name": "successive_halving", "max_steps": 27},
    "pasha": {"name": "pasha", "max_steps": 27},
    "race": {"name": "race", "max_steps": 27},
}
RUNGS = (1, 3, 9)


@pytest.mark.parametrize("name", PROMOTING)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_replay_is_the_live_state_and_no_worker_is_idle_while_anybody_may_go_on(name, seed):
    played = Played(PROMOTING[name], seed=seed, num_trials=150)
    num_continued = 0
    for fold, fact, is_over in played.replayed():
        num_idle = played.workers - len(fold.ledger.running())
        if is_over and num_idle > 0 and fold.ledger.stopped is None:
            assert fold.promotion(final=False) is None, f"{num_idle} workers had nothing to do"
        if isinstance(fact, Started) and fact.attempt > 1:
            chosen = fold.promotion(final=False) or fold.promotion(final=True)
            assert chosen is not None and (chosen.number, chosen.until) == (fact.number, fact.until)
            num_continued += 1
    assert num_continued > 10
    assert plain(played.fold.scheduler) == plain(played.scheduler)
    assert audit(played.facts).is_clean
    assert played.fold.ledger.counts[Status.COMPLETED] >= 1
    assert played.fold.ledger.counts[Status.FAILED] >= 1


@pytest.mark.parametrize("name", ["asha", "hyperband", "successive_halving", "pasha"])
def test_whoever_goes_on_has_its_checkpoint_and_counts_once_as_a_trial_and_with_all_its_time(name):
    played = Played(PROMOTING[name], seed=4, num_trials=300)
    started = [fact for fact in played.facts if isinstance(fact, Started)]
    resumed = [fact for fact in started if fact.attempt > 1]
    assert len(started) - len(resumed) == len(played.trials) == 300
    assert len(resumed) > 20
    assert [fact.number for fact in resumed if fact.from_step is None] == []
    for trial in played.trials:
        if trial.status is not Status.FAILED:
            assert trial.duration_s == pytest.approx(trial.last_step * trial.config["pace"])


def test_a_paused_trial_that_chance_could_hardly_lift_among_the_promoted_ones_is_not_kept():
    race, chance = testing.Race(ASHA(promote=True, max_steps=27).bind(testing.GOALS)), random.Random(1)
    losses = chance.sample(range(900), 900)
    for number, loss in enumerate(losses):
        trial, verdict = race.report(race.observe(testing.start(number, {})), 1, float(loss))
        if verdict is Verdict.PAUSE:
            race.end(trial, float(loss), verdict)
    kept = {losses[number] for number, trial in race.paused.items() if race.scheduler.keeps(trial)}
    # A third of them, 300, may be promoted, and the standard deviation of that number is at most its root.
    assert kept and max(kept) == 300 + 1 + int(3 * 300**0.5)
    assert kept == {losses[number] for number in race.paused if losses[number] <= max(kept)}


@pytest.mark.parametrize("name", ["asha", "asha, delayed", "hyperband", "pasha"])
def test_whoever_is_promoted_is_among_the_best_third_of_the_rung_at_that_moment(name):
    played = Played(PROMOTING[name], seed=3, num_trials=200)
    entries, promoted = defaultdict(dict), defaultdict(set)
    for fold, fact, _ in played.replayed():
        if isinstance(fact, Reported) and (rung := _rung_of(played, fact.number, fact.step)) is not None:
            entries[rung][fact.number] = fact.metrics["loss"], fact.number
            went_on = fact.verdict is Verdict.CONTINUE
        elif isinstance(fact, Started) and fact.attempt > 1:
            rung = _rung_of(played, fact.number, fold.ledger.trials[fact.number].last_step)
            went_on = fold.ledger.counts[Status.COMPLETED] > 0 or not fold.ledger.is_settled  # else it is the last hope
        else:
            continue
        if went_on:
            promoted[rung].add(fact.number)
            assert sorted(entries[rung].values()).index(entries[rung][fact.number]) < len(entries[rung]) // 3
            assert name != "asha, delayed" or len(promoted[rung]) <= len(entries[rung]) / 3
    assert sum(map(len, promoted.values())) > 50


def _rung_of(played, number, step):
    """The bracket and step of the rung that a trial enters with a report; None where there is none."""
    bracket = 0
    if played.plan.spec.scheduler.name == "hyperband":
        bracket = played.scheduler._deal.bracket_of(number)
    return (bracket, step) if step in RUNGS[bracket:] else None


@pytest.mark.parametrize(
    "options",
    [{"promote": True}, pytest.param({"promote": True, "delay": True, "max_steps": 27}, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    "goals",
    [testing.GOALS, pytest.param(testing.TWO_GOALS, marks=pytest.mark.slow)],
    ids=["one goal", "two goals"],
)
def test_a_trial_runs_on_at_a_rung_if_and_only_if_it_would_be_the_next_to_go_on(options, goals):
    chance, race = random.Random(5), testing.Race(ASHA(**options).bind(goals), goals)
    running, num_started, num_run_on = [], 0, 0
    while num_started < 150 or running:
        if len(running) < 12 and num_started < 150:
            trial = race.promote(final=False) if chance.random() < 0.5 else None
            running.append(trial or race.observe(testing.start(num_started, {})))
            num_started += trial is None
        trial = running.pop(chance.randrange(len(running)))
        step, loss = (trial.last_step or 0) + 1, chance.choice([1.0, 2.0, 3.0])
        before = copy.deepcopy(race)
        trial, verdict = race.report(trial, step, loss)
        if step in RUNGS and trial.number not in before.scheduler._promotion._rung(step).promoted:
            before.scheduler.observe(halted := trial_with(trial, Verdict.PAUSE))
            before.scheduler.observe(testing.pause(halted))
            chosen = before.scheduler.promote(final=False)
            assert (chosen is not None and chosen.number == trial.number) == (verdict is Verdict.CONTINUE)
            num_run_on += verdict is Verdict.CONTINUE
        if verdict is Verdict.CONTINUE and step < 12:
            running.append(trial)
        else:
            race.end(trial, loss, verdict)
    assert num_run_on > 5


def trial_with(trial, verdict):
    """The trial as if its newest report had been answered like that."""
    *before, newest = trial.reports
    return replace(trial, reports=Reports([*before, newest._replace(verdict=verdict)]))


def test_a_trial_that_was_promoted_and_starts_over_runs_past_its_rungs():
    race = testing.Race(ASHA(promote=True, max_steps=27).bind(testing.GOALS))
    for number, loss in enumerate([0.5, 0.6, 0.7]):
        trial, verdict = race.report(race.observe(testing.start(number, {})), 1, loss)
        race.end(trial, loss, verdict)
    lost = race.promote(final=False)
    assert lost.number == 0
    trial = race.observe(testing.restart(lost))  # without its checkpoint
    assert not trial.reports
    trial, verdict = race.report(trial, 1, 9.0)
    assert verdict is Verdict.CONTINUE and race.scheduler.next_step(trial) == 3
    assert race.promote(final=False).number == 1  # what the other says now puts this one first


def test_a_pause_that_was_never_made_does_not_promote_a_trial_twice():
    """Its worker was lost between the verdict and the pause, and the checkpoint was there: it goes on from there."""
    asha = ASHA(promote=True, max_steps=9, delay=True).bind(testing.GOALS)
    race = testing.Race(asha)
    for number in range(9):
        trial, verdict = race.report(race.observe(testing.start(number, {})), 1, float(number))
        if number < 8:
            race.end(trial, float(number), verdict)
    race.observe(testing.go_on(testing.pause(trial)))
    assert as_promoter(asha).promote(final=False).number == 0
    assert 8 in asha._promotion._rungs[1].promoted


def test_a_trial_that_completes_below_a_rung_counts_there_and_is_never_promoted():
    race = testing.Race(ASHA(promote=True, max_steps=27).bind(testing.GOALS))
    for number in range(3):
        race.end(race.observe(testing.start(number, {})), 0.1 * number, Verdict.CONTINUE)
    for number in range(3, 6):
        trial, verdict = race.report(race.observe(testing.start(number, {})), 1, float(number))
        race.end(trial, float(number), verdict)
    assert race.promote(final=False) is None  # of six the two best have completed
    for number in range(6, 9):
        trial, verdict = race.report(race.observe(testing.start(number, {})), 1, float(number))
        race.end(trial, float(number), verdict)
    assert race.promote(final=False) is None  # of nine the three best


def test_at_the_end_of_hyperband_it_is_the_highest_rung_from_which_one_goes_on():
    hyperband = hpo.schedulers.Hyperband(max_steps=27, promote=True).bind(testing.GOALS)
    race = testing.Race(hyperband)
    early, late = (next(n for n in range(100) if hyperband._deal.bracket_of(n) == bracket) for bracket in (0, 2))
    for number, step in ((early, 1), (late, 9)):
        trial, verdict = race.report(race.observe(testing.start(number, {})), step, 0.5)
        race.end(trial, 0.5, verdict)
    assert hyperband.promote(final=False) is None
    assert hyperband.promote(final=True).number == late


@pytest.mark.parametrize("num_goals", [1, 2])
def test_a_rung_answers_as_sorting_its_entries_would(num_goals):
    chance, rung, entries = random.Random(0), Rung(Criteria(num_goals)), {}
    for _ in range(300):
        number, losses = chance.randrange(40), tuple(float(chance.randrange(6)) for _ in range(num_goals))
        if chance.random() < 0.1 and number in entries:
            rung.drop(number)
            del entries[number]
            continue
        rung.put(number, losses)
        entries[number] = losses
        if chance.random() < 0.5:
            rung.pause(number)
        numbers = sorted(entries)
        front = fronts(np.array([entries[n] for n in numbers])) if num_goals > 1 else [entries[n][0] for n in numbers]
        order = [n for _, n in sorted(zip(front, numbers, strict=True))]
        assert [rung.num_before(n) for n in order] == list(range(len(order)))
        paused = [n for n in order if rung.is_paused(n)]
        assert rung.best_paused() == (paused[0] if paused else None)


def test_promoting_costs_fewer_steps_than_stopping_for_a_result_as_good():
    """Rungs at 1, 3, 9 and 27 of 81 steps; how many steps until a trial has completed that is near the best there can be."""

    def steps_until(scheduler, near, seed):
        played = Played(
            scheduler, seed=seed, num_steps=81, workers=1, num_trials=None, target=near,
            space={"x": hpo.uniform(0, 1), "speed": hpo.uniform(0.5, 1.5)},
        )  # fmt: skip
        return played.num_steps

    stop = {"name": "asha", "max_steps": 81}
    for near in (0.1, 0.05):
        stopping, promoting = (
            sum(steps_until(scheduler, near, seed) for seed in range(6))
            for scheduler in (stop, {**stop, "promote": True})
        )
        assert promoting <= stopping
