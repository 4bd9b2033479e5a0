"""The story of a live study is what happened to it; what a hand has set can be adopted."""

from __future__ import annotations

import pytest
from running_system import BASELINE, FAST, SLOW, Story

from raytune_hpo.errors import SpecError
from raytune_hpo.live.messages import Adopt, Freeze, Thaw
from raytune_hpo.live.replaying import stored_plan
from raytune_hpo.live.timeline import Timeline


def told(story: Story) -> Timeline:
    timeline = Timeline(*stored_plan(story.facts))
    for fact in story.facts:
        timeline.take(fact)
    return timeline


def test_a_promotion_is_told_stage_by_stage_with_its_reasons():
    story = Story(FAST)
    story.run(until="canary")
    story.run(until="holding")
    events = {event.kind: event for event in told(story).events}
    assert [kind for kind in events if kind != "context"] == ["baseline", "canary", "promoting", "promoted"]
    number = events["canary"].number
    assert events["canary"].said == f"Canary of {number} began at 5 %." and events["canary"].why == "threads 16 to 20."
    assert events["promoting"].said == f"{number} went to 25 %."
    assert "cost" in events["promoted"].why and "% better than control in" in events["promoted"].why
    shares = [(share.share, share.candidate, share.promoted) for share in told(story).shares]
    assert shares == [(0.0, None, None), (0.05, number, None), (0.25, number, None), (0.0, None, number)]


def test_a_broken_guard_is_told_with_its_figures_and_the_way_back():
    story = Story(SLOW)
    story.run(until="canary")
    story.run(windows=4)
    kinds = [event.kind for event in told(story).events if event.kind != "context"]
    assert kinds[:4] == ["baseline", "canary", "guard", "let go"] and "rolled back" in kinds
    guard = next(event for event in told(story).events if event.kind == "guard")
    assert "p99 is " in guard.why and "its limit 150" in guard.why
    assert all(
        a.at <= b.at and a.seq <= b.seq for a, b in zip(told(story).events, told(story).events[1:], strict=False)
    )


def test_freezing_and_thawing_are_told_by_whom():
    story = Story(FAST)
    story.run(until="canary")
    story.obey(Freeze(by="ann", reason="sale", at=story.at))
    story.obey(Thaw(by="bob", at=story.at))
    said = [(event.said, event.why) for event in told(story).events[-2:]]
    assert said == [("ann froze it.", "sale"), ("bob thawed it.", "")]
    between = told(story).events_between(story.at, story.at + 1)
    assert [event.kind for event in between] == ["let go", "frozen", "thawed"]
    assert told(story).windows_between(story.at + 1, story.at + 2) == []


def test_what_a_hand_has_set_becomes_the_baseline_in_one_word():
    story = Story()
    story.run(windows=8)
    with pytest.raises(SpecError, match="nobody has"):
        story.obey(Adopt(by="ann", at=story.at))
    story.system.runs["control"] = {"threads": 31, "timeout": 0.25}
    story.run(until="frozen")
    assert "live adopt" in story.fold.frozen.reason
    story.obey(Adopt(by="ann", at=story.at))
    assert story.fold.baseline == {"threads": 31, "timeout": 0.25} != BASELINE
    assert story.state == "observing"
    story.run(windows=2)
    assert story.system.runs["canary"] == story.system.runs["control"] == {"threads": 31, "timeout": 0.25}
    assert [event.kind for event in told(story).events][-2:] == ["baseline", "thawed"]


def test_what_is_outside_of_the_space_cannot_be_adopted():
    story = Story()
    story.run(windows=8)
    story.system.runs["control"] = {"threads": 31, "timeout": 25.0}
    story.run(until="frozen")
    with pytest.raises(SpecError, match="outside of the space"):
        story.obey(Adopt(by="ann", at=story.at))
    assert story.state == "frozen"
