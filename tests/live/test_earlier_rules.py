"""A study that was begun by earlier rules reads, replays and continues as it would have then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import raytune_hpo as hpo
from raytune_hpo import codec
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Drifted
from raytune_hpo.journal import open_storage
from raytune_hpo.live.plan import RULES, LivePlan
from raytune_hpo.live.replaying import replayed, stored_plan
from raytune_hpo.live.stored import status_of
from raytune_hpo.live.timeline import Timeline
from tests.live.running_system import BASELINE, FAST, SPACE, Scripted, System

FOLDER = Path(__file__).parents[1] / "golden" / "live"


class Knows(Scripted):
    def bind(self, space, goals, seed):
        return Knows(configs=self.configs)

    def forecast(self, config, context, at):
        return 200.0 - 4.0 * config["threads"], 1.4


def golden():
    """What the first release wrote of two promotions, another context, a broken guard and a drift."""
    lines = [json.loads(line) for line in (FOLDER / "rules_1.jsonl").read_text().splitlines()]
    return [codec.decode(line["kind"], line["version"], json.dumps(line["body"])) for line in lines]


def test_a_journal_of_the_first_release_replays_without_a_difference():
    facts = golden()
    spec, plan = stored_plan(facts)
    assert plan.rules == 1 and plan.looks == (3, 6)
    tried = (FAST, {"threads": 24, "timeout": 0.5}, {"threads": 8, "timeout": 0.5}, {"threads": 25, "timeout": 0.5})
    report = replayed(facts, spec, plan, Knows(configs=tried))
    assert report.num_decisions > 50 and not report.differences, str(report)


def test_what_was_promoted_then_ran_on_after_its_drift():
    facts = golden()
    timeline = Timeline(*stored_plan(facts))
    for fact in facts:
        timeline.take(fact)
        if isinstance(fact, Drifted):
            assert timeline.fold.incumbent()["threads"] == 24 and timeline.promoted_number is not None
    status = status_of(timeline.fold)
    assert status.drifts == 1 and status.promoted["rps=7"] and not status.unproven


def make(tmp_path, **more):
    given = {"goal": "cost", "baseline": BASELINE, "applier": System(), "name": "shop", "context": ["rps"]}
    given |= {"storage": f"sqlite:///{tmp_path}/s.db", "seat": tmp_path / "seat", "tell": lambda text: None}
    return hpo.Live(SPACE, **{**given, **more})


def test_a_study_keeps_the_rules_that_it_was_created_with(tmp_path):
    make(tmp_path, rules=1).stop()
    with make(tmp_path) as again:
        assert again.plan.rules == 1 and again.plan.looks == LivePlan.of({"rules": 1}).looks != LivePlan().looks
    with make(tmp_path, name="new") as new:
        assert new.plan.rules == RULES
    make(tmp_path, name="second", rules=2).stop()
    with make(tmp_path, name="second") as second:
        assert second.plan.rules == 2
    known = {"shop": (False, False), "second": (True, False), "new": (True, True)}
    for name, flags in known.items():
        spec, _ = stored_plan(list(open_storage(f"sqlite:///{tmp_path}/s.db").read(name)))
        assert (spec.sampler.options["by_class"], spec.sampler.options["shun_broken"]) == flags
    with pytest.raises(SpecError, match="by_class"):
        make(tmp_path, name="new", rules=1)
    with pytest.raises(SpecError, match="a newer one needs a newer release"):
        make(tmp_path, name="newest", rules=RULES + 1)
