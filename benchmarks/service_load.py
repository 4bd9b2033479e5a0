"""Load for the service: starts one in its own process, connects to it, and runs workers that only ask and tell.

The client is a few lines on asyncio, because it runs on the same cores as the service whose speed is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import resident_bytes

from raytune_hpo.facts import Finished, Requeued, Started
from raytune_hpo.journal import open_storage
from raytune_hpo.service.tokens import TokenStore

PATIENCE_S = 180.0  # how long a client asks again while nobody answers
TICKS = os.sysconf("SC_CLK_TCK")


class Service:
    """``raytune-hpo serve`` in a process of its own.

    Args:
        storage: of its studies; by default a file in the folder.
        num_tokens: how many tokens there are of each role; each may ask so often a second.
    """

    def __init__(self, folder: Path, *, storage: str | None = None, num_tokens: int = 1) -> None:
        self.storage = storage or str(folder / "studies.db")
        self._tokens = folder / "tokens.json"
        store = TokenStore(self._tokens)
        roles = ("viewer", "worker", "admin")
        self.secrets = {role: [store.create(role)[0] for _ in range(num_tokens)] for role in roles}
        self.port = 0
        self.process: subprocess.Popen[str] | None = None
        allow_many_files()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> float:
        """Start it, again on the same port; seconds until it says that it listens."""
        begin = time.perf_counter()
        command = [sys.executable, "-m", "raytune_hpo.cli", "serve", "--port", str(self.port)]
        command += ["--storage", self.storage, "--tokens", str(self._tokens)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        url = self.process.stdout.readline().partition("/?")[0]
        if not url:
            raise RuntimeError("the service did not start")
        self.port = int(url.rpartition(":")[2])
        return time.perf_counter() - begin

    def end(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait()

    def cpu_s(self) -> float:
        """The processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self) -> float:
        return resident_bytes(self.pid) / 2**20

    def line(self, role: str = "worker", index: int = 0) -> Line:
        """A connection with one of the tokens of a role."""
        own = self.secrets[role]
        return Line(self.port, own[index % len(own)])


def allow_many_files() -> None:
    """A thousand connections are more than a process may have open by default."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def ending(service: Service) -> Any:
    """The service, started, and ended in any case."""
    service.start()
    try:
        yield service
    finally:
        service.end(signal.SIGKILL)


@dataclass
class Reply:
    """An answer: ``took_s`` from the first attempt to ask on."""

    status: int
    headers: dict[str, str]
    body: bytes
    took_s: float

    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """One connection that is kept alive."""

    def __init__(self, port: int, secret: str) -> None:
        self._port, self._secret = port, secret
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._is_kept = False  # whether this connection has brought an answer before

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Ask, and again while nobody answers or the storage is away: every message may be repeated."""
        begin = time.perf_counter()
        while True:
            try:
                reply = await self._once(method, path, body, headers)
                if reply.status not in (429, 503):
                    return Reply(reply.status, reply.headers, reply.body, time.perf_counter() - begin)
                pause_s = float(reply.headers.get("retry-after", "1"))
            except (OSError, asyncio.IncompleteReadError):
                pause_s = 0.0 if self._is_kept else 0.2  # a server may close a connection that was idle
                self.close()
            if time.perf_counter() - begin > PATIENCE_S:
                raise RuntimeError(f"{method} {path} was not answered for {PATIENCE_S:.0f} s")
            await asyncio.sleep(pause_s)

    async def _once(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Reply:
        await self._send(method, path, body, headers)
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        content = await self._reader.readexactly(int(found.get("content-length", "0")))
        self._is_kept = True
        return Reply(int(head[0].split()[1]), found, content, 0.0)

    async def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", f"Authorization: Bearer {self._secret}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}", "", ""]
        self._writer.write("\r\n".join(lines).encode() + data)
        await self._writer.drain()

    async def events(self, path: str) -> AsyncIterator[float]:
        """The moments at which events of a stream arrive."""
        await self._send("GET", path, None, {})
        assert self._reader is not None
        async for line in self._reader:
            if line.startswith(b"event:"):
                yield time.perf_counter()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
        self._is_kept = False


@dataclass
class Log:
    """What workers have seen.

    Attributes:
        lease_s: how long each request for trials took.
        acknowledged: by number, the losses that the service has said to have.
        handed: the workers that each trial was given to.
        num_errors: answers of 500 and above.
    """

    lease_s: list[float] = field(default_factory=list)
    acknowledged: dict[int, float] = field(default_factory=dict)
    handed: dict[int, set[str]] = field(default_factory=dict)
    num_errors: int = 0


@dataclass(kw_only=True)
class Load:
    """Many workers of one study.

    Attributes:
        trial_s: what a trial takes.
        lease: settings of the requests for trials, such as ``ttl_s``.
        sign_s: how often a worker whose trial takes longer gives a sign of life.
    """

    service: Service
    study: str
    trial_s: float
    lease: dict[str, Any] = field(default_factory=dict)
    sign_s: float = 20.0
    log: Log = field(default_factory=Log)

    async def run(self, num_workers: int, seconds: float, *, begin_within_s: float = 0.0) -> None:
        """Have so many workers work for some time; they begin one after the other."""
        until = time.perf_counter() + seconds
        pauses = [begin_within_s * index / num_workers for index in range(num_workers)]
        await asyncio.gather(*(self.work(index, until, pause_s) for index, pause_s in enumerate(pauses)))

    async def work(self, index: int, until: float, pause_s: float = 0.0) -> None:
        """One worker: it asks for a trial with the result of the one before, and tells the last one by itself."""
        await asyncio.sleep(pause_s)
        line, finished = self.service.line("worker", index), list[dict[str, Any]]()
        name, asking = f"w{index}", {"wait_s": 5, **self.lease}
        try:
            while time.perf_counter() < until:
                body = {"worker": name, "finished": finished, **asking}
                reply = await line.ask("POST", f"/v1/studies/{self.study}/leases", body)
                self.log.lease_s.append(reply.took_s)
                if reply.status != 200:
                    self.log.num_errors += reply.status >= 500
                    return
                given = reply.json()
                self._note(finished, given["finished"])
                finished = []
                for one in given["assignments"]:
                    self.log.handed.setdefault(one["number"], set()).add(name)
                    await self._train(line, given["lease"])
                    loss = one["number"] + index / 10_000
                    finished.append({"number": one["number"], "attempt": one["attempt"], "metrics": {"loss": loss}})
                if given["over"]:
                    return
            for end in finished:
                result = {key: value for key, value in end.items() if key != "number"}
                path = f"/v1/studies/{self.study}/trials/{end['number']}/result"
                reply = await line.ask("PUT", path, result)
                self._note([end], [{"recorded": reply.status == 200}])
        finally:
            line.close()

    async def _train(self, line: Line, lease: str) -> None:
        left_s = self.trial_s
        while left_s > self.sign_s:
            await asyncio.sleep(self.sign_s)
            left_s -= self.sign_s
            await line.ask("PUT", f"/v1/studies/{self.study}/leases/{lease}", {})
        await asyncio.sleep(left_s)

    def _note(self, finished: Sequence[dict[str, Any]], became: Sequence[dict[str, Any]]) -> None:
        for end, told in zip(finished, became, strict=True):
            if told["recorded"]:
                self.log.acknowledged[end["number"]] = end["metrics"]["loss"]


@dataclass(frozen=True, kw_only=True)
class Account:
    """What the journal says of what workers were told.

    Attributes:
        lost: results that were acknowledged, and are not there; ``doubled``: trials that have finished more than once.
        again: how many trials were handed out in another attempt.
        requeued_at: when trials came back unfinished, in epoch seconds.
    """

    num_finished: int
    lost: int
    doubled: int
    again: int
    requeued_at: tuple[float, ...]


def account(storage: str, study: str, log: Log) -> Account:
    """Compare the journal with what workers were told."""
    store = open_storage(storage)
    try:
        facts = list(store.read(study))
    finally:
        store.close()
    finished = [fact for fact in facts if isinstance(fact, Finished)]
    kept = {fact.number: fact.metrics.get("loss") for fact in finished}
    times = Counter(fact.number for fact in finished)
    return Account(
        num_finished=len(finished),
        lost=sum(kept.get(number) != loss for number, loss in log.acknowledged.items()),
        doubled=sum(count > 1 for count in times.values()),
        again=len({fact.number for fact in facts if isinstance(fact, Started) and fact.attempt > 1}),
        requeued_at=tuple(fact.at for fact in facts if isinstance(fact, Requeued)),
    )


async def create(service: Service, name: str, space: dict[str, Any] | None = None, **settings: Any) -> None:
    """Make a study whose suggestions cost nothing."""
    space = space or {"x": {"type": "float", "low": 0, "high": 1}}
    line = service.line("admin")
    body = {"name": name, "space": space, "sampler": "random", "seed": 1, **settings}
    reply = await line.ask("POST", "/v1/studies", body)
    line.close()
    if reply.status not in (200, 201):
        raise RuntimeError(f"study {name!r} was not made: {reply.body.decode()}")
