"""A sampler is asked in one way, so that it says the same wherever it is asked again."""

from __future__ import annotations

import pickle

import pytest
import scipy.linalg  # noqa: F401 - so that its library is counted from the start
from threadpoolctl import threadpool_info, threadpool_limits

import raytune_hpo as hpo
from raytune_hpo.core.asking import ask, recall
from raytune_hpo.core.growing import GrowingSampler
from raytune_hpo.core.lending import lender
from raytune_hpo.facts import Recalled, Verdict
from raytune_hpo.journal import open_storage
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.testing import finish, report, start
from raytune_hpo.trial import Reports
from tests.support import make_plan


def num_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


class Curious:
    """Says in how many threads it was asked, and what it drew."""

    def __init__(self, history_free):
        self.traits = Traits(history_free=history_free)

    def ask(self, number, pending, rng):
        return Suggestion({"threads": num_threads(), "drawn": rng.random()})


def test_who_learns_is_asked_in_one_thread_and_others_get_theirs_back():
    with threadpool_limits(2, user_api="blas"):
        before = num_threads()
        said = ask(Curious(history_free=False), 3, (), 7)
        assert said.config["threads"] == {1}
        assert num_threads() == before != {1}
        assert ask(Curious(history_free=True), 3, (), 7).config["threads"] == before


def test_random_numbers_are_those_of_the_study_and_the_trial():
    def drawn(number, seed):
        return ask(Curious(history_free=False), number, (), seed).config["drawn"]

    assert drawn(3, 7) == drawn(3, 7)
    assert len({drawn(3, 7), drawn(4, 7), drawn(3, 8)}) == 3


def scrawl_over(trial):
    """Write into whatever a trial holds."""
    for held in (
        trial.config,
        trial.config["inner"],
        trial.metrics,
        trial.meta,
        *(r.metrics for r in [*trial.reports, *trial.reports[-1:], *reversed(trial.reports)]),
    ):
        held.clear()


class Scrawling:
    """A sampler that writes into the trials that it gets."""

    traits = Traits()

    def bind(self, space, goals, seed):
        bound = type(self)()
        bound.space = space
        return bound

    def ask(self, number, pending, rng):
        any(map(scrawl_over, pending))
        return Suggestion(self.space.sample(1, rng)[0], meta={"by": "me"})

    def tell(self, trial):
        scrawl_over(trial)


class ScrawlingScheduler:
    """A scheduler that does."""

    version = 1

    def bind(self, goals):
        return type(self)()

    def judge(self, trial):
        scrawl_over(trial)
        return Verdict.CONTINUE

    def next_step(self, trial):
        scrawl_over(trial)
        return 1

    def observe(self, trial):
        scrawl_over(trial)


@pytest.mark.parametrize("storage", ["memory", "studies.db"])
def test_parts_that_write_into_trials_change_no_study(tmp_path, storage):
    space = {"x": hpo.uniform(0, 1), "inner": {"y": hpo.uniform(0, 1)}}
    place = open_storage(storage if storage == "memory" else tmp_path / storage)
    with hpo.Study(space, name="s", sampler=Scrawling(), scheduler=ScrawlingScheduler(), storage=place) as study:
        asked = [study.ask() for _ in range(3)]
        for trial in asked:
            for step in (1, 2):
                study.report(trial, step, {"loss": trial.config["x"]})
            study.tell(trial, {"loss": trial.config["inner"]["y"], "other": 2.0})
        live, stored = study.results(), hpo.load("s", storage=place)
    for results in (live, stored):
        assert [t.config for t in results] == [t.config for t in asked]
        assert [[r.metrics["loss"] for r in t.reports] for t in results] == [[t.config["x"]] * 2 for t in asked]
        assert [t.metrics for t in results] == [{"loss": t.config["inner"]["y"], "other": 2.0} for t in asked]
        assert [t.meta for t in results] == [{"by": "me"}] * 3


def test_reports_that_are_lent_read_like_those_that_they_copy():
    lent = lender(Scrawling())(report(report(start(0, {"x": 0.5}), 1, 3.0), 2, 2.0)).reports
    assert [r.step for r in lent] == [1, 2] == [r.step for r in lent[:]] and lent[-1].step == 2 == len(lent)
    for reports in (lent, lent.up_to(1), lent.then(lent[0]), pickle.loads(pickle.dumps(lent))):
        assert isinstance(reports, Reports) and reports[0].metrics == {"loss": 3.0}
    for reports in (lent, lent.up_to(1), lent.then(lent[0])):
        reports[0].metrics.clear()
        assert reports[0].metrics == {"loss": 3.0}


def test_a_sampler_may_write_into_what_it_recalls_and_into_trials_of_a_growing_space():
    told = []

    class Hoarder(Scrawling):
        traits = Traits(recalls=True)

        def recall(self, earlier):
            for row, _ in earlier.rows:
                row.clear()

        def tell(self, trial):
            told.append(dict(trial.metrics))
            trial.metrics.clear()

    earlier = Recalled(source="s", rows=[([0.5], 1.0)], at=0.0)
    recall(Hoarder(), earlier)
    assert earlier.rows == [([0.5], 1.0)]
    spec = make_plan(space={"x": hpo.uniform(0, 1)}).spec
    growing = GrowingSampler(Hoarder(), spec)
    growing.tell(finish(start(0, {"x": 0.5}), {"loss": 1.0}))
    for seen in (1, 2):  # each time the space has grown, the sampler is told everything anew
        growing.grow(spec.space, seen)
        growing.ask(1, (), derive(0, "ask", 1))
    assert told == [{"loss": 1.0}] * 2
