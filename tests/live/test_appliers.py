"""The appliers that come with the package: what other programs answer is taken as it is meant, or refused in a sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.live.appliers import StaleChange
from raytune_hpo.live.command_applier import CommandApplier
from raytune_hpo.live.file_applier import FileApplier
from raytune_hpo.live.http_applier import HttpApplier, PrometheusMeter


class Answering:
    """A server that gives one answer to everything, and keeps what it was asked."""

    def __init__(self):
        self.code, self.body, self.asked = 200, "", []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                self.send_response(outer.code)
                self.end_headers()
                self.wfile.write(outer.body.encode())

            do_PUT = do_GET

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def says(self, data, code=200):
        self.code, self.body = code, data if isinstance(data, str) else json.dumps(data)

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def server():
    made = Answering()
    yield made
    made.close()


def result(kind, result):
    return {"status": "success", "data": {"resultType": kind, "result": result}}


@pytest.mark.parametrize(
    ("answer", "metrics"),
    [
        (result("vector", [{"metric": {}, "value": [1, "3.5"]}]), {"cost": 3.5}),
        (result("scalar", [1, "3.5"]), {"cost": 3.5}),
        (result("vector", []), {}),
    ],
)
def test_prometheus_gives_a_number_or_none(server, answer, metrics):
    server.says(answer)
    assert PrometheusMeter(server.url, {"cost": "q"}).measure("canary", 0.0, 60.0) == (metrics, {})


def test_several_series_are_left_out_with_a_word(server):
    server.says(result("vector", [{"value": [1, "1"]}, {"value": [1, "2"]}]))
    with pytest.warns(UserWarning, match=r"cost is left out: q gives 2 series instead of one; aggregate"):
        assert PrometheusMeter(server.url, {"cost": "q"}).measure("canary", 0.0, 60.0) == ({}, {})


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ({"status": "error", "error": "parse error: unexpected }"}, 400, r"refuses with 400: .*parse error"),
        ({"status": "error", "error": "too many samples"}, 200, "refuses the query of cost, q: too many samples"),
        (result("matrix", [{"values": [[1, "2"]]}]), 200, "a vector of one series; q, of cost, gave"),
        ({"status": "success", "data": None}, 200, "a vector of one series; q, of cost, gave"),
    ],
)
def test_prometheus_refuses_a_query_with_its_reason(server, answer, code, says):
    server.says(answer, code)
    with pytest.raises(HpoError, match=says):
        PrometheusMeter(server.url, {"cost": "q"}).measure("canary", 0.0, 60.0)


@pytest.mark.parametrize(("window_s", "asked"), [(300.4, "300s"), (1.0, "1s"), (0.25, "250ms")])
def test_a_query_asks_for_the_time_that_is_measured(server, window_s, asked):
    server.says(result("vector", []))
    PrometheusMeter(server.url, {"cost": "rate(x[{window}])"}).measure("canary", 0.0, window_s)
    assert parse_qs(urlsplit(server.asked[-1]).query)["query"] == [f"rate(x[{asked}])"]


def test_a_server_refuses_a_change_with_its_reason(server):
    applier = HttpApplier(server.url)
    server.says({"error": "threads must be even"}, 422)
    with pytest.raises(HpoError, match=r"refuses with 422: .*threads must be even"):
        applier.apply({"threads": 3}, "control", 1)
    server.says("", 409)
    with pytest.raises(StaleChange):
        applier.apply({"threads": 3}, "control", 1)
    with pytest.raises(HpoError, match="refuses with 409"):  # of a question, it says nothing about changes
        applier.read("control")


class Meter:
    def measure(self, group, start, end):
        return {"cost": 1.0}, {}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"path": None}, "path is text, got None"),
        ({"path": "all.json"}, "path needs {group} in it"),
        ({"pid_file": "all.pid"}, "pid_file needs {group} in it"),
        ({"meter": None}, "a method measure, got None"),
        ({"signal_name": "HUP"}, "signal_name is one like SIGHUP"),
    ],
)
def test_a_file_applier_refuses_what_cannot_work(given, says):
    with pytest.raises(SpecError, match=says):
        FileApplier(**{"path": "{group}.json", "meter": Meter(), **given})


@pytest.mark.parametrize(
    ("pid", "says"),
    [
        (None, None),
        ("x", "a pid file has the number of a process, .* is not"),
        ("0", "from 1 on, .* has 0"),
        ("-1", "from 1 on, .* has -1"),
        ("ended", "cannot be sent SIGCONT: No such process"),
    ],
)
def test_a_signal_goes_to_the_process_that_is_named_and_to_nothing_else(tmp_path, monkeypatch, pid, says):
    sent = []
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    if pid != "ended":
        monkeypatch.setattr(os, "kill", lambda number, name: sent.append((number, name)))
    told = {None: str(os.getpid()), "ended": str(process.pid)}.get(pid, pid)
    (tmp_path / "control.pid").write_text(f"{told}\n")
    applier = FileApplier(
        f"{tmp_path}/{{group}}.json", Meter(), pid_file=f"{tmp_path}/{{group}}.pid", signal_name="SIGCONT"
    )
    with nullcontext() if says is None else pytest.raises(HpoError, match=says):
        applier.apply({"threads": 2}, "control", 1)
    assert sent == ([(os.getpid(), signal.SIGCONT)] if says is None else [])


def test_an_answer_that_is_no_object_is_shown_as_far_as_it_helps(server):
    server.says("Bad gateway " * 100)
    with pytest.raises(HpoError, match="answers a JSON object, got 'Bad gateway Bad") as refused:
        HttpApplier(server.url).read("canary")
    assert len(str(refused.value)) < 400 and "...'" in str(refused.value)
    program = CommandApplier(["true"], ["echo", "Bad gateway " * 100], ["true"])
    with pytest.raises(HpoError, match="read prints a JSON object, got 'Bad gateway Bad") as refused:
        program.read("canary")
    assert len(str(refused.value)) < 400
