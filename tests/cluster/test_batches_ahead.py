"""Suggestions for workers that wait are computed together, in the process beside the optimizer, and audited one by one."""

from __future__ import annotations

import pytest

from raytune_hpo.cluster.prefetch import SamplerReplica
from raytune_hpo.core.audit import audit
from raytune_hpo.core.messages import AskTrials, EndTrial, PreparedSuggestion
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Suggestion
from raytune_hpo.samplers.history import TOLD
from tests.support import Feed


def take(feed, worker):
    return feed(AskTrials(worker=worker, at=0.0)).reply.assignments


def bring(feed, request, outcomes):
    """As the prefetcher does."""
    for index, outcome in enumerate(outcomes):
        feed.core.suggestions.put(PreparedSuggestion(request=request.following(index), outcome=outcome))


def served(feed, replica, demand, known):
    request = feed.core.suggestions.request(demand)
    bring(feed, request, replica.suggest(request, feed.core.ledger.told[known : request.history]))
    return request


@pytest.mark.parametrize("sampler", ["gp", "auto"])
def test_waiting_workers_are_served_together_and_an_audit_agrees(sampler):
    feed = Feed(ahead=True, sampler=sampler, num_trials=17)
    replica, known = SamplerReplica(feed.plan.spec, feed.plan.sampler), 0
    counts = []
    for turn in range(3):
        request = served(feed, replica, 8, known)
        known = request.history
        counts.append(request.count)
        trials = [trial for worker in range(request.count) for trial in take(feed, f"{turn}-{worker}")]
        assert len(trials) == request.count
        for trial in trials:
            loss = (trial.config["x"] - 0.3) ** 2 + trial.config["n"]
            feed(EndTrial(number=trial.number, attempt=1, status=Status.COMPLETED, at=1.0, metrics={"loss": loss}))
    assert counts == [8, 8, 1]  # no more than may begin
    assert [trial.meta[TOLD] for trial in feed.core.ledger.trials[8:]] == [8] * 8 + [16]
    report = audit(feed.facts)
    assert report.is_clean and report.num_suggestions == 17


def test_samplers_that_gain_nothing_by_it_are_asked_one_by_one():
    feed = Feed(ahead=True, sampler="tpe", num_trials=9)
    request = feed.core.suggestions.request(5)
    assert request.count == 1
    (outcome,) = SamplerReplica(feed.plan.spec, feed.plan.sampler).suggest(request, ())
    assert isinstance(outcome, Suggestion)


def test_a_point_of_the_users_in_between_makes_the_rest_void():
    feed = Feed(ahead=True, sampler="gp", num_trials=9)
    replica = SamplerReplica(feed.plan.spec, feed.plan.sampler)
    request = feed.core.suggestions.request(4)
    outcomes = replica.suggest(request, ())
    feed.core.suggestions.clear()  # as where a point was enqueued meanwhile
    bring(feed, request, outcomes)
    assert not take(feed, "a")
