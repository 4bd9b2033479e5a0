"""Segments: where they end, and whose checkpoints are kept."""

from __future__ import annotations

import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.schedulers import Segments
from raytune_hpo.testing import GOALS


def segment(number, slot, generation, *, parent=None, until):
    meta = {"slot": slot, "generation": generation}
    return testing.start(number, {}, meta=meta, parent=parent, from_step=until - 5 if generation else None, until=until)


def ended(scheduler, trial):
    """The trial at its end."""
    trial = testing.report(trial, trial.until, 1.0)
    assert scheduler.judge(trial) is Verdict.COMPLETE
    trial = testing.finish(trial, {"loss": 1.0})
    scheduler.observe(trial)
    return trial


def test_a_segment_ends_at_the_first_report_that_reaches_its_step():
    scheduler = Segments(max_steps=20, population=2, interval=5).bind(GOALS)
    trial = segment(3, 0, 1, parent=0, until=10)
    assert scheduler.next_step(trial) == 10
    assert scheduler.judge(testing.report(trial, 9, 1.0)) is Verdict.CONTINUE
    assert scheduler.judge(testing.report(trial, 11, 1.0)) is Verdict.COMPLETE


def test_a_users_first_points_found_members_and_later_ones_run_to_the_end():
    scheduler = Segments(max_steps=20, population=2, interval=5).bind(GOALS)
    assert scheduler.next_step(testing.start(1, {}, suggested=False)) == 5
    assert scheduler.next_step(testing.start(2, {}, suggested=False)) == 20


def test_what_is_kept_are_the_newest_segments_and_those_that_others_have_to_catch_up_with():
    scheduler = Segments(max_steps=15, population=2, interval=5).bind(GOALS)
    a0 = segment(0, 0, 0, until=5)
    assert not scheduler.keeps(a0)
    assert scheduler.keeps(testing.report(a0, 5, 1.0))  # about to complete
    a0, b0 = ended(scheduler, a0), ended(scheduler, segment(1, 1, 0, until=5))
    assert scheduler.keeps(a0) and scheduler.keeps(b0)
    a1 = ended(scheduler, segment(2, 0, 1, parent=0, until=10))
    assert scheduler.keeps(a0) and scheduler.keeps(a1)  # member 1 may still copy a0
    b1 = ended(scheduler, segment(3, 1, 1, parent=0, until=10))
    assert [scheduler.keeps(t) for t in (a0, b0, a1, b1)] == [False, False, True, True]
    last = segment(4, 0, 2, parent=2, until=15)
    assert not scheduler.keeps(testing.report(last, 15, 1.0))  # there is nothing left to train
    ended(scheduler, last)
    assert scheduler.keeps(a1)
    ended(scheduler, segment(5, 1, 2, parent=3, until=15))
    assert not scheduler.keeps(a1) and not scheduler.keeps(b1)


@pytest.mark.parametrize(
    "options", [{"max_steps": 0}, {"max_steps": 4, "interval": 5}, {"max_steps": 4, "population": 0}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(SpecError):
        Segments(**options)
