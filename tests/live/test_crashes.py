"""Whatever happens to a live study, in any order: the baseline or what was promoted comes back, and the journal replays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_hpo.errors import InvalidTransition
from raytune_hpo.facts import Finished, Started
from raytune_hpo.live.messages import Freeze, SetBaseline, Thaw
from raytune_hpo.live.replaying import replayed
from tests.live.running_system import BASELINE, FAST, SLOW, Scripted, Story

BETTER = {"threads": 24, "timeout": 0.5}


class Killed(BaseException):
    """The controller's process is gone."""


def replay(story):
    return replayed(story.facts, story.spec, story.plan, Scripted(configs=story.sampler.configs))


def killed_after(story, num):
    """Have the controller die at its so-many-th touch of the journal or of the system."""
    left = [num]

    def touched(name, owner):
        inner = getattr(owner, name)

        def touch(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return inner(*args, **kwargs)

        setattr(owner, name, touch)

    touched("append", story.journal)
    for name in ("apply", "read", "measure", "split"):
        touched(name, story.system)


@pytest.mark.parametrize("num", range(1, 90))
def test_killed_at_any_point_the_next_controller_brings_back_what_was_promoted(num):
    story = Story(FAST, SLOW, looks=[2], observe=4, check_s=60.0)
    system = story.system
    originals = {name: getattr(system, name) for name in ("apply", "read", "measure", "split")}
    killed_after(story, num)
    with pytest.raises(Killed):
        story.run(windows=60)
    for name, method in originals.items():
        setattr(system, name, method)
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


EVENTS = st.lists(
    st.sampled_from("run run run run kill freeze thaw baseline slow ten by_hand unreachable back no_metrics".split()),
    max_size=14,
)


@settings(max_examples=25, deadline=None)
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
