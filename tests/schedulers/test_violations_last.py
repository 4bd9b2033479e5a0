"""Schedulers rank trials that break outcome constraints behind those that keep them."""

import warnings

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import registry, testing
from raytune_hpo.facts import Started, Verdict
from raytune_hpo.goals import make_constraints
from raytune_hpo.protocols import bound_scheduler
from raytune_hpo.schedulers import ASHA
from raytune_hpo.schedulers.ranking import Criteria, Ordered, ranking
from raytune_hpo.testing.races import Race
from tests.schedulers.played import Played

BOUNDS = make_constraints(["mb <= 10"])


def reported(number, step, loss, mb=None):
    metrics = {"loss": loss} if mb is None else {"loss": loss, "mb": mb}
    trial = testing.start(number, {})
    for earlier in range(1, step + 1):
        trial = testing.report(trial, earlier, metrics)
    return trial


def shown(name, others, **options):
    """A scheduler that has seen others at every step up to 27."""
    scheduler = bound_scheduler(registry.make("scheduler", {"name": name, **options}), testing.GOALS, BOUNDS)
    for number, (loss, mb) in enumerate(others):
        for step in range(1, 28):
            scheduler.observe(reported(number, step, loss, mb))
    return scheduler


@pytest.mark.parametrize(
    ("name", "options", "step"),
    [
        ("asha", {}, 1),
        ("asha", {"max_steps": 27}, 9),
        ("median", {}, 4),
        ("tercet", {"max_steps": 27}, 13),
    ],
)
def test_whoever_breaks_a_bound_is_stopped_before_those_that_keep_it(name, options, step):
    keeping = shown(name, [(5.0, 1.0)] * 60, **options)
    assert keeping.judge(reported(900, step, 0.1, 11.0)) is Verdict.STOP
    assert keeping.judge(reported(900, step, 0.1, 10.0)) is Verdict.CONTINUE
    breaking = shown(name, [(0.1, 11.0)] * 60, **options)
    assert breaking.judge(reported(900, step, 5.0, 1.0)) is Verdict.CONTINUE
    assert breaking.judge(reported(900, step, 0.1, 12.0)) is Verdict.STOP
    assert breaking.judge(reported(900, step, 5.0, 10.5)) is Verdict.CONTINUE, "it is closer to the bound"


def test_where_a_report_lacks_the_metric_the_trial_is_between_those_that_keep_the_bound_and_those_that_break_it():
    unknown = (0.1, None)
    assert shown("asha", [(5.0, 1.0)] * 3).judge(reported(900, 1, *unknown)) is Verdict.STOP
    assert shown("asha", [(0.01, 11.0)] * 3).judge(reported(900, 1, *unknown)) is Verdict.CONTINUE
    silent = shown("asha", [(loss, None) for loss in (1.0, 2.0, 3.0)])
    assert silent.judge(reported(900, 1, 0.5)) is Verdict.CONTINUE
    assert silent.judge(reported(900, 1, 2.5)) is Verdict.STOP, "all are compared by loss where nobody reports it"


def test_only_trials_that_keep_the_bounds_are_worth_beating_by_an_extrapolated_curve():
    options = {"max_steps": 27, "every": 1}
    assert shown("extrapolation", [(0.1, 1.0)], **options).judge(reported(900, 9, 5.0, 1.0)) is Verdict.STOP
    assert shown("extrapolation", [(0.1, 11.0)], **options).judge(reported(900, 9, 5.0, 1.0)) is Verdict.CONTINUE


def test_a_race_is_lost_to_trials_that_keep_the_bounds_only():
    def raced(mb):
        race = Race(bound_scheduler(registry.make("scheduler", "race"), testing.GOALS, BOUNDS))
        for number, (loss, own) in enumerate([(0.1, mb), (5.0, 1.0), (9.0, 11.0)]):
            trial = race.observe(testing.start(number, {}))
            for step in range(1, 6):
                metrics = {"loss": loss + step / 100 * (number + 1), "mb": own}
                verdict = race.scheduler.judge(testing.report(trial, step, metrics))
                trial = race.observe(testing.report(trial, step, metrics, verdict=verdict))
            race.paused[number] = race.observe(testing.pause(trial))
        return [number for number, trial in race.paused.items() if race.scheduler.keeps(trial)]

    assert raced(mb=1.0) == [0]
    assert raced(mb=11.0) == [0, 1]


@pytest.mark.parametrize(
    "scheduler",
    [
        {"name": "asha", "promote": True, "max_steps": 27},
        {"name": "hyperband", "promote": True, "max_steps": 27},
        {"name": "successive_halving", "max_steps": 27},
        {"name": "pasha", "max_steps": 27},
    ],
    ids=lambda scheduler: scheduler["name"],
)
def test_trials_that_keep_the_bounds_are_promoted_and_a_replay_comes_to_the_same(scheduler):
    """The lower half of all losses breaks a bound."""
    played = Played(
        scheduler, space={"x": hpo.uniform(0, 1)}, curve=lambda config, step: config["x"],
        outcome_constraints=["loss >= 0.5"], num_trials=60, workers=4,
    )  # fmt: skip
    completed = [trial for trial in played.trials if trial.status == "completed"]
    assert completed and sum(trial.is_feasible for trial in completed) > len(completed) / 2
    for fold, fact, _ in played.replayed():
        if isinstance(fact, Started) and fact.number in fold.ledger.paused:
            chosen = [fold.promotion(final=final) for final in (False, True)]
            assert fact.number in {choice.number for choice in chosen if choice is not None}


class Older(ASHA):
    """A scheduler written for ASHA without constraints."""

    def bind(self, goals):
        return Older(**{name: getattr(self, name) for name in ("eta", "min_steps")})


def test_a_scheduler_whose_bind_takes_no_constraints_works_as_before_and_is_warned_of():
    with pytest.warns(UserWarning, match=r"scheduler .*Older.* judges trials by loss alone.*\['mb <= 10'\]"):
        study = hpo.Study(
            {"x": hpo.uniform(0, 1)}, scheduler=Older(), outcome_constraints=["mb <= 10"], storage="memory",
            sampler="random",
        )  # fmt: skip
    trial = study.ask()
    study.report(trial, 1, {"loss": 1.0, "mb": 99})
    assert study.tell(trial, {"loss": 1.0, "mb": 99}).violations == {"mb": 89}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hpo.Study(
            {"x": hpo.uniform(0, 1)},
            scheduler="asha",
            outcome_constraints=["mb <= 10"],
            storage="memory",
            sampler="random",
        )


def test_violations_of_several_bounds_count_in_units_of_their_median():
    criteria = Criteria(1, make_constraints(["mb <= 10", "share <= 0.1"]))
    rows = np.array([[1, 990, -1], [1, 10, 0.1], [9, -1, -1], [1, 1000, 0.1], [0, np.nan, -1]])
    assert criteria.places(rows).tolist() == [2, 3, 0, 4, 1]
    assert isinstance(ranking(Criteria(1)), Ordered) and not isinstance(ranking(criteria), Ordered)
    assert criteria.is_no_worse((9.0, -1, -1), (1.0, 5, -1)) and not criteria.is_no_worse((1.0, 5, -1), (9.0, -1, -1))
