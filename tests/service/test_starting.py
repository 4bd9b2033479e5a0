"""A service that is started answers at once, and reads what it hosted before meanwhile."""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import JournalCorrupt, JournalError
from raytune_hpo.facts import Fact, Saved, StudyStopped
from raytune_hpo.journal import MemoryStorage
from raytune_hpo.service.app import application
from raytune_hpo.service.folds import ReadModel, StillReading
from raytune_hpo.service.serving import ServeSettings, serve_forever
from raytune_hpo.service.state import Service
from raytune_hpo.service.studies import Studies
from raytune_hpo.service.tokens import TokenStore

Talk = Callable[[httpx.AsyncClient], Awaitable[None]]
SPACE = {"x": {"type": "float", "low": 0, "high": 1}}


@pytest.fixture
def with_service(tmp_path: Any) -> Callable[[Talk], None]:
    """Starts a service on the same storage as before, and has an admin talk to it."""
    tokens = TokenStore(tmp_path / "tokens.json")
    headers = {"Authorization": f"Bearer {tokens.create('admin')[0]}"}

    async def served(talk: Talk) -> None:
        app = application(Service(str(tmp_path / "studies.db"), tokens), ["test"])
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
        heard, said = asyncio.Queue[Any](), asyncio.Queue[Any]()
        running = asyncio.create_task(app(scope, heard.get, said.put))
        await heard.put({"type": "lifespan.startup"})
        assert (await said.get())["type"] == "lifespan.startup.complete"
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test/v1", headers=headers) as client:
            await talk(client)
        await heard.put({"type": "lifespan.shutdown"})
        await running

    return lambda talk: asyncio.run(served(talk))


async def create(client: httpx.AsyncClient, name: str) -> None:
    made = await client.post("/studies", json={"name": name, "space": SPACE, "sampler": "random"})
    assert made.status_code == 201


def test_workers_are_told_to_wait_while_their_study_is_read_again(
    with_service: Callable[[Talk], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def begin(client: httpx.AsyncClient) -> None:
        await create(client, "long")
        given = await client.post("/studies/long/leases", json={"worker": "a", "wait_s": 0})
        assert given.json()["assignments"][0]["number"] == 0

    with_service(begin)

    may_read, reads = threading.Event(), Studies._goes_on

    def slowly(self: Studies, name: str) -> bool:
        may_read.wait(30)
        return reads(self, name)

    monkeypatch.setattr(Studies, "_goes_on", slowly)

    async def go_on(client: httpx.AsyncClient) -> None:
        asking = {"worker": "a", "wait_s": 0, "holding": [0]}
        for method, path, body in [
            ("POST", "/studies/long/leases", asking),
            ("PUT", "/studies/long/trials/0/result", {"attempt": 1, "metrics": {"loss": 1}}),
            ("POST", "/studies/long/stop", {}),
        ]:
            answer = await client.request(method, path, json=body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), (path, answer.text)
        shown = await client.get("/studies/long")
        assert (shown.status_code, shown.json()["kind"]) == (200, "hosted")  # whoever reads need not wait
        may_read.set()
        while (answer := await client.post("/studies/long/leases", json=asking)).status_code == 503:
            await asyncio.sleep(0.05)
        result = await client.put("/studies/long/trials/0/result", json={"attempt": 1, "metrics": {"loss": 1}})
        assert (answer.status_code, result.status_code, result.json()["status"]) == (200, 200, "completed")

    with_service(go_on)


def test_a_study_that_has_ended_is_not_read_at_a_start(
    with_service: Callable[[Talk], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def begin(client: httpx.AsyncClient) -> None:
        for name in ("ended", "open"):
            await create(client, name)
        assert (await client.post("/studies/ended/stop", json={})).status_code == 202

    with_service(begin)
    read, goes_on = list[str](), Studies._goes_on

    def noted(self: Studies, name: str) -> bool:
        read.append(name)
        return goes_on(self, name)

    monkeypatch.setattr(Studies, "_goes_on", noted)

    async def look(client: httpx.AsyncClient) -> None:
        while (
            given := await client.post("/studies/open/leases", json={"worker": "a", "wait_s": 0})
        ).status_code == 503:
            await asyncio.sleep(0.05)
        assert len(given.json()["assignments"]) == 1
        over = await client.post("/studies/ended/leases", json={"worker": "a", "wait_s": 0})
        assert over.json()["over"] and over.json()["reason"]

    with_service(look)
    assert read == ["open"]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"storage": "{}/no/studies.db"}, "folder that exists"),
        ({"storage": "{}"}, "is a folder"),
        ({"storage": "/proc/studies.db"}, "can be read and written"),
        ({"storage": "postgresql://me:secret@127.0.0.1:1/studies"}, "check the server"),
        ({"tokens": "/proc/tokens.json"}, "cannot be written"),
        ({"tokens": "{}/other.json"}, "tokens are JSON"),
        ({"data": Path("/proc/tables")}, "cannot be made"),
        ({"data": Path("/proc")}, "/proc, which cannot be written"),
        ({"memory_bytes": float("nan")}, "memory > 0"),
        ({"root_path": "hpo"}, "begins with a slash"),
        ({"root_path": "/hpo/"}, "ends without one"),
    ],
)
def test_what_could_serve_nobody_does_not_start(tmp_path: Path, settings: dict[str, Any], rule: str) -> None:
    (tmp_path / "other.json").write_text("[]")
    given = {name: value.format(tmp_path) if isinstance(value, str) else value for name, value in settings.items()}
    whole = {"storage": "memory", "tokens": tmp_path / "tokens.json", "port": 0, **given}
    with pytest.raises(hpo.errors.HpoError, match=rule) as refused:
        serve_forever(ServeSettings(**{**whole, "tokens": Path(whole["tokens"])}), pytest.fail)
    assert "secret" not in str(refused.value)


class _Said(Exception):
    """Ends a service that has said its link."""


@pytest.mark.parametrize(
    ("host", "link"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "localhost"), ("::1", "[::1]")],
)
def test_the_link_leads_to_where_the_service_listens(tmp_path: Path, host: str, link: str) -> None:
    def say(words: str) -> None:
        raise _Said(words)

    settings = {"host": host, "port": 0, "storage": "memory", "tokens": tmp_path / "tokens.json"}
    try:
        with pytest.raises(_Said, match=rf"http://{re.escape(link)}:\d+/\?token="):
            serve_forever(ServeSettings(**settings, allowed_hosts=["hpo.example"]), say)
    except hpo.errors.SpecError as error:
        pytest.skip(str(error))  # a machine without IPv6


def test_a_storage_that_can_only_be_read_is_shown_if_it_has_studies(tmp_path: Path) -> None:
    class ReadOnly(MemoryStorage):
        def prepare(self) -> None:
            raise JournalError("nothing can be written here")

    storage = ReadOnly()
    service = Service(storage, TokenStore(tmp_path / "tokens.json"))
    with pytest.raises(JournalError):
        service.prepare()
    hpo.Study({"x": hpo.Float(0, 1)}, name="s", sampler="random", storage=storage).close()
    service.prepare()


class _Slow(MemoryStorage):
    """Reads the study "long" only once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_read = threading.Event()

    def read(self, study: str, start: int = 0) -> Iterator[Fact]:
        if study == "long":
            self.may_read.wait(30)
        return super().read(study, start)


def test_readers_of_a_long_study_do_not_keep_others_from_a_short_one() -> None:
    storage = _Slow()
    for name in ("long", "short"):
        hpo.Study({"x": hpo.Float(0, 1)}, name=name, sampler="random", storage=storage).close()
    reads = ReadModel(storage, time.monotonic)

    async def look() -> None:
        asked = [reads.read("long", lambda fold: fold.seq) for _ in range(50)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(answer, StillReading) for answer in answers)
        with pytest.raises(StillReading):  # whoever comes later need not wait as long
            await asyncio.wait_for(reads.read("long", lambda fold: fold.seq), 0.4)
        assert await reads.read("short", lambda fold: fold.name) == "short"
        storage.may_read.set()
        while True:
            try:
                assert await reads.read("long", lambda fold: fold.name) == "long"
                return
            except StillReading:
                await asyncio.sleep(0.01)

    try:
        asyncio.run(look())
    finally:
        storage.may_read.set()
        reads.close()


class _Away(MemoryStorage):
    """A storage that is away for a while."""

    is_away = False
    num_reads = 0

    def read(self, study: str, start: int = 0) -> Iterator[Fact]:
        self.num_reads += 1
        if self.is_away:
            raise JournalError("the database does not answer")
        return super().read(study, start)


def test_what_is_known_is_read_on_while_the_storage_is_away() -> None:
    storage, clock = _Away(), [0.0]
    with hpo.Study({"x": hpo.Float(0, 1)}, name="s", sampler="random", storage=storage) as study:
        study.tell(study.ask(), 1.0)
        reads = ReadModel(storage, lambda: clock[0])
        seq = reads.read_now("s", lambda fold: fold.seq)
        study.tell(study.ask(), 2.0)
        storage.is_away = True
        for now, stale_s in ((10.0, 0.0), (10.5, 0.5), (14.0, 4.0)):
            clock[0] = now
            assert reads.read_now("s", lambda fold: (fold.seq, fold.stale_s)) == (seq, stale_s)
        before = storage.num_reads
        reads.read_now("s", lambda fold: None)
        assert storage.num_reads == before  # it is not tried by each request
        storage.is_away, clock[0] = False, 16.0
        assert reads.read_now("s", lambda fold: (len(fold.ledger.trials), fold.stale_s)) == (2, 0.0)
        storage.is_away = True
        with pytest.raises(JournalError):
            ReadModel(storage, lambda: clock[0]).read_now("s", lambda fold: None)


def _tell_all(storage: MemoryStorage, values: list[float]) -> None:
    with hpo.Study({"x": hpo.Float(0, 1)}, name="s", sampler="random", storage=storage) as study:
        for value in values:
            study.tell(study.ask(), value)


@pytest.mark.parametrize("later", [[7.0], [7.0, 8.0], [7.0, 8.0, 9.0]])
def test_a_study_that_was_made_anew_elsewhere_is_read_anew(later: list[float]) -> None:
    storage = MemoryStorage()
    reads = ReadModel(storage, time.monotonic)
    _tell_all(storage, [1.0, math.nan])
    assert reads.read_now("s", lambda fold: fold.results.best_value) == 1.0
    known = reads.read_now("s", lambda fold: fold)
    assert reads.read_now("s", lambda fold: fold) is known
    storage.delete("s")
    _tell_all(storage, later)
    assert reads.read_now("s", lambda fold: (fold.results.best_value, len(fold.ledger.trials))) == (7.0, len(later))


def test_facts_that_do_not_add_up_stay_so() -> None:
    storage = MemoryStorage()
    reads = ReadModel(storage, time.monotonic)
    _tell_all(storage, [1.0])
    seq = reads.read_now("s", lambda fold: fold.seq)
    journal = storage.journal("s", create=False, owner="a faulty one")
    journal.append(
        [Saved(number=5, attempt=1, step=1, checkpoint={}, at=9e9), StudyStopped(reason="?", at=9e9)], expect=seq
    )
    for _ in range(3):
        with pytest.raises(JournalCorrupt, match="study 's' cannot be read: "):
            reads.read_now("s", lambda fold: fold.ledger.stopped)
