"""Whatever happens, in whatever order: the invariants hold after each event, and a replay is the live state."""

from __future__ import annotations

import random
from collections import deque

import pytest

from raytune_hpo import codec
from raytune_hpo.core.messages import (
    AskTrials,
    EndTrial,
    EnqueueConfig,
    KeepCheckpoint,
    LoseWorker,
    Observation,
    RecordObservations,
    ReplaceWorkers,
    ReportMetrics,
    ReturnTrials,
    StopStudy,
    StopTrial,
    Tick,
    WithdrawConfig,
)
from raytune_hpo.facts import Finished, Started, Status
from raytune_hpo.trial import Reports
from tests.support import Feed

SETTINGS = [
    {"num_trials": 40, "scheduler": "asha"},
    {"num_trials": 40, "scheduler": {"name": "median", "min_trials": 2}},
    {"num_trials": 30, "sampler": "grid", "space": {"x": {"grid_search": list(range(20))}}},
    {"num_trials": 30, "sampler": "sobol", "max_retries": 0},
    {"num_trials": 16, "sampler": {"name": "hyperopt", "n_startup_jobs": 4}, "ahead": True},
    {"time_budget_s": 200, "target": -5.0},
    {"num_trials": 40, "scheduler": {"name": "asha", "promote": True, "max_steps": 9}},
    {"num_trials": 30, "scheduler": {"name": "asha", "promote": True, "eta": 2}, "max_retries": 0},
    {"num_trials": 30, "scheduler": {"name": "hyperband", "promote": True, "max_steps": 9}, "sampler": "sobol"},
    {"num_trials": 30, "scheduler": {"name": "successive_halving", "max_steps": 9}},
    {"num_trials": 30, "scheduler": {"name": "pasha", "max_steps": 9, "eta": 2}},
    {"num_trials": 30, "scheduler": {"name": "race", "max_steps": 8, "first": 2}},
    {"num_trials": 40, "scheduler": {"name": "auto", "eta": 2}},
    {"num_trials": 40, "sampler": {"name": "pbt", "population": 4, "max_steps": 8, "interval": 2}},
    {"num_trials": 40, "sampler": {"name": "pb2", "population": 5, "max_steps": 9}, "ahead": True},
]


class World:
    """Workers that ask, report, end, repeat themselves, come late and die, at random."""

    def __init__(self, feed: Feed, seed: int) -> None:
        self.feed, self.random, self.at = feed, random.Random(seed), 0.0
        self.known: list = []  # every assignment anyone ever got

    def event(self):
        self.at += self.random.random()
        worker = f"{self.random.choice(['c1', 'c2'])}-{self.random.randrange(4)}"
        pick = self.random.random()
        if pick < 0.35 or not self.known:
            return AskTrials(worker=worker, at=self.at, limit=self.random.choice([1, 1, 5]))
        some = self.random.choice(self.known[-8:] if self.random.random() < 0.8 else self.known)
        if pick < 0.60:
            return ReportMetrics(
                number=some.number,
                attempt=some.attempt,
                step=self.random.randrange(1, 9),
                metrics={"loss": self.random.gauss(0, 1)},
                at=self.at,
                saves=True,
            )
        if pick < 0.85:
            return self.end(some)
        return self.rare(worker, some, pick)

    def end(self, some):
        """An end or, where trials pause, more often a pause; with a checkpoint or without."""
        pauses = self.feed.core.promoter is not None
        if pauses and self.random.random() < 0.7:
            status = Status.PAUSED if self.random.random() < 0.9 else Status.WAITING
        else:
            status = self.random.choice([Status.COMPLETED] * 4 + [Status.FAILED])
        metrics = {"loss": self.random.gauss(0, 1)} if status is Status.COMPLETED else {}
        saved = {"kept": str(self.at)} if pauses and self.random.random() < 0.7 else None
        return EndTrial(
            number=some.number,
            attempt=some.attempt,
            status=status,
            at=self.at,
            metrics=metrics,
            checkpoint=saved,
            reason="no such file" if status is Status.WAITING else None,
        )

    def rare(self, worker, some, pick):
        if pick < 0.92:
            return LoseWorker(worker=worker, at=self.at, blameless=self.random.random() < 0.3)
        if pick < 0.94:
            return ReplaceWorkers(prefix="c1", at=self.at)
        if pick < 0.96:
            return ReturnTrials(worker=worker, numbers=(some.number,), at=self.at)
        if pick < 0.965:
            return StopTrial(number=some.number, at=self.at)
        if pick < 0.97:
            trial = self.feed.core.ledger.trials[some.number]
            return KeepCheckpoint(
                number=some.number,
                attempt=some.attempt,
                step=trial.last_step or 1,
                checkpoint={"kept": str(self.at)},
                at=self.at,
            )
        if pick < 0.98:
            return EnqueueConfig(config=dict(self.feed.core.ledger.trials[some.number].config), at=self.at)
        if pick < 0.983:
            return WithdrawConfig(position=self.random.randrange(self.feed.core.ledger.num_enqueued + 1), at=self.at)
        if pick < 0.985:
            config = dict(self.feed.core.ledger.trials[some.number].config)
            seen = Observation(config=config, status=Status.COMPLETED, metrics={"loss": self.random.gauss(0, 1)})
            return RecordObservations(worker="elsewhere", observations=(seen, seen), at=self.at)
        return StopStudy(reason="test", at=self.at) if pick > 0.9975 else Tick(at=self.at)

    def step(self):
        decision = self.feed(self.event())
        self.known.extend(getattr(decision.reply, "assignments", ()))
        if self.feed.ahead and (request := self.feed.core.suggestions.request(demand=1)) is not None:
            self.feed.core.suggestions.put(self.feed.core.suggestions.compute(request))
        return decision


def check_invariants(feed: Feed) -> None:
    ledger = feed.core.ledger
    assert ledger.seen == len(feed.facts)
    assert [t.number for t in ledger.trials] == list(range(len(ledger.trials)))
    running = {t.number for t in ledger.trials if t.status is Status.RUNNING}
    waiting = {t.number for t in ledger.trials if t.status is Status.WAITING}
    assert running == {n for numbers in ledger.owned.values() for n in numbers}
    assert waiting == set(ledger.requeued) and len(waiting) == len(ledger.requeued)
    paused = {t.number for t in ledger.trials if t.status is Status.PAUSED}
    assert set(ledger.unfinished) == running | waiting
    assert set(ledger.paused) == paused
    assert [t.number for t in ledger.pending()] == sorted(ledger.unfinished)
    assert len(ledger.finished) + len(ledger.unfinished) + len(ledger.paused) == len(ledger.trials)
    for name in ("unfinished", "paused"):
        assert all(ledger.trials[number] is trial for number, trial in getattr(ledger, name).items())
    assert set(ledger.checkpoints) == {t.number for t in ledger.trials if t.checkpoints}
    assert sum(ledger.counts.values()) == len(ledger.trials)
    limit = ledger.spec.limits.num_trials
    assert limit is None or len(ledger.trials) <= limit
    if ledger.stopped is not None:
        assert not running


def plain(value):
    """Any state as nested plain values, so that two can be compared whole."""
    if isinstance(value, dict):
        return {repr(key): plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple, deque, Reports)):
        return [plain(child) for child in value]
    slots = getattr(type(value), "__slots__", ())
    state = {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots if hasattr(value, name)}}
    own = type(value).__module__.startswith("raytune_hpo") and state
    return [type(value).__name__, plain(state)] if own else repr(value)


def state(core):
    ledger = {key: value for key, value in vars(core.ledger).items() if key != "spec"}
    return plain(ledger), core.ledger.spec.limits, plain(core.scheduler)


def named(settings):
    return f"{settings.get('sampler', 'random')}-{settings.get('scheduler')}"


@pytest.mark.parametrize("settings", SETTINGS, ids=named)
@pytest.mark.parametrize(
    "seeds", [range(50), pytest.param(range(50, 300), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_the_invariants_hold_and_replay_is_the_live_state(settings, seeds):
    for seed in seeds:  # many short lives, and a few long ones
        world = World(Feed(**settings), seed)
        for _ in range(400 if seed % 50 == 0 else 60):
            world.step()
            check_invariants(world.feed)
        finished = [f.number for f in world.feed.facts if isinstance(f, Finished)]
        assert len(finished) == len(set(finished))
        assert state(world.feed.replayed()) == state(world.feed.core)


@pytest.mark.parametrize("settings", SETTINGS[:4], ids=lambda s: str(s.get("sampler", s.get("scheduler"))))
def test_facts_survive_the_journal(settings):
    world = World(Feed(**settings), seed=99)
    for _ in range(300):
        world.step()
    again = [codec.decode(type(f).__name__, codec.VERSION, codec.encode(f)) for f in world.feed.facts]
    assert again == world.feed.facts


def one_worker(feed: Feed, num_facts: int | None = None) -> Feed:
    """A single worker that reports and ends, until the study is over or has so many facts."""
    at = float(len(feed.facts))
    while num_facts is None or len(feed.facts) < num_facts:
        at += 1
        reply = feed(AskTrials(worker="w", at=at)).reply
        if reply.is_over:
            break
        (trial,) = reply.assignments
        for step in range(1, 6):
            loss = (trial.config["x"] - 0.3) ** 2 + 1 / step
            answer = feed(
                ReportMetrics(number=trial.number, attempt=trial.attempt, step=step, metrics={"loss": loss}, at=at)
            ).reply
            if answer.verdict == "stop":
                break
            if num_facts is not None and len(feed.facts) >= num_facts:
                return feed
        feed(
            EndTrial(
                number=trial.number,
                attempt=trial.attempt,
                status=Status.COMPLETED,
                at=at,
                metrics={"loss": (trial.config["x"] - 0.3) ** 2},
            )
        )
    return feed


def outcome(feed: Feed):
    return [(t.number, dict(t.config), t.status, t.losses, t.meta) for t in feed.core.ledger.trials]


@pytest.mark.parametrize("sampler", ["random", "sobol", {"name": "hyperopt", "n_startup_jobs": 3}])
def test_with_one_worker_a_study_interrupted_at_any_fact_is_the_uninterrupted_one(sampler):
    settings = {"num_trials": 8, "scheduler": {"name": "asha", "eta": 2}, "sampler": sampler}
    whole = one_worker(Feed(**settings))
    for cut in range(2, len(whole.facts)):
        resumed = one_worker(whole.resumed(cut, at=1e6))
        assert outcome(resumed) == outcome(whole), f"cut after fact {cut}"


def test_two_recoveries_from_one_journal_suggest_the_same():
    world = World(Feed(num_trials=40, sampler={"name": "hyperopt", "n_startup_jobs": 4}), seed=5)
    for _ in range(60):
        world.step()
    first, second = (world.feed.resumed(len(world.feed.facts), at=1e6) for _ in range(2))
    one, two = (f(AskTrials(worker="n", at=1e6 + 1)).reply for f in (first, second))
    assert one == two


def test_every_suggestion_names_a_basis_that_lies_before_it():
    world = World(Feed(num_trials=16, sampler={"name": "hyperopt", "n_startup_jobs": 4}, ahead=True), seed=3)
    for _ in range(200):
        world.step()
    started = {position: fact for position, fact in enumerate(world.feed.facts) if isinstance(fact, Started)}
    bases = {position: fact.basis for position, fact in started.items() if fact.basis is not None}
    assert len(bases) > 4  # beyond the start-up jobs
    assert all(basis <= position for position, basis in bases.items())
