"""Connections: a head that does not come in time ends one, a slow answer and idle time between requests do not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.server import ServerState

from raytune_hpo.service import connections
from raytune_hpo.service.connections import KEEP_ALIVE_S, Connection
from raytune_hpo.service.leases import HEARTBEATS, TERM_S

HEAD_S = 0.2
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Callable[[Talk], None]:
    """Talks to a server that answers after twice the time that a head may take."""
    monkeypatch.setattr(connections, "HEAD_S", HEAD_S)

    async def slow(request: Request) -> Response:
        await asyncio.sleep(2 * HEAD_S)
        return PlainTextResponse((await request.body()).decode() or "nothing")

    async def with_server(talk: Talk) -> None:
        app = Starlette(routes=[Route("/", slow, methods=["GET", "POST"])])
        config, state = uvicorn.Config(app, http=Connection, timeout_keep_alive=60), ServerState()
        made = await asyncio.get_running_loop().create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
        async with made:
            reader, writer = await asyncio.open_connection(*made.sockets[0].getsockname())
            await asyncio.wait_for(talk(reader, writer), 20)
            writer.close()

    return lambda talk: asyncio.run(with_server(talk))


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return await reader.readexactly(length)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_a_head_that_does_not_come_ends_the_connection(talk, begun):
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        assert await reader.read() == b""

    talk(say)


def test_a_head_that_comes_byte_by_byte_has_no_longer(talk):
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.ensure_future(reader.read())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        while not ended.done():
            writer.write(b"a")
            await asyncio.sleep(HEAD_S / 10)
        with contextlib.suppress(ConnectionResetError):  # a byte may arrive after the server has closed the connection
            assert ended.result() == b""

    talk(say)


def test_answers_and_bodies_may_take_longer_and_the_connection_is_kept(talk):
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await _answer(reader) == b"nothing"
        await asyncio.sleep(2 * HEAD_S)  # idle, between two requests
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        await asyncio.sleep(2 * HEAD_S)
        writer.write(b"cd")
        assert await _answer(reader) == b"abcd"
        writer.write(b"GET / HT")
        assert await reader.read() == b""

    talk(say)


def test_a_worker_keeps_its_connection_between_two_heartbeats():
    assert KEEP_ALIVE_S > TERM_S / HEARTBEATS
