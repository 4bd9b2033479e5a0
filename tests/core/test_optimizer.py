"""Decide, write, answer: and what happens when the writing fails."""

from __future__ import annotations

import pytest

from raytune_hpo.core.messages import AskTrials, EndTrial
from raytune_hpo.core.optimizer import Optimizer, WallClock
from raytune_hpo.errors import JournalError, SequenceConflict
from raytune_hpo.facts import Status
from tests.support import BreakingJournal, make_plan


def make_optimizer(journal, **settings):
    plan = make_plan(**settings)
    optimizer = Optimizer(plan.spec, plan.sampler, plan.scheduler, journal, WallClock())
    if not journal.facts:
        optimizer.create()
        optimizer.open()
    return optimizer


def test_nobody_is_told_what_the_journal_does_not_hold():
    journal = BreakingJournal()
    optimizer = make_optimizer(journal)
    journal.broken = True
    with pytest.raises(JournalError):
        optimizer.handle([AskTrials(worker="a", at=1)])
    journal.broken = False
    assert optimizer.ledger.trials == []
    (lease,) = optimizer.handle([AskTrials(worker="a", at=2)])
    assert lease.assignments[0].number == 0
    assert optimizer.ledger.seen == len(journal.facts)


def test_many_events_are_one_transaction():
    journal = BreakingJournal()
    optimizer = make_optimizer(journal)
    before = len(journal.facts)
    lease, _ = optimizer.handle([AskTrials(worker="a", at=1), AskTrials(worker="b", at=1)])
    ended = EndTrial(number=0, attempt=1, status=Status.COMPLETED, at=2, metrics={"loss": 1.0})
    optimizer.handle([ended, AskTrials(worker="a", at=2)])
    assert len(journal.facts) == before + 4
    assert lease.assignments[0].number == 0


def test_a_second_writer_is_noticed_and_neither_overwrites_the_other():
    journal = BreakingJournal()
    one, two = make_optimizer(journal), make_optimizer(journal)
    two.handle([AskTrials(worker="a", at=1)])
    with pytest.raises(SequenceConflict):
        one.handle([AskTrials(worker="b", at=2)])
    assert [t.worker for t in one.ledger.trials] == ["a"]


def test_an_event_that_breaks_the_core_leaves_it_as_the_journal_says():
    journal = BreakingJournal()
    optimizer = make_optimizer(journal)
    with pytest.raises(KeyError):
        optimizer.handle([AskTrials(worker="a", at=1), object()])
    assert optimizer.ledger.trials == [] and len(journal.facts) == optimizer.ledger.seen
