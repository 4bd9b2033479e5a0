"""A study can be recomputed from its journal, and whoever touched the journal is found out."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

import raytune_hpo as hpo
from raytune_hpo.core.audit import audit
from raytune_hpo.core.messages import AskTrials, EndTrial, EnqueueConfig, LoseWorker, ReportMetrics
from raytune_hpo.core.versions import installed_versions
from raytune_hpo.errors import JournalCorrupt, SpaceError, SpecMismatch
from raytune_hpo.facts import Finished, Reported, SessionOpened, Started, Status, Verdict
from raytune_hpo.journal import Integrity
from raytune_hpo.schedulers import Median
from raytune_hpo.space import Space
from tests.support import Feed

LEARNER = {"name": "hyperopt", "n_startup_jobs": 3}


def parallel_study(num=24, workers=4, points=(), **settings):
    """Workers that come and go in a random but repeatable order; some trials fail, some workers die."""
    feed = Feed(num_trials=num, points=points, **{"sampler": LEARNER, **settings})
    dice, at, running = random.Random(0), 0.0, {}
    while True:
        at += 1.0
        worker = f"w{dice.randrange(workers)}"
        if worker not in running:
            lease = feed(AskTrials(worker=worker, at=at)).reply
            if lease.is_over:
                return feed
            for assignment in lease.assignments:
                running[worker] = [assignment, 0]
        elif dice.random() < 0.05:
            feed(LoseWorker(worker=worker, at=at))
            del running[worker]
        elif work(feed, running[worker], at, dice):
            del running[worker]


def work(feed, state, at, dice):
    """One step of a trial: two reports, then its end; whether it has ended."""
    assignment, step = state
    who = {"number": assignment.number, "attempt": assignment.attempt, "at": at}
    loss = sum(v for v in assignment.config.values() if isinstance(v, float)) + 1 / (step + 1)
    if step < 2:
        state[1] += 1
        answer = feed(ReportMetrics(step=step + 1, metrics={"loss": loss}, **who)).reply
        if answer.verdict is Verdict.CONTINUE:
            return False
    failed = dice.random() < 0.1
    status = Status.FAILED if failed else Status.COMPLETED
    feed(EndTrial(status=status, metrics={} if failed else {"loss": loss}, error="boom" if failed else None, **who))
    return True


@pytest.mark.parametrize("sampler", ["random", "sobol", "grid", LEARNER])
def test_a_parallel_study_is_recomputed_bit_for_bit(sampler):
    space = {"x": hpo.Float(0, 1, step=0.05), "n": hpo.randint(0, 10)}
    report = audit(parallel_study(sampler=sampler, space=space).facts)
    assert report.is_clean, str(report)
    assert report.num_suggestions == 24
    assert report.num_enqueued == 0


def test_conditional_spaces_are_recomputed_too():
    space = {"model": hpo.choice([{"kind": "svm", "C": hpo.loguniform(1e-3, 1e3)}, {"kind": "tree", "deep": 3}])}
    report = audit(parallel_study(space=space).facts)
    assert report.is_clean, str(report)


def test_the_schedulers_verdicts_are_recomputed():
    report = audit(parallel_study(scheduler={"name": "median", "min_trials": 2}).facts)
    assert report.is_clean, str(report)
    assert report.num_verdicts > 20


def test_points_of_the_user_are_skipped_and_are_part_of_the_history():
    feed = parallel_study(points=[{"x": 0.5, "n": 1}, {"x": 0.1, "n": 2}])
    report = audit(feed.facts)
    assert report.is_clean, str(report)
    assert (report.num_enqueued, report.num_suggestions) == (2, 22)


def test_suggestions_made_ahead_of_need_are_recomputed_from_what_was_known_then():
    feed = Feed(ahead=True, sampler=LEARNER, num_trials=40)
    feed.core.suggestions.num_ahead = 3
    at, running = 0.0, []
    while feed.core.ledger.stopped is None:
        at += 1
        while (request := feed.core.suggestions.request(demand=1)) is not None:
            feed.core.suggestions.put(feed.core.suggestions.compute(request))
        if at == 30:
            feed(EnqueueConfig(config={"x": 0.5, "n": 1}, at=at))
        if len(running) < 3:
            running += feed(AskTrials(worker=f"w{at}", at=at)).reply.assignments
        if len(running) == 3 or at > 60:
            a = running.pop(0)
            feed(EndTrial(number=a.number, attempt=1, at=at, status=Status.COMPLETED, metrics={"loss": a.config["x"]}))
    behind = [p - f.basis for p, f in enumerate(feed.facts) if isinstance(f, Started) and f.basis is not None]
    assert max(behind) > 3, "the test wants suggestions that waited on the shelf"
    report = audit(feed.facts)
    assert report.is_clean, str(report)


def test_an_interrupted_study_is_recomputed_over_its_sessions():
    feed = parallel_study(num=24)
    again = feed.resumed(len(feed.facts) // 2, at=1000.0)
    running = []
    for at in range(1001, 1100):
        lease = again(AskTrials(worker=f"w{at}", at=at)).reply
        for a in lease.assignments:
            running.append(a)
            done = {"number": a.number, "attempt": a.attempt, "status": Status.COMPLETED}
            again(EndTrial(at=at, metrics={"loss": a.config["x"]}, **done))
    assert len(running) > 10
    assert audit(again.facts).is_clean


def started(facts, number):
    return next(f for f in facts if isinstance(f, Started) and f.number == number)


def tampered(facts, fact, **changes):
    """The facts, one of them changed."""
    return [replace(f, **changes) if f is fact else f for f in facts]


def test_a_changed_configuration_is_found():
    facts = parallel_study(sampler="random").facts
    report = audit(tampered(facts, started(facts, 7), config={"x": 0.123, "n": 4}))
    (difference,) = report.differences
    assert (difference.number, difference.what) == (7, "config")
    assert "trial 7" in str(report)
    assert "0.123" in str(report)


def test_a_changed_result_shows_in_the_suggestions_that_learned_from_it():
    facts = parallel_study(workers=1).facts
    first = next(f for f in facts if isinstance(f, Finished) and f.status is Status.COMPLETED)
    report = audit(tampered(facts, first, metrics={"loss": -1e9}))
    assert not report.is_clean
    assert all(d.number > first.number for d in report.differences)


def test_a_changed_verdict_and_a_changed_seed_are_found():
    facts = parallel_study(scheduler={"name": "median", "min_trials": 2}).facts
    stopped = next(f for f in facts if isinstance(f, Reported) and f.verdict is Verdict.STOP)
    report = audit(tampered(facts, stopped, verdict=Verdict.CONTINUE))
    assert ("verdict", stopped.number) in {(d.what, d.number) for d in report.differences}
    reseeded = tampered(facts, facts[0], spec={**facts[0].spec, "seed": 99})
    assert len(audit(reseeded).differences) >= 20


def test_a_suggestion_that_says_it_saw_the_future_is_found():
    facts = parallel_study(sampler="random").facts
    report = audit(tampered(facts, started(facts, 7), basis=10_000))
    assert [d.what for d in report.differences] == ["basis"]


def below(config):
    return config["x"] <= 0.5


def test_a_space_with_functions_needs_them_to_be_passed():
    space = Space({"x": hpo.uniform(0, 1)}, constraints=[below])
    facts = parallel_study(space=space).facts
    with pytest.raises(SpaceError, match=r"'below'.*--file FILE\.py"):
        audit(facts)
    assert audit(facts, space=space).is_clean


def test_other_parts_than_those_of_the_study_are_refused():
    facts = parallel_study(scheduler={"name": "median", "min_trials": 2}).facts
    with pytest.raises(SpecMismatch, match="min_trials=2"):
        audit(facts, scheduler=Median())
    with pytest.raises(SpecMismatch, match="space"):
        audit(facts, space=Space({"x": hpo.uniform(0, 2)}))
    other_version = {**facts[0].spec, "sampler": {**facts[0].spec["sampler"], "version": 9}}
    with pytest.raises(SpecMismatch, match="version 9"):
        audit(tampered(facts, facts[0], spec=other_version))


def test_facts_of_no_study_are_refused():
    with pytest.raises(JournalCorrupt):
        audit([])


def test_facts_that_are_not_those_that_were_written_spoil_an_audit():
    facts = parallel_study(sampler="random").facts
    report = audit(facts, integrity=Integrity(num_batches=5, num_untold=0))
    assert report.is_clean
    assert str(report).endswith("no fact was changed, taken away or added since it was written")
    report = audit(facts, integrity=Integrity(num_batches=4, num_untold=9, broken=((57, 60),)))
    assert not report.is_clean and not report.differences
    assert "facts 57 to 60 are not those that were written; facts 0 to 8 have no digest" in str(report)
    report = audit(facts, integrity=Integrity(num_batches=0, num_untold=len(facts)))
    assert report.is_clean, "where nothing can be told, nothing is found"
    assert "cannot be told" in str(report)


def with_versions(facts, *sessions):
    """The facts, their sessions with these versions."""
    left = iter(sessions)
    return [replace(f, versions=next(left)) if isinstance(f, SessionOpened) else f for f in facts]


def test_other_versions_are_a_hint_where_something_differs():
    feed = parallel_study(sampler="random").resumed(20, at=1000.0)
    here = dict(installed_versions())
    assert {"python", "numpy", "scipy", "raytune_hpo"} <= here.keys()
    facts = with_versions(feed.facts, {**here, "numpy": "1.26.0"}, {**here, "numpy": "2.0.0"})
    assert audit(facts).versions == {"numpy": ("1.26.0", "2.0.0", here["numpy"])}
    assert "numpy 1.26.0" not in str(audit(facts)), "all is the same: nobody needs to know"
    changed = tampered(facts, started(facts, 1), config={"x": 0.123, "n": 4})
    assert f"computed with numpy 1.26.0 and 2.0.0, recomputed with {here['numpy']}" in str(audit(changed))
    assert audit(with_versions(feed.facts, here, here)).versions == {}
    assert audit(with_versions(feed.facts, {}, here)).versions == {}, "of earlier sessions nothing is known"


def test_a_session_notes_the_versions_that_compute_it():
    study = hpo.Study({"x": hpo.uniform(0, 1)}, storage="memory", sampler="random")
    (session,) = [f for f in study._optimizer._journal.read() if isinstance(f, SessionOpened)]
    assert session.versions == installed_versions()
