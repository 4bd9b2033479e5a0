"""A guard that few requests seem to break: within a window it takes as many as can say so; a whole window is as measured."""

from __future__ import annotations

import pytest

from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Finished, Status
from raytune_hpo.live.choosing import RequestApplier, _Outcome
from raytune_hpo.numerics.few import share_bounds
from tests.live.running_system import BASELINE, FAST, Story, System


class Failing(System):
    """Of its requests, some have failed."""

    failed, num = 0, 3

    def measure(self, group, start, end):
        metrics, context = super().measure(group, start, end)
        return {**metrics, "errors": self.failed / self.num if group == "canary" else 0.0}, context

    def bounds(self, group, start, end, level):
        return {"errors": share_bounds(self.failed if group == "canary" else 0, self.num, level)}


def tried(failed, num=3):
    story = Story(FAST, system=Failing(), guards=["errors <= 0.01"], window_s=300.0, looks=[2])
    story.run(until="canary")
    story.run(windows=0.4)
    story.system.failed, story.system.num = failed, num
    return story


def failures(story):
    return [f for f in story.facts if isinstance(f, Finished) and f.status is Status.FAILED]


@pytest.mark.parametrize("num", [1, 2, 3, 10, 50])
def test_one_request_that_failed_in_the_newest_minute_breaks_nothing(num):
    story = tried(1, num)
    story.run(windows=0.4)
    assert not failures(story) and story.system.runs["canary"] == FAST
    story.system.failed = 0
    story.run(until="holding")
    assert story.fold.incumbent() == FAST


@pytest.mark.parametrize(("failed", "num"), [(2, 3), (3, 10), (5, 50), (300, 10_000)])
def test_more_than_that_break_it_at_the_next_check(failed, num):
    story = tried(failed, num)
    began = story.at
    while not failures(story):
        story.run(windows=0.01)
    assert story.at - began <= 2 * story.plan.check_s
    assert story.system.runs["canary"] == BASELINE and "errors <= 0.01" in failures(story)[0].reason


def test_a_whole_window_is_judged_as_it_was_measured():
    story = tried(1, 50)
    story.run(windows=0.7)
    assert [f.metrics["errors"] for f in failures(story)] == [0.02]
    assert story.system.runs["canary"] == BASELINE


def test_a_request_has_numbers_and_nothing_where_there_is_none():
    requests = RequestApplier(lambda: 100.0)
    for latency in [1.0, 2.0, None, float("nan")]:
        with requests.choose(BASELINE, {"rps": 8.0 if latency == 1.0 else latency}) as choice:
            choice.feedback(latency=latency)
    metrics, context = requests.measure("control", 0.0, 200.0)
    assert metrics == {"requests": 4.0, "errors": 0.0, "latency": 1.5, "latency_p50": 1.0, "latency_p99": 2.0}
    assert context == {"rps": 5.0}
    for bad in ("1 s", float("inf"), [1.0]):
        with pytest.raises(HpoError, match="feedback gives finite numbers, got latency="):
            choice.feedback(latency=bad)
        with pytest.raises(HpoError, match="context of a request gives finite numbers, got rps="):
            requests.choose(BASELINE, {"rps": bad})


def test_requests_do_not_wait_while_all_outcomes_before_a_window_are_looked_at(monkeypatch):
    looked = []

    class Watched(_Outcome):
        @property
        def at(self):
            looked.append(self)
            return super().at

    now = [0.0]
    requests = RequestApplier(lambda: now[0])
    monkeypatch.setattr("raytune_hpo.live.choosing._Outcome", Watched)
    for i in range(3_000):
        now[0] = float(i)
        with requests.choose(BASELINE, {}) as choice:
            choice.feedback(latency=float(i))
    looked.clear()
    metrics, _ = requests.measure("control", 2_990.0, 2_997.0)
    assert metrics["requests"] == 8.0 and metrics["latency"] == 2_993.5
    assert len(looked) < 50


def test_outcomes_are_kept_in_the_order_of_their_times():
    held = []
    requests = RequestApplier(lambda: float(held.append(requests._lock.locked()) is None))
    requests.note("control", False, {}, {})
    assert held == [True]


def test_requests_have_bounds_as_wide_as_they_are_few():
    now = [100.0]
    requests = RequestApplier(lambda: now[0])
    assert requests.bounds("control", 0.0, 200.0, 0.01) == {}
    for i in range(3):
        with requests.choose(BASELINE, {}) as choice:
            choice.feedback(latency=10.0 + i)
    few = requests.bounds("control", 0.0, 200.0, 0.01)
    assert few["errors"][0] == 0.0 and few["errors"][1] > 0.5
    assert few["latency_p99"] == (11.0, float("inf")) and few["latency_p50"] == (-float("inf"), float("inf"))
    assert few["latency"][0] < 11.0 < few["latency"][1]
    for i in range(997):
        with requests.choose(BASELINE, {}) as choice:
            choice.feedback(latency=10.0 + i % 3)
    many, metrics = requests.bounds("control", 0.0, 200.0, 0.01), requests.measure("control", 0.0, 200.0)[0]
    assert set(many) == set(metrics) - {"requests"}
    assert all(low <= metrics[name] <= high for name, (low, high) in many.items())
    assert many["errors"][1] < 0.01 and many["latency"][1] - many["latency"][0] < 0.2
