"""The contract suite of appliers: ours pass it, and each way to break it is caught by the check that is there for it."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from urllib.parse import parse_qsl, urlsplit

import pytest

from raytune_hpo.errors import SpecError
from raytune_hpo.live import pull_applier
from raytune_hpo.live.appliers import StaleChange
from raytune_hpo.live.command_applier import CommandApplier
from raytune_hpo.live.file_applier import FileApplier
from raytune_hpo.live.http_applier import HttpApplier
from raytune_hpo.live.pull_board import Measured, PullBoard
from raytune_hpo.live.testing import APPLIER_CHECKS, applier_cases
from tests.live.running_system import BASELINE, FAST, System

CONFIGS = [BASELINE, FAST]
CHECKS = [check.__name__.removeprefix("check_") for check in APPLIER_CHECKS]


class Meter:
    def measure(self, group, start, end):
        return {"cost": 1.0, "p99": None}, {}


def run(make, check, **given):
    applier_cases(make, CONFIGS, **{"metrics": ["cost"], "window_s": 0.001, **given})[check]()


class Precise(System):
    """It says how precise its measurements are, and keeps files."""

    def sit(self, folder):
        self.folder = folder

    def bounds(self, group, start, end, level):
        assert self.folder.is_dir()
        return {"cost": (1.0 - 1 / level, 1.0 + 1 / level)}


@pytest.mark.parametrize("check", CHECKS)
def test_appliers_that_keep_the_contract_pass(tmp_path, check):
    numbers = count()
    for kind in (System, Precise):
        run(kind, check)
    run(lambda: FileApplier(f"{tmp_path}/{next(numbers)}-{{group}}", Meter()), check, refuses_stale=False)


class Door(BaseHTTPRequestHandler):
    """The system of its server, over HTTP."""

    def do_PUT(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self.server.system.apply(said["config"], self.query["group"], said["seq"])
        except StaleChange as stale:
            return self.answer({"error": str(stale)}, 409)
        return self.answer({})

    def do_GET(self):
        system, group = self.server.system, self.query["group"]
        if urlsplit(self.path).path == "/config":
            return self.answer(system.read(group))
        metrics, context = system.measure(group, float(self.query["start"]), float(self.query["end"]))
        return self.answer({"metrics": metrics, "context": context})

    @property
    def query(self):
        return dict(parse_qsl(urlsplit(self.path).query))

    def answer(self, body, code=200):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def door():
    server = HTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("check", CHECKS)
def test_a_system_behind_http_passes(door, check):
    def make():
        door.system = System()
        return HttpApplier(f"http://127.0.0.1:{door.server_port}")

    run(make, check)


class Polled(PullBoard):
    """A board at which the system looks just before its controller does."""

    def running(self, group):
        offered = self.offered(group)
        if offered is not None:
            self.tell_running(group, offered.config, at=time.time())
        return super().running(group)

    def measured(self, group, start, end):
        self.note(group, [Measured(start=start, end=end, metrics={"cost": 1.0})], at=end)
        return super().measured(group, start, end)


@pytest.mark.parametrize("check", CHECKS)
def test_a_system_that_polls_passes(monkeypatch, check):
    monkeypatch.setattr(pull_applier, "PullBoard", Polled)
    run(lambda: pull_applier.PullApplier(patience_s=0.05), check, refuses_stale=False)


PROGRAMS = {  # of a system whose groups are files
    "apply": 'printf %s "$HPO_CONFIG" > "$HPO_GROUP"',
    "read": 'cat "$HPO_GROUP"',
    "measure": """echo '{"metrics": {"cost": 1.0}}'""",
}


@pytest.mark.parametrize("check", CHECKS)
def test_programs_pass(tmp_path, monkeypatch, check):
    monkeypatch.chdir(tmp_path)
    programs = {name: ["sh", "-c", program] for name, program in PROGRAMS.items()}
    run(lambda: CommandApplier(**programs), check, refuses_stale=False)


class AppliesLater(System):
    def apply(self, config, group, seq):
        self.runs[group], self.coming = getattr(self, "coming", {}), dict(config)


class RoundsNumbers(System):
    def apply(self, config, group, seq):
        super().apply({name: round(value) for name, value in config.items()}, group, seq)


class HasOneGroup(System):
    def apply(self, config, group, seq):
        for each in self.runs:
            super().apply(config, each, seq)


class RefusesRepetitions(System):
    def _newer(self, seq):
        if seq == self.seq:
            raise StaleChange("it has been made")
        super()._newer(seq)


class CountsChanges(System):
    """Takes seq for a number of its own, without gaps."""

    def _newer(self, seq):
        if seq > self.seq + 4:
            raise ValueError("a change is missing")
        super()._newer(seq)


class TakesApart(System):
    def apply(self, config, group, seq):
        super().apply(config, group, seq)
        while config:
            config.popitem()


class TakesStaleChanges(System):
    def _newer(self, seq):
        pass


class LooksAtEachGroupAlone(System):
    def apply(self, config, group, seq):
        self.seq = self.newest.get(group, -1) if hasattr(self, "newest") else -1
        super().apply(config, group, seq)
        self.newest = {**getattr(self, "newest", {}), group: seq}


class AppliesBeforeItRefuses(System):
    def apply(self, config, group, seq):
        self.runs[group] = dict(config)
        super().apply(config, group, seq)


class MeasuresNoContext(System):
    def measure(self, group, start, end):
        return super().measure(group, start, end)[0]


class MeasuresTexts(System):
    def measure(self, group, start, end):
        return {"cost": "12 ms"}, {}


class MeasuresOneGroup(System):
    def measure(self, group, start, end):
        return ({"cost": 1.0} if group == "control" else {}), {}


class TakesPercentages(System):
    def split(self, share, seq):
        if share != round(share, 2):
            raise ValueError("not a whole number of percent")


class TurnsBounds(Precise):
    def bounds(self, group, start, end, level):
        return {"cost": (1.0 + level, 1.0 - level)}


class IsSureWhereItShouldNotBe(Precise):
    def bounds(self, group, start, end, level):
        return {"cost": (1.0 - level, 1.0 + level)}


@pytest.mark.parametrize(
    ("broken", "check", "says"),
    [
        (AppliesLater, "applies", "control should run .* read says {}"),
        (RoundsNumbers, "applies", "control should run"),
        (HasOneGroup, "groups_are_apart", "control should run"),
        (RefusesRepetitions, "repeated_changes", "made again, with the same seq, is no error"),
        (CountsChanges, "repeated_changes", "numbers may be skipped"),
        (TakesApart, "leaves_what_it_is_given", "and made {} of it"),
        (TakesStaleChanges, "stale_changes", "a change of control with seq 4 after one with seq 5 is refused"),
        (LooksAtEachGroupAlone, "stale_changes", "a change of canary with seq 4 after one with seq 5 is refused"),
        (AppliesBeforeItRefuses, "stale_changes", "control should run"),
        (MeasuresNoContext, "measures", "metrics and context"),
        (MeasuresTexts, "measures", "numbers by name"),
        (MeasuresOneGroup, "measures", "measure of canary lacks cost, without which a window is void"),
        (TakesPercentages, "splits", "every share from 0 to 1"),
        (TurnsBounds, "bounds", "the lowest value and the highest"),
        (IsSureWhereItShouldNotBe, "bounds", "a smaller level gives wider bounds"),
    ],
)
def test_a_broken_applier_is_caught(broken, check, says):
    with pytest.raises(AssertionError, match=says):
        run(broken, check)


@pytest.mark.parametrize("configs", [[], [BASELINE], [BASELINE, dict(BASELINE)]])
def test_an_applier_is_tried_with_different_configurations(configs):
    with pytest.raises(SpecError, match="at least two different configurations, got"):
        applier_cases(System, configs)
