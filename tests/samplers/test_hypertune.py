"""Hyper-Tune: weights of fidelities, and brackets in proportion to what they tell for what they cost."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.core.asking import ask
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.rng import derive
from raytune_hpo.samplers import HyperTune
from raytune_hpo.samplers.hypertune import BRACKET
from raytune_hpo.schedulers import Hyperband
from raytune_hpo.space import Float, Space
from raytune_hpo.testing.trials import GOALS, SEED, finish, report, start

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1)})


def told(early, num=60, num_long=30, **options):
    """A sampler that has heard of trials of which half ran to step 27, where x = 0.2 is best."""
    sampler = HyperTune(max_steps=27, **options).bind(SPACE, testing.GOALS, SEED)
    for number, config in enumerate(SPACE.sample(num, derive(0, "some"))):
        trial = report(start(number, config), 1, early(config["x"]))
        if number < num_long:
            last = (config["x"] - 0.2) ** 2
            sampler.tell(finish(report(trial, 27, last), {"loss": last}))
        else:
            sampler.tell(finish(trial, status=Status.PRUNED))
    return sampler


def like_the_last(x):
    return (x - 0.2) ** 2 + 0.5


def misleading(x):
    return -((x - 0.2) ** 2)


def weights(sampler):
    return sampler._weighed(sampler.compared(())[0]).weights


def test_a_fidelity_that_ranks_like_the_highest_is_weighed_and_one_that_misleads_is_not():
    assert weights(told(like_the_last))[0] > 0.2
    np.testing.assert_array_equal(weights(told(misleading)), [0.0, 1.0])


def test_brackets_are_drawn_where_cheap_rungs_tell_and_from_the_last_one_where_they_mislead():
    def drawn(early):
        sampler = told(early)
        return Counter(ask(sampler, 60, (), SEED, turn=turn).meta.get(BRACKET) for turn in range(30))

    assert drawn(misleading) == {3: 30}, "nothing but the bracket that runs to the end"
    assert drawn(like_the_last)[0] > 20, "27 times cheaper, and it tells"


def test_before_enough_trials_have_run_to_their_ends_hyperband_deals():
    suggestion = ask(told(like_the_last, num_long=23), 60, (), SEED)
    assert BRACKET not in suggestion.meta
    assert BRACKET in ask(told(like_the_last, num_long=24), 60, (), SEED).meta
    assert BRACKET in ask(told(like_the_last, num_long=10, min_completed=10), 60, (), SEED).meta


def test_it_learns_what_is_best_at_the_end():
    sampler = told(like_the_last, random_share=0.0)
    assert abs(np.mean([ask(sampler, 60, (), seed).config["x"] for seed in range(5)]) - 0.2) < 0.15


def test_asked_twice_or_after_a_replay_it_says_the_same():
    first = ask(told(like_the_last), 60, (), SEED)
    sampler = told(like_the_last)
    ask(sampler, 61, (), SEED)
    assert ask(sampler, 60, (), SEED) == first


def test_the_bracket_in_meta_is_heeded_and_anything_else_is_not():
    hyperband = Hyperband(max_steps=27, promote=True).bind(GOALS)
    for bracket, first in enumerate([1, 3, 9, None]):
        trial = start(0, {"x": 0.5, "y": 0.5}, meta={"bracket": bracket})
        assert hyperband.next_step(trial) == first
    for said in (7, -1, "b", None):
        assert hyperband.next_step(start(0, {"x": 0.5, "y": 0.5}, meta={"bracket": said})) == hyperband.next_step(
            start(0, {"x": 0.5, "y": 0.5})
        )


def test_it_brings_hyperband_that_promotes_with_delay():
    brought = HyperTune(max_steps=81, min_steps=3, eta=4).brings()
    assert isinstance(brought, Hyperband) and brought.promotes and brought.delay
    assert (brought.max_steps, brought.min_steps, brought.eta) == (81, 3, 4)
    study = hpo.Study(SPACE, metric="loss", sampler={"name": "hypertune", "max_steps": 9}, storage="memory", seed=0)
    for _ in range(50):
        trial = study.ask()
        for step in range((trial.last_step or 0) + 1, 10):
            if study.report(trial, step, {"loss": trial.config["x"] + 1 / step}) != "continue":
                break
    assert study.results().num_by_status["paused"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "hypertune needs max_steps"),
        ({"max_steps": 9, "random_share": -1}, "random_share"),
        ({"max_steps": 9, "min_completed": 0}, "min_completed"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(SpecError, match=said):
        HyperTune(**options)


def test_delay_of_hyperband_needs_promotion():
    with pytest.raises(SpecError, match="hyperband needs promote=True for delay=True"):
        Hyperband(max_steps=9, delay=True)
