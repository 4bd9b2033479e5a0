"""Whatever happens to a live study, in any order: the baseline or what was promoted comes back, and the journal replays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_hpo.errors import InvalidTransition, JournalError
from raytune_hpo.facts import Finished, Started
from raytune_hpo.files import write_whole
from raytune_hpo.journal.memory import MemoryStorage
from raytune_hpo.live.messages import Freeze, SetBaseline, Thaw
from raytune_hpo.live.replaying import replayed
from raytune_hpo.live.requests import leave
from raytune_hpo.live.seat import Seat, SeatedApplier, age_at, fall_back
from raytune_hpo.live.stored import StoredLive
from tests.live.running_system import (
    BASELINE,
    FAST,
    SLOW,
    Fate,
    Killed,
    Scripted,
    Story,
    System,
    VirtualTime,
    lived,
)

BETTER = {"threads": 24, "timeout": 0.5}
OF_THE_SYSTEM = ("apply", "read", "measure", "split")
TERM_S = 30.0
TOUCHES = [range(1, 11), *(pytest.param(range(n, n + 10), marks=pytest.mark.slow) for n in range(11, 131, 10))]


def replay(story):
    return replayed(story.facts, story.spec, story.plan, Scripted(configs=story.sampler.configs))


@pytest.mark.parametrize("num", range(1, 90))
def test_killed_at_any_point_the_next_controller_brings_back_what_was_promoted(num):
    story = Story(FAST, SLOW, looks=[2], observe=4, check_s=60.0)
    system = story.system
    originals = {name: getattr(system, name) for name in OF_THE_SYSTEM}
    fate = Fate(num)
    fate.over(story.journal, "append")
    fate.over(system, *OF_THE_SYSTEM)
    with pytest.raises(Killed):
        story.run(windows=60)
    vars(system).update(originals)
    story.kill()
    story.at += 5.0
    story.start()
    system.log.clear()
    story.controller.turn(story.at)
    good = [BASELINE, *[c for stack in story.fold.promoted.values() for c in stack]]
    first = {group: config for group, config, _ in reversed(system.log)}
    assert first["control"] in good
    assert first["canary"] in good  # then it may try the next candidate
    story.run(windows=6)
    assert replay(story).differences == ()


def promoted(storage):
    """What the journal says is promoted, and the baseline."""
    fold = StoredLive("shop", storage).fold()
    return [BASELINE, *[config for stack in fold.promoted.values() for config in stack]]


def touched(fate, live, monkeypatch, applier):
    """Everything that the controller's process touches: its journal, the system, and the files of the seat."""
    fate.over(live._journal, "append")
    fate.over(applier, *OF_THE_SYSTEM)
    monkeypatch.setattr("raytune_hpo.live.seat.write_whole", fate.touching(write_whole))
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # the process dies, not the machine


def gone(live, monkeypatch):
    """The process has ended: the kernel has taken its locks."""
    monkeypatch.setattr("raytune_hpo.live.seat.write_whole", write_whole)
    live._journal.close()
    live._seat.let_go()


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("nums", TOUCHES, ids=lambda nums: f"from {nums[0]}")
def test_killed_at_any_touch_of_journal_system_or_seat_the_watchdog_leaves_what_was_proven(
    tmp_path, monkeypatch, nums, is_after
):
    for num in nums:
        system, storage, time = System(), MemoryStorage(), VirtualTime()
        given = {"applier": system, "storage": storage, "seat": tmp_path / str(num), "term_s": TERM_S}
        sampler = Scripted(configs=(FAST, SLOW))
        live = lived(monkeypatch, time, sampler=sampler, **given)
        touched(Fate(num, is_after=is_after), live, monkeypatch, system)
        with pytest.raises(Killed):
            live.run(7_200.0)
        gone(live, monkeypatch)
        healed = {name: getattr(System, name).__get__(system) for name in OF_THE_SYSTEM}
        vars(system).update(healed)
        seat = Seat(tmp_path / str(num))
        time.at += 2 * TERM_S + 1.0
        fall_back(system, seat, age_at(time.at), TERM_S)
        good = [{}, *promoted(storage)]  # as it was, before anything was ever applied to it
        assert all(config in good for config in system.runs.values()), (num, system.runs)
        again = lived(monkeypatch, time, sampler=sampler, **given)
        again.run(1.0)
        assert system.runs["control"] in promoted(storage)
        again.stop()
        assert system.runs["canary"] in promoted(storage)
        assert (
            replayed(
                list(storage.read("shop")), again._controller.fold.study.ledger.spec, again.plan, sampler
            ).differences
            == ()
        )


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("num", range(1, 9))
def test_a_watchdog_that_dies_halfway_is_finished_by_the_next_one(tmp_path, monkeypatch, num, is_after):
    seat, system = Seat(tmp_path), System()
    seat.keep_baseline(BASELINE)
    for group in ("control", "canary"):
        SeatedApplier(system, seat).apply(FAST, group, 3)
    seat.give_heartbeat(0.0)
    fate = Fate(num, is_after=is_after)
    fate.over(system, "apply")
    monkeypatch.setattr("raytune_hpo.live.seat.write_whole", fate.touching(write_whole))
    with pytest.raises(Killed):
        fall_back(system, seat, age_at(61.0), TERM_S)
        fall_back(system, seat, age_at(62.0), TERM_S)
        raise Killed  # it touched less often
    vars(system)["apply"] = System.apply.__get__(system)
    monkeypatch.setattr("raytune_hpo.live.seat.write_whole", write_whole)
    fall_back(system, seat, age_at(63.0), TERM_S)
    assert system.runs == {"control": BASELINE, "canary": BASELINE}


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("nums", TOUCHES, ids=lambda nums: f"from {nums[0]}")
def test_when_the_thread_that_optimizes_dies_requests_get_what_was_proven_within_two_terms(
    tmp_path, monkeypatch, nums, is_after
):
    for num in nums:
        an_optimizer_dies(Fate(num, is_after=is_after), tmp_path / str(num), monkeypatch)


def an_optimizer_dies(fate, folder, monkeypatch):
    def served():
        found = []
        for _ in range(40):
            with live.decide({"rps": 100.0}) as choice:
                choice.feedback(cost=200.0 - 4.0 * choice.config["threads"], p99=100.0)
            found.append(choice.config)
        return found

    storage, time = MemoryStorage(), VirtualTime(meanwhile=served)
    given = {"sampler": Scripted(configs=(FAST, BETTER)), "storage": storage, "seat": folder, "term_s": TERM_S}
    live = lived(monkeypatch, time, **given)
    touched(fate, live, monkeypatch, live._requests)
    with pytest.raises(Killed):
        live.run(7_200.0)
    time.at += 2 * TERM_S + 1.0
    good = promoted(storage)
    assert all(config in good for config in served())
    gone(live, monkeypatch)  # and now the process that decides is gone as well
    live = lived(monkeypatch, time, **given)
    assert all(config in good for config in served())
    live.run(1.0)
    live.stop()
    time.at += 10 * TERM_S
    assert all(config in promoted(storage) for config in served())


def test_while_the_optimizer_hangs_requests_get_the_baseline_and_afterwards_what_is_promoted(tmp_path, monkeypatch):
    time = VirtualTime(meanwhile=lambda: served.append(serve()))
    served = []

    def serve():
        with live.decide({"rps": 100.0}) as choice:
            choice.feedback(cost=200.0 - 4.0 * choice.config["threads"], p99=100.0)
        return choice

    live = lived(
        monkeypatch, time, sampler=Scripted(configs=(FAST,)), storage=MemoryStorage(), seat=tmp_path, shares=[0.5]
    )
    live.run(3_600.0)
    assert serve().config == FAST
    time.at += 61.0
    assert (serve().config, serve().group) == (BASELINE, "none")
    live.run(60.0)
    assert (serve().config, serve().group in ("control", "canary")) == (FAST, True)
    live.stop()
    time.at += 3_600.0
    assert serve().config == FAST


def test_a_request_that_cannot_be_written_ends_the_controller_before_it_changes_anything(tmp_path, monkeypatch):
    system, time, told = System(), VirtualTime(), []
    given = {"applier": system, "storage": MemoryStorage(), "seat": tmp_path, "sampler": Scripted()}
    live = lived(monkeypatch, time, tell=told.append, **given)
    live.run(120.0)
    leave(tmp_path / "requests", SetBaseline(config=FAST, by="ann", at=time.at))
    append = live._journal.append

    def is_away(facts, expect):
        live._journal.append = append  # and back at once
        raise JournalError("the database is away")

    live._journal.append = is_away
    with pytest.raises(JournalError, match="^the database is away"):
        live.run(120.0)
    with pytest.raises(JournalError, match="can decide nothing more; start the study again: the database is away"):
        live.stop()
    live.stop()
    assert system.runs == {"control": BASELINE, "canary": BASELINE} and told == []
    seat = Seat(tmp_path)
    seat.hold("stall", "memory")
    assert seat.heartbeat_at is not None  # so that the watchdog steps in
    seat.let_go()
    again = lived(monkeypatch, time, **given)
    again.run(120.0)
    again.stop()
    assert seat.heartbeat_at is None


EVENTS = st.lists(
    st.sampled_from("run run run run kill freeze thaw baseline slow ten by_hand unreachable back no_metrics".split()),
    max_size=14,
)


@settings(max_examples=25)
@given(events=EVENTS, seed=st.integers(0, 5))
def test_any_sequence_of_events_leaves_a_journal_that_replays(events, seed):
    story = Story(FAST, SLOW, BETTER, observe=4, looks=[2, 4], check_s=30.0, cool_down_s=120.0)
    for event in events:
        happen(story, event)
        check(story)
    story.system.breaks = set()
    happen(story, "thaw")
    happen(story, "run")
    check(story)
    assert replay(story).differences == ()


def happen(story, event):
    if event == "kill":
        story.kill()
        story.at += 100.0
        story.start()
    elif event == "freeze":
        story.obey(Freeze(by="ann", reason="test", at=story.at))
    elif event == "thaw":
        story.obey(Thaw(by="ann", at=story.at))
    elif event == "baseline":
        story.obey(SetBaseline(by="ann", at=story.at))
    elif event == "slow":
        story.system.cost = lambda config: 300.0
    elif event == "ten":
        story.system.rps = 1000.0 if story.system.rps == 100.0 else 100.0
    elif event == "by_hand":
        story.system.runs["control"] = {"threads": 40, "timeout": 0.25}
    elif event == "unreachable":
        story.system.breaks = {"apply"}
    elif event == "no_metrics":
        story.system.breaks = {"measure"}
    elif event == "back":
        story.system.breaks = set()
    story.run(windows=3)


def check(story):
    fold, running = story.fold, story.fold.study.ledger.running()
    assert len(running) <= 3
    numbers = [fact.number for fact in story.facts if isinstance(fact, Started)]
    assert numbers == list(range(len(numbers)))
    ended = [fact.number for fact in story.facts if isinstance(fact, Finished)]
    assert len(ended) == len(set(ended))
    if fold.frozen is None and not story.system.breaks:
        assert story.system.runs["control"] in [fold.desired("control"), {"threads": 40, "timeout": 0.25}]
    if fold.frozen is not None:
        assert fold.candidate is None


def test_a_fact_out_of_place_is_refused():
    story = Story()
    story.run(windows=2)
    last = next(fact for fact in story.facts if isinstance(fact, Finished))
    with pytest.raises(InvalidTransition):
        story.fold.apply(last)
