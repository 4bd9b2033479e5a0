"""Rules by which a trial is judged without peers: patience and thresholds."""

import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Reported, Verdict
from raytune_hpo.goals import make_goals
from raytune_hpo.schedulers import Patience, Threshold
from raytune_hpo.trial import evolve


def stopped_at(scheduler, losses, goals=testing.GOALS):
    scheduler, trial = scheduler.bind(goals), testing.start(0, {})
    for step, loss in enumerate(losses, start=1):
        due = scheduler.next_step(trial)
        metrics = {"note": 1.0} if loss is None else {"loss": loss}
        fact = Reported(number=0, attempt=1, step=step, metrics=metrics, verdict=Verdict.CONTINUE, at=step)
        trial = evolve(trial, fact, goals)
        if scheduler.judge(trial) is Verdict.STOP:
            assert due is not None and due <= step
            return step
        scheduler.observe(trial)
    return None


def test_patience_ends_after_so_many_reports_without_a_better_one():
    assert stopped_at(Patience(patience=3), [5, 4, 4, 4, 4, 4]) == 5
    assert stopped_at(Patience(patience=3), [5, 4, 4, 4, 3, 3, 3]) is None
    assert stopped_at(Patience(patience=3, min_delta=0.5), [5, 4, 3.9, 3.8, 3.7]) == 5
    assert stopped_at(Patience(patience=1, min_steps=4), [1, 1, 1, 1, 1]) == 4
    assert stopped_at(Patience(patience=2), [3, None, 3, None, 3]) == 5


def test_a_threshold_is_in_the_metrics_own_units():
    accuracy = make_goals("loss", "max")  # the metric of the tests, maximised
    rule = Threshold(at={2: 0.5, "4": 0.8})
    assert stopped_at(rule, [0.1, 0.4, 0.9], accuracy) == 2
    assert stopped_at(rule, [0.1, 0.6, 0.7, 0.7], accuracy) == 4
    assert stopped_at(rule, [0.9, 0.2, 0.2, 0.2], accuracy) is None  # it had reached them
    assert stopped_at(Threshold(at={2: 0.5}), [0.9, 0.6]) == 2
    assert stopped_at(Threshold(at={2: 0.5}), [0.9, 0.4]) is None


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Patience(patience=0), "patience >= 1"),
        (lambda: Patience(min_delta=-1), "min_delta >= 0"),
        (lambda: Threshold(), "needs at, values by step"),
        (lambda: Threshold(at={1.5: 0.1}), "whole numbers of at least 0 as steps, got 1.5"),
        (lambda: Threshold(at={"late": 0.1}), "got 'late'"),
        (lambda: Threshold(at={1: "good"}).bind(testing.GOALS), "a number for each of"),
        (lambda: Threshold(at={1: {"accuracy": 1.0}}).bind(testing.GOALS), "a number for each of"),
    ],
)
def test_options_that_cannot_be_are_refused(make, said):
    with pytest.raises(SpecError, match=said):
        make()
