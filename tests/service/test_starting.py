"""A service that is started answers at once, and reads what it hosted before meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest

from raytune_hpo.service.app import application
from raytune_hpo.service.state import Service
from raytune_hpo.service.studies import Studies
from raytune_hpo.service.tokens import TokenStore

SPACE = {"x": {"type": "float", "low": 0, "high": 1}}


def test_workers_are_told_to_wait_while_their_study_is_read_again(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = TokenStore(tmp_path / "tokens.json")
    headers = {"Authorization": f"Bearer {tokens.create('admin')[0]}"}

    async def with_service(talk: Any) -> None:
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

    async def begin(client: httpx.AsyncClient) -> None:
        made = await client.post("/studies", json={"name": "long", "space": SPACE, "sampler": "random"})
        assert made.status_code == 201
        given = await client.post("/studies/long/leases", json={"worker": "a", "wait_s": 0})
        assert given.json()["assignments"][0]["number"] == 0

    asyncio.run(with_service(begin))

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

    asyncio.run(with_service(go_on))
