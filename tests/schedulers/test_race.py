"""A race over inputs: comparisons in pairs, and who gets more inputs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, ttest_rel

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import make_goals
from raytune_hpo.numerics.paired_tests import behind_best
from raytune_hpo.schedulers import Race
from raytune_hpo.schedulers.race import values_by_step


def bound(goals=testing.GOALS, **options):
    return Race(**options).bind(goals)


def inputs(scheduler, trial, values, *, own=True):
    """A trial that is given these losses on its next inputs; paused where the scheduler says so."""
    scheduler.observe(trial)
    before = [] if not trial.reports else list(np.atleast_1d(values_by_step(trial, testing.GOALS)[1:, 0]))
    for value in values:
        before.append(value)
        said = {"own": {"loss": value}} if own else {}
        step, mean = len(before), float(np.mean(before))
        verdict = scheduler.judge(testing.report(trial, step, mean, **said))
        trial = testing.report(trial, step, mean, verdict=verdict, **said)
        scheduler.observe(trial)
        if verdict is Verdict.PAUSE:
            trial = testing.pause(trial)
            scheduler.observe(trial)
            return trial
    return trial


def test_two_are_compared_by_a_paired_t_test():
    rng = np.random.default_rng(0)
    for _ in range(50):
        V = 10 * rng.standard_normal(6) + rng.standard_normal((2, 6)) + [[0.0], [1.0]]
        low, high = (0, 1) if V[0].mean() < V[1].mean() else (1, 0)
        behind = behind_best(V, 0.05)
        assert not behind[low] and behind[high] == (ttest_rel(V[0], V[1]).pvalue < 0.05)


def test_three_and_more_are_compared_by_their_ranks():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(50):
        V = 10 * rng.standard_normal(8) + rng.standard_normal((5, 8)) + np.linspace(0, 1.5, 5)[:, None]
        behind = behind_best(V, 0.05)
        ranks = V.argsort(axis=0).argsort(axis=0).sum(axis=1)
        assert not behind[ranks.argmin()]
        if friedmanchisquare(*V).pvalue >= 0.05:
            assert not behind.any()
        elif behind.any():
            assert ranks[behind].min() > ranks[~behind].max()
            found += 1
    assert found > 20


def test_equals_and_too_few_inputs_are_told_apart_by_nothing():
    assert not behind_best(np.ones((4, 5)), 0.05).any()
    assert not behind_best(np.ones((2, 5)), 0.05).any()
    assert not behind_best(np.arange(3.0)[:, None], 0.05).any()
    assert behind_best(np.arange(3.0)[:, None] * np.ones((3, 5)), 0.05).tolist() == [False, True, True]


def test_after_the_first_block_the_one_behind_is_out_however_hard_the_inputs_are():
    scheduler, hard = bound(), 100 * np.arange(5.0)
    first = inputs(scheduler, testing.start(0, {}), hard + np.array([0.0, 0.1, 0.0, 0.1, 0.0]))
    assert first.status is Status.PAUSED and scheduler.keeps(first)
    second = inputs(scheduler, testing.start(1, {}), hard + np.array([1.0, 1.2, 1.1, 1.0, 1.3]))
    assert second.status is Status.PAUSED and not scheduler.keeps(second)
    assert scheduler.promote(final=True).number == 0


@pytest.mark.filterwarnings("error")
def test_values_are_finite_where_their_means_are_as_large_as_floats():
    trial = testing.start(0, {})
    for step, loss in ((1, -1.7e308), (3, 1.7e308), (9, 1.7e308)):
        trial = testing.report(trial, step, loss)
    own = values_by_step(trial, testing.GOALS)[[1, 3, 9], 0]
    assert own.tolist() == [-1.7e308, np.finfo(float).max, pytest.approx(1.7e308)]


@pytest.mark.parametrize("own", [True, False])
def test_own_values_are_those_that_the_means_imply(own):
    trial = inputs(bound(), testing.start(0, {}), [3.0, 1.0, 5.0, 7.0], own=own)
    assert values_by_step(trial, testing.GOALS)[1:, 0] == pytest.approx([3.0, 1.0, 5.0, 7.0])
    gap = testing.report(testing.report(testing.start(1, {}), 2, 2.0), 4, 4.0)  # inputs 3 and 4 have the mean 6
    assert values_by_step(gap, testing.GOALS)[:, 0].tolist() == pytest.approx(
        [np.nan, np.nan, 2, np.nan, 6], nan_ok=True
    )


def test_a_metric_to_be_maximised_is_one():
    goals = make_goals("loss", "max")
    trial = testing.report(testing.start(0, {}), 1, 3.0, own={"loss": 3.0}, goals=goals)
    assert values_by_step(trial, goals)[1, 0] == -3.0


def test_while_new_trials_come_the_best_third_go_on_and_at_the_end_all_that_are_still_in_the_race():
    scheduler, rng = bound(max_steps=15), np.random.default_rng(0)
    trials = {n: inputs(scheduler, testing.start(n, {}), rng.standard_normal(5)) for n in range(6)}
    left = {n for n, trial in trials.items() if scheduler.keeps(trial)}
    assert len(left) >= 4  # they differ by chance alone
    best = scheduler.promote(final=False)
    assert best.number in left and best.until == 10
    trials[best.number] = inputs(scheduler, testing.go_on(trials[best.number]), rng.standard_normal(5))
    second = scheduler.promote(final=False)
    trials[second.number] = inputs(scheduler, testing.go_on(trials[second.number]), rng.standard_normal(5))
    assert scheduler.promote(final=False) is None  # two of six
    third = scheduler.promote(final=True)
    scheduler.observe(testing.go_on(trials[third.number]))
    assert scheduler.promote(final=False) is not None  # the others need not wait for this one
    scheduler.observe(testing.start(6, {}))
    assert scheduler.promote(final=False) is None  # the study was extended


def test_who_starts_over_is_not_asked_again_where_it_has_gone_on():
    scheduler = bound(max_steps=15)
    for number in range(3):
        trial = inputs(scheduler, testing.start(number, {}), [0.1 * number] * 5)
    assert scheduler.promote(final=False).number == 0
    trial = testing.restart(testing.go_on(inputs(bound(), testing.start(0, {}), [0.0] * 5)))
    scheduler.observe(trial)
    trial = inputs(scheduler, trial, [0.0] * 9)
    assert trial.status is Status.RUNNING and scheduler.next_step(trial) == 10


def test_with_several_metrics_a_trial_is_behind_where_others_are_better_in_all_of_them():
    scheduler = bound(testing.TWO_GOALS)
    kinds = {0: (0.0, 1.0), 1: (1.0, 2.0), 2: (2.0, 0.0)}  # loss, and size, which is maximised
    paused = {}
    for number, (loss, size) in kinds.items():
        trial = testing.start(number, {})
        for step in range(1, 6):
            metrics = {"loss": loss, "size": size}
            verdict = scheduler.judge(testing.report(trial, step, metrics, goals=testing.TWO_GOALS))
            trial = testing.report(trial, step, metrics, verdict=verdict, goals=testing.TWO_GOALS)
            scheduler.observe(trial)
        paused[number] = testing.pause(trial)
        scheduler.observe(paused[number])
    assert [scheduler.keeps(paused[number]) for number in kinds] == [True, True, False]


def test_it_finds_what_the_full_factorial_finds_with_half_of_the_evaluations():
    rng = np.random.default_rng(3)
    losses = np.linspace(0, 1, 24)[:, None] + 2 * rng.standard_normal(20) + 0.3 * rng.standard_normal((24, 20))

    def objective(config):
        saved = hpo.checkpoint()
        for step in range(1 if saved is None else saved.step + 1, 21):
            mean = float(losses[config["index"], :step].mean())
            hpo.report(loss=mean, step=step, cost_s=float(step), save=lambda folder: None)
        return {"loss": mean, "cost_s": 20.0}

    results = hpo.simulate(
        objective, {"index": hpo.grid_search(list(range(24)))}, sampler="grid", num_workers=4,
        scheduler={"name": "race", "max_steps": 20},
    )  # fmt: skip
    assert sum(trial.last_step for trial in results) <= losses.size / 2
    assert results.best_config["index"] - losses.mean(axis=1).argmin() <= 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"first": 1}, "race needs a whole number first >= 2"),
        ({"alpha": 1.0}, "0 < alpha < 1"),
        ({"max_steps": 5}, "race needs max_steps > first"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(SpecError, match=said):
        Race(**options)


@pytest.mark.parametrize("scale", [2.0**1023, 2.0**-1000])
def test_two_candidates_are_compared_in_any_unit(scale):
    """Squares of 1e200 are infinite, and those of 1e-200 are 0."""
    close = np.array([[1.0, -0.5, 0.75, 0.5], [0.9, -0.2, 0.5, 0.7]])
    apart = np.array([[-0.5, -0.6, -0.7, -0.5], [0.5, 0.6, 0.5, 0.6]])
    assert behind_best(close * scale, 0.05).tolist() == [False, False]
    assert behind_best(apart * scale, 0.05).tolist() == [False, True]
