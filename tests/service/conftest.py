"""A real server in a process of its own, over a real socket, with authentication on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from raytune_hpo.service.tokens import ROLES, TokenStore

SPACE = {"x": {"type": "float", "low": 0, "high": 1}, "n": {"type": "int", "low": 0, "high": 9}}


class Patient(httpx.HTTPTransport):
    """Waits and asks again where a token has asked too often in a second, and while a service reads its studies again."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        while answer.status_code in (429, 503) and any(w in answer.read() for w in (b"Too many requests", b"just now")):
            time.sleep(float(answer.headers["Retry-After"]))
            answer = super().handle_request(request)
        return answer


class Server:
    """A service in a process, and clients of it by their roles."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.storage, self.tokens = folder / "studies.db", folder / "tokens.json"
        self.options = options
        store = TokenStore(self.tokens)
        self.secrets = {role: store.create(role)[0] for role in ROLES}
        self.process: subprocess.Popen[str] | None = None
        self._clients: dict[str, httpx.Client] = {}
        self.port = 0

    def start(self) -> Server:
        command = [sys.executable, "-m", "raytune_hpo.cli", "serve", "--port", str(self.port), *self.options]
        command += ["--storage", str(self.storage), "--tokens", str(self.tokens)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        assert self.link, self.process.stderr.read()
        self.url = self.link.partition("/?")[0]
        self.port = httpx.URL(self.url).port or 80
        httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=30)
        return self

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> str:
        """End it, and what it has said on stderr."""
        assert self.process is not None
        self.process.terminate()
        _, said = self.process.communicate(timeout=20)
        return said

    def api(self, role: str = "admin") -> httpx.Client:
        """The client of a role; "" is nobody."""
        if role not in self._clients:
            headers = {"Authorization": f"Bearer {self.secrets[role]}"} if role else {}
            transport = Patient() if role else None
            self._clients[role] = httpx.Client(
                base_url=f"{self.url}/v1", headers=headers, timeout=40, transport=transport
            )
        return self._clients[role]

    def browser(self, role: str) -> httpx.Client:
        """A client that has logged in by the page, and says what a browser says."""
        headers = {"Sec-Fetch-Site": "same-origin"}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=30, transport=Patient())
        answer = client.post("/login", data={"secret": self.secrets[role]})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        return client

    def create(self, name: str, **fields: Any) -> dict[str, Any]:
        body = {"name": name, "space": SPACE, "sampler": "random", "seed": 1, "limits": {"num_trials": 10}, **fields}
        answer = self.api().post("/studies", json=body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def lease(self, study: str, worker: str = "a", **fields: Any) -> dict[str, Any]:
        answer = self.api("worker").post(f"/studies/{study}/leases", json={"worker": worker, "wait_s": 0, **fields})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def result(self, study: str, given: dict[str, Any], **fields: Any) -> httpx.Response:
        body = {"attempt": given["attempt"], **fields}
        return self.api("worker").put(f"/studies/{study}/trials/{given['number']}/result", json=body)

    def environment(self, role: str = "worker") -> dict[str, str]:
        return {**os.environ, "RAYTUNE_HPO_TOKEN": self.secrets[role]}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("service")).start()
    yield running
    said = running.stop()
    assert not any(secret in said for secret in running.secrets.values())
    assert "Traceback" not in said, said


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """One that a test may kill."""
    running = Server(tmp_path).start()
    yield running
    running.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts one with further options."""
    started: list[Server] = []

    def begin(*options: str) -> Server:
        started.append(Server(tmp_path, *options).start())
        return started[-1]

    yield begin
    for running in started:
        running.kill()
