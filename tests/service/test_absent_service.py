"""Workers while the service is away, and answers that are a proxy's and not the service's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import groupby

import pytest

import raytune_hpo as hpo
from raytune_hpo.service import client
from raytune_hpo.service.client import RemoteStudy, ServiceError
from raytune_hpo.service.command_worker import work
from tests.service.conftest import Server

PAGE = b"<html><h1>502 Bad Gateway</h1></html>"
Answers = list[tuple[int, bytes]]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said after some seconds of silence is said at once."""
    monkeypatch.setattr(client, "RETRIES", 1)


@pytest.fixture
def proxy() -> Iterator[Callable[[Answers], hpo.Client]]:
    """Begins a proxy with some answers, the last of them for ever; gives a client of it."""
    begun = []

    def begin(answers: Answers) -> hpo.Client:
        class Proxy(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, data = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                self.send_header("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *told: object) -> None:
                pass

        begun.append(HTTPServer(("127.0.0.1", 0), Proxy))
        threading.Thread(target=begun[-1].serve_forever, daemon=True).start()
        return hpo.Client(f"http://127.0.0.1:{begun[-1].server_port}", "secret")

    yield begin
    for one in begun:
        one.shutdown()
        one.server_close()


def kills(server: Server) -> list[str]:
    """A command that kills the service, and then prints its result."""
    assert server.process is not None
    return ["sh", "-c", f"kill -9 {server.process.pid} 2>/dev/null; sleep 0.2; echo 1; : {{x}}"]


def test_a_result_waits_for_the_service_to_come_back(own_server, monkeypatch):
    monkeypatch.setenv("RAYTUNE_HPO_TOKEN", own_server.secrets["worker"])
    own_server.create("away", limits={"num_trials": 2})
    said = []

    def say(line):
        said.append(line)
        if "waiting" in line and own_server.process.poll() is not None:  # else it still reads the study
            own_server.start()

    assert work(own_server.url, "away", kills(own_server), say=say) == 2
    words = [word for word, _ in groupby(line.partition(" (")[0] for line in said)]
    assert words[:2] == ["the service does not answer; waiting", "trial 0: completed"]
    own_server.create("away-too", limits={"num_trials": 2})
    with RemoteStudy(hpo.Client(own_server.url), "away-too", say=say) as study:
        one = study.ask()
        own_server.kill()
        assert study.tell(one, 1.0)["status"] == "completed"
        own_server.kill()
        assert study.ask().number == 1
    assert sum("waiting" in line for line in said) >= 3


def test_who_waits_for_a_service_may_be_interrupted(own_server, monkeypatch):
    monkeypatch.setenv("RAYTUNE_HPO_TOKEN", own_server.secrets["worker"])
    own_server.create("interrupted", limits={"num_trials": 2})
    begun = []

    def interrupt(line):
        begun.append(time.monotonic())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(own_server.url, "interrupted", kills(own_server), say=interrupt)
    assert time.monotonic() - begun[0] < 5


def test_a_worker_that_was_never_answered_gives_up(proxy):
    with pytest.raises(ServiceError, match="HTTP 502 from 127.0.0.1:.* is not the service's answer"):
        proxy([(502, PAGE)]).study("none").ask()


def test_the_page_of_a_proxy_that_waits_for_the_service_is_no_answer(proxy):
    assert proxy([(502, PAGE), (504, b""), (503, PAGE), (200, b'{"a": 1}')]).request("POST", "/studies", {}) == {"a": 1}


@pytest.mark.parametrize(("status", "data"), [(200, PAGE), (302, b""), (403, PAGE), (500, b"\xff"), (404, b"[]")])
def test_a_page_that_is_not_the_services_is_named(proxy, status, data):
    with pytest.raises(ServiceError, match=f"HTTP {status} from .* is not the service's answer") as refused:
        proxy([(status, data)]).request("POST", "/studies", {})
    assert refused.value.status == status


def test_a_token_from_a_file_may_end_with_a_line_break(proxy: Callable[[Answers], hpo.Client]) -> None:
    assert proxy([(200, b"{}")]).create_study("any", {}) is not None
    assert hpo.Client("http://127.0.0.1:1", " secret\n")._secret == "secret"
    for text in ("two words", "two\nlines", "s\u00e9cret"):
        with pytest.raises(hpo.errors.SpecError, match="a token is one word") as refused:
            hpo.Client("http://127.0.0.1:1", text)
        assert text not in str(refused.value)


def test_a_space_that_is_not_json_is_refused_with_the_way_out() -> None:
    with pytest.raises(hpo.errors.SpecError, match=r'"type": "float".*a value of type Float'):
        hpo.Client("http://127.0.0.1:1", "secret").create_study("any", {"x": hpo.uniform(0, 1)})
