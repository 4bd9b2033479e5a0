"""With several metrics a trial is judged by the Pareto front that it is in, among its peers at the same step."""

import numpy as np
import pytest

from raytune_hpo import testing
from raytune_hpo.facts import Reported, Status, Verdict
from raytune_hpo.numerics.pareto import fronts
from raytune_hpo.schedulers import ASHA, Extrapolation, Hyperband, Median, Patience, Tercet, Threshold
from raytune_hpo.schedulers.ranking import Criteria, Ordered, Sorted, ranking
from raytune_hpo.trial import evolve

STEPS = 27
# Each trial trades loss for size on one of three curves: on the front, behind it, and far behind it.
FRONT, BEHIND, FAR = 0.0, 0.5, 2.0


def reported(trial, step, loss, size):
    fact = Reported(
        number=trial.number,
        attempt=1,
        step=step,
        metrics={"loss": loss, "size": size},
        verdict=Verdict.CONTINUE,
        at=step,
    )
    return evolve(trial, fact, testing.TWO_GOALS)


def run(scheduler, kinds):
    """Every trial reports every step in turn; the numbers of those that were stopped."""
    scheduler = scheduler.bind(testing.TWO_GOALS)
    running, stopped = {}, set()
    for number in range(len(kinds)):
        running[number] = testing.start(number, {})
        scheduler.observe(running[number])
    for step in range(1, STEPS + 1):
        for number in list(running):
            share = number / len(kinds)  # where on its front it stands
            loss, size = share + kinds[number] + 1 / step, (share - 1 / step) - kinds[number]  # size is maximised
            trial = running[number] = reported(running[number], step, loss, size)
            due = scheduler.next_step(running[number])
            assert due is None or due > step
            verdict = scheduler.judge(trial)
            assert verdict is scheduler.judge(trial)
            scheduler.observe(trial)
            if verdict is Verdict.STOP:
                stopped.add(number)
                del running[number]
            elif step == STEPS:
                done = testing.finish(trial, {"loss": loss, "size": size}, goals=testing.TWO_GOALS)
                scheduler.observe(done)
    return stopped


@pytest.mark.parametrize(
    "scheduler",
    [
        Median(grace_steps=3),
        ASHA(min_steps=3, max_steps=STEPS),
        Hyperband(min_steps=3, max_steps=STEPS),
        Tercet(max_steps=STEPS, beta=0.25),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_those_in_the_back_are_stopped_and_the_front_is_not(scheduler):
    kinds = [(FRONT, BEHIND, FAR)[number % 3] for number in range(36)]
    stopped = run(scheduler, kinds)
    assert stopped, "nobody was stopped"
    assert all(kinds[number] != FRONT for number in stopped)
    assert sum(kinds[number] == FAR for number in stopped) >= sum(kinds[number] == BEHIND for number in stopped)


@pytest.mark.parametrize("scheduler", [Median(), ASHA(max_steps=STEPS), Tercet(max_steps=STEPS)])
def test_on_one_front_nobody_is_better(scheduler):
    assert not run(scheduler, [FRONT] * 20)


def test_a_curve_is_given_up_where_a_completed_trial_is_out_of_reach_in_every_metric():
    scheduler = Extrapolation(max_steps=STEPS, every=1).bind(testing.TWO_GOALS)
    done = testing.finish(testing.start(0, {}), {"loss": 0.1, "size": 5.0}, goals=testing.TWO_GOALS)
    scheduler.observe(done)

    def stopped_at(loss, size):
        trial = testing.start(1, {})
        for step in range(1, STEPS):
            trial = reported(trial, step, loss + 1 / step, size - 1 / step)
            if scheduler.judge(trial) is Verdict.STOP:
                return step
        return None

    assert stopped_at(3.0, 1.0) is not None
    assert stopped_at(3.0, 9.0) is None  # it will be larger, which is what size is about
    assert stopped_at(0.0, 1.0) is None


def test_patience_and_thresholds_are_met_by_any_metric():
    patience = Patience(patience=2).bind(testing.TWO_GOALS)
    trial = testing.start(0, {})
    for step, (loss, size) in enumerate([(1, 1), (2, 2), (3, 3), (4, 4)], start=1):
        trial = reported(trial, step, loss, size)  # ever larger, which is better, at an ever higher loss
        assert patience.judge(trial) is Verdict.CONTINUE
    for step in (5, 6):
        trial = reported(trial, step, 5, 0)
    assert patience.judge(trial) is Verdict.STOP
    threshold = Threshold(at={2: {"loss": 0.5, "size": 10}}).bind(testing.TWO_GOALS)
    for loss, size, verdict in ((0.4, 1, Verdict.CONTINUE), (9, 11, Verdict.CONTINUE), (9, 1, Verdict.STOP)):
        assert threshold.judge(reported(testing.start(0, {}), 2, loss, size)) is verdict


def test_a_ranking_by_fronts_counts_those_in_earlier_fronts_with_or_without_its_own_entry():
    rng = np.random.default_rng(0)
    rows = [tuple(row) for row in rng.integers(0, 6, size=(60, 2)).tolist()]
    ranks = ranking(Criteria(2))
    for number, row in enumerate(rows):
        before = ranks.num_better(number, row)
        ranks.put(number, row)
        front = fronts(np.array(rows[: number + 1]))
        assert before == ranks.num_better(number, row) == int((front[:-1] < front[-1]).sum())
        assert ranks.num_others(number) == number


def test_one_goal_is_ranked_by_its_order_and_many_peers_by_the_newest():
    assert isinstance(ranking(Criteria(1)), Ordered)
    ranks = Sorted(Criteria(2))
    for number in range(600):
        ranks.put(number, (float(number), float(number)))
    assert ranks.num_others(10_000) == 500
    assert ranks.num_better(10_000, (350.0, 350.0)) == 250


def test_failed_trials_are_no_peers():
    scheduler = Extrapolation(max_steps=9).bind(testing.TWO_GOALS)
    scheduler.observe(testing.finish(testing.start(0, {}), status=Status.FAILED, goals=testing.TWO_GOALS))
    assert scheduler._completed == {}
