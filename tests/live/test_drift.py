"""Drift, and the appliers that talk to others."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.facts import Drifted
from raytune_hpo.live.appliers import StaleChange
from raytune_hpo.live.command_applier import CommandApplier
from raytune_hpo.live.file_applier import FileApplier
from raytune_hpo.live.http_applier import HttpApplier, PrometheusMeter
from raytune_hpo.live.messages import Approve, Freeze, SetBaseline, Thaw
from raytune_hpo.live.replaying import replayed, stored_plan
from raytune_hpo.live.stored import status_of
from raytune_hpo.live.telling import status_text
from raytune_hpo.live.timeline import Timeline
from tests.live.running_system import BASELINE, FAST, Scripted, Story, System


class Expects(Scripted):
    """Forecasts what it is told to."""

    def bind(self, space, goals, seed):
        return Expects(configs=self.configs)

    def forecast(self, config, context, at):
        return 136.0, 1.4


def test_a_step_change_is_noticed_within_ten_windows_and_observed_again():
    story = Story()
    story.kill()
    story.sampler = Expects()
    story.start()
    story.run(windows=60)
    assert story.fold.epoch == 0
    story.system.cost = lambda config: 145.0
    changed_at = story.at
    story.run(windows=10)
    drifted = next(f for f in story.facts if isinstance(f, Drifted))
    assert drifted.statistic > drifted.threshold
    assert drifted.at - changed_at <= 10 * story.plan.window_s
    assert story.system.runs["control"] == story.fold.baseline


class Knows(Scripted):
    """Forecasts what windows usually cost."""

    usual: ClassVar = System().cost

    def bind(self, space, goals, seed):
        return Knows(configs=self.configs)

    def forecast(self, config, context, at):
        return Knows.usual(config), 1.4


def drifted(monkeypatch, *, after=None, **settings):
    """A story in which a configuration was promoted, and then every window costs more until a drift is noticed.

    ``after``: what windows cost from then on; as before if it was a false alarm.
    """
    story = Story(**settings)
    story.kill()
    story.sampler = Knows(configs=(FAST,))
    story.start()
    if story.plan.approve:
        story.run(until="proposing")
        story.obey(Approve(number=story.fold.candidate.number, by="ann", at=story.at))
    story.run(until="promoting")
    story.run(until="holding")
    story.run(windows=3)
    assert story.system.runs["control"] == FAST
    story.system.cost = lambda config: 1.3 * Knows.usual(config)
    while story.fold.epoch == 0:
        story.run(windows=1)
    monkeypatch.setattr(Knows, "usual", staticmethod(after or Knows.usual))
    story.system.cost = Knows.usual
    return story


def test_after_a_false_alarm_the_baseline_runs_and_what_was_promoted_is_tried_again_and_promoted(monkeypatch):
    story = drifted(monkeypatch)
    assert story.state == "observing"
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}
    assert story.fold.unproven == {"rps=7": FAST} and story.fold.incumbent() == BASELINE
    began = story.at
    story.run(until="canary")
    assert (story.at - began) / story.plan.window_s <= story.plan.observe + 1
    assert story.fold.candidate.config == FAST and story.fold.unproven == {"rps=7": FAST}
    story.run(windows=1)
    assert story.system.runs == {"control": BASELINE, "canary": FAST} and story.system.share == 0.05
    story.run(until="holding")
    story.run(windows=1)
    assert story.system.runs == {"control": FAST, "canary": FAST} and not story.fold.unproven
    assert not replayed(story.facts, story.spec, story.plan, story.sampler).differences


def test_after_a_true_one_what_was_promoted_is_no_better_and_forgotten(monkeypatch):
    story = drifted(monkeypatch, after=lambda config: 100.0 + 4.0 * config["threads"])
    story.run(until="canary")
    story.run(until="holding")
    story.run(windows=2)
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}
    assert not story.fold.unproven and story.fold.incumbent() == BASELINE


def test_what_is_unproven_survives_a_restart_a_freeze_and_another_drift_but_not_another_baseline(monkeypatch):
    story = drifted(monkeypatch, looks=[30, 60])
    story.run(until="canary")
    story.kill()
    story.start()
    assert story.fold.candidate is None and story.fold.unproven == {"rps=7": FAST}
    story.run(until="canary")
    story.obey(Freeze(by="ann", reason="sale", at=story.at))
    story.obey(Thaw(by="ann", at=story.at))
    story.run(windows=12)
    assert story.fold.unproven == {"rps=7": FAST}
    story.system.cost = lambda config: 300.0
    while story.fold.epoch == 1:
        story.run(windows=1)
    assert story.fold.unproven == {"rps=7": FAST}
    story.obey(SetBaseline(by="ann", at=story.at))
    assert not story.fold.unproven


def test_with_approval_it_waits_for_a_person_like_every_candidate(monkeypatch):
    story = drifted(monkeypatch, approve=True)
    story.run(until="proposing")
    story.run(windows=3)
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}
    story.obey(Approve(number=story.fold.candidate.number, by="ann", at=story.at))
    story.run(windows=2)
    assert story.system.runs["canary"] == FAST
    story.run(until="holding")
    assert story.fold.incumbent() == FAST


def test_by_the_rules_of_the_first_release_what_was_promoted_keeps_running(monkeypatch):
    story = drifted(monkeypatch, rules=1)
    assert story.state == "observing" and not story.fold.unproven
    assert story.system.runs == {"control": FAST, "canary": FAST}


def test_the_timeline_and_the_status_say_what_is_unproven(monkeypatch):
    story = drifted(monkeypatch)
    number = next(trial.number for trial in story.fold.study.ledger.trials if trial.is_suggested)
    story.run(until="canary")
    story.run(until="holding")
    timeline = Timeline(*stored_plan(story.facts))
    texts = []
    for fact in story.facts:
        timeline.take(fact)
        texts.append(status_text(status_of(timeline.fold)))
    kinds = [event.kind for event in timeline.events if event.kind not in ("context", "baseline")]
    assert kinds == ["canary", "promoting", "promoted", "drifted", "unproven", "canary", "promoting", "promoted"]
    unproven = next(event for event in timeline.events if event.kind == "unproven")
    assert unproven.number == number and f"{number} is unproven where rps=7: the baseline runs" in unproven.said
    assert timeline.promoted_number == max(event.number for event in timeline.events if event.kind == "canary")
    assert any("unproven   threads=20, timeout=0.5 where rps=7" in text for text in texts)
    assert "unproven" not in texts[-1]


def test_load_alone_is_no_drift():
    story = Story()
    story.kill()
    story.sampler = Expects()
    story.start()
    story.run(windows=100)
    assert not [f for f in story.facts if isinstance(f, Drifted)]


class Door(BaseHTTPRequestHandler):
    """A service that takes its configuration over HTTP, and a Prometheus."""

    runs: ClassVar[dict] = {}
    newest: ClassVar[list] = [-1]

    def do_PUT(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["seq"] < self.newest[0]:
            self.answer(409, {})
            return
        self.newest[0] = body["seq"]
        self.runs[self.query("group")] = body["config"]
        self.answer(200, {})

    def do_GET(self):
        if self.path.startswith("/config"):
            self.answer(200, self.runs[self.query("group")])
        elif self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/who")
            self.end_headers()
        elif self.path.startswith("/who"):
            self.answer(200, {"token": self.headers["Authorization"]})
        elif self.path.startswith("/measure"):
            self.answer(
                200, {"metrics": {"cost": float(self.query("end")) - float(self.query("start"))}, "context": {}}
            )
        else:
            query = self.query("query")
            result = [] if "none" in query else [{"value": [0, "NaN" if "bad" in query else str(len(query))]}]
            self.answer(200, {"data": {"result": result}})

    def query(self, name):
        return parse_qs(urlsplit(self.path).query)[name][0]

    def answer(self, code, body):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def door():
    Door.runs.clear()
    Door.newest[0] = -1
    server = HTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_http_what_is_put_is_read_back_and_what_is_stale_is_refused(door):
    applier = HttpApplier(door, token="secret")
    applier.split(0.05, 4)
    applier.apply({"threads": 3}, "canary", 5)
    assert applier.read("canary") == {"threads": 3}
    assert applier.measure("canary", 10.0, 70.0) == ({"cost": 60.0}, {})
    with pytest.raises(StaleChange):
        applier.apply({"threads": 4}, "canary", 4)


def test_a_token_stays_with_the_address_that_it_is_for(door):
    assert HttpApplier(f"{door}/who", token="secret").read("control") == {"token": "Bearer secret"}
    assert HttpApplier(f"{door}/moved", token="secret").read("control") == {"token": None}


def test_prometheus_answers_numbers_and_what_it_does_not_know_is_left_out(door):
    meter = PrometheusMeter(door, {"p99": 'p{group="{group}"}[{window}]', "lost": "none"}, {"rps": "up"})
    metrics, context = meter.measure("canary", 0.0, 300.0)
    assert metrics == {"p99": float(len('p{group="canary"}[300s]'))}
    assert context == {"rps": 2.0}


def test_nobody_there_is_an_error_with_the_address():
    with pytest.raises(HpoError, match="127.0.0.1:9/config"):
        HttpApplier("http://127.0.0.1:9").read("control")
    with pytest.raises(SpecError, match="address"):
        HttpApplier("ftp://somewhere")


def test_a_file_is_written_and_its_process_told(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(os, "kill", lambda pid, which: told.append((pid, which)))
    (tmp_path / "canary.pid").write_text("4242\n")
    path, pid_file = f"{tmp_path}/{{group}}.json", f"{tmp_path}/{{group}}.pid"
    applier = FileApplier(path, meter=System(), pid_file=pid_file)
    applier.apply({"threads": 3}, "canary", 1)
    assert applier.read("canary") == {"threads": 3}
    assert told == [(4242, signal.SIGHUP)]
    with pytest.raises(HpoError):
        applier.read("control")
    with pytest.raises(SpecError, match="group"):
        FileApplier("one.json", meter=System())


@pytest.mark.parametrize("program", [["/bin/false"], ["/nowhere/at/all"], ["/bin/echo", "[1]"], ["/bin/echo", "no"]])
def test_a_program_that_fails_or_says_nothing_useful_is_an_error(program):
    with pytest.raises(HpoError):
        CommandApplier(program, program, program).measure("control", 0.0, 1.0)


def test_what_a_program_has_started_changes_nothing_once_it_is_given_up(tmp_path):
    os.mkfifo(tmp_path / "alive")
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)  # it ends with the last process that writes to it
    program = ["sh", "-c", f"exec 3> {tmp_path}/alive; sleep 60 & wait"]
    with pytest.raises(HpoError, match="timed out"):
        CommandApplier(program, program, program, timeout_s=0.2).apply({}, "canary", 1)
    assert select.select([alive], [], [], 10)[0] and os.read(alive, 1) == b""
    os.close(alive)


def test_a_program_that_fails_in_another_encoding_is_told():
    program = ["sh", "-c", r"printf 'caf\351' >&2; exit 3"]
    with pytest.raises(HpoError, match=r"sh ended with 3: caf\\xe9"):
        CommandApplier(program, program, program).read("control")


def test_values_never_meet_a_shell(tmp_path):
    words = "$(id); rm -rf ~ `id` \n'\""
    said = tmp_path / "said"
    program = f"import os; open({str(said)!r}, 'w').write(os.environ['HPO_CONFIG'])"
    applier = CommandApplier([sys.executable, "-c", program], ["/bin/true"], ["/bin/true"])
    applier.apply({"name": words}, "control", 1)
    assert json.loads(said.read_text()) == {"name": words}
