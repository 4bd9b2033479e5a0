"""Event streams: the reads that those of a study share, and their end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from raytune_hpo.errors import StudyNotFound
from raytune_hpo.facts import StudyCreated, StudyStopped
from raytune_hpo.service import events
from raytune_hpo.service.streams import SharedReads, Streams
from raytune_hpo.service.tokens import TokenStore


def test_streams_of_a_study_share_a_read_that_is_new_enough():
    async def story():
        reads, made = SharedReads(), []

        async def read():
            made.append(len(made))
            await asyncio.sleep(0)
            return made[-1]

        together = await asyncio.gather(*(reads.newest("a", read, 60) for _ in range(500)))
        assert (set(together), len(made)) == ({0}, 1)
        assert await reads.newest("b", read, 60) == 1, "another study"
        assert await reads.newest("a", read, 60) == 0
        assert await reads.newest("a", read, 0) == 2, "too old"

    asyncio.run(story())


def test_a_stream_that_is_closed_does_not_end_the_read_of_the_others():
    async def story():
        reads, may_end = SharedReads(), asyncio.Event()

        async def read():
            await may_end.wait()
            return "read"

        closed, other = (asyncio.create_task(reads.newest("a", read, 60)) for _ in range(2))
        await asyncio.sleep(0)
        closed.cancel()
        await asyncio.gather(closed, return_exceptions=True)
        may_end.set()
        assert await other == "read"

    asyncio.run(story())


def test_what_a_read_raises_reaches_every_stream():
    async def story():
        reads = SharedReads()

        async def read():
            raise ValueError("no such study")

        found = await asyncio.gather(*(reads.newest("a", read, 60) for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in found] == ["no such study"] * 3
        with pytest.raises(ValueError, match="no such study"):
            await reads.newest("a", read, 0)

    asyncio.run(story())


@pytest.fixture
def call(tmp_path):
    """That of a request for the events of a study."""
    store, streams = TokenStore(tmp_path / "tokens.json"), Streams()
    _, token = store.create("viewer")
    streams.enter(token.id)
    access = SimpleNamespace(tokens=store)
    return SimpleNamespace(token=token, service=SimpleNamespace(access=access, streams=streams, is_closing=False))


def test_the_stream_of_a_busy_study_ends_with_its_token(call, monkeypatch):
    monkeypatch.setattr(events, "LOOK_S", 0.001)
    monkeypatch.setattr(events, "COMMENT_S", 0.005)

    async def busy():
        for number in range(100):
            yield str(number)
            yield None

    async def story():
        told = []
        async for event in events._guarded(call, busy()):
            told.append(event)
            if event == "7":
                call.service.access.tokens.revoke(call.token.id)
        assert ": still here\n\n" in told and told[-1] == "9"

    asyncio.run(story())


def test_the_stream_of_a_study_that_is_deleted_ends(call):
    async def deleted():
        yield "first"
        raise StudyNotFound("it was deleted")

    async def story():
        told = [event async for event in events._guarded(call, deleted())]
        assert told[1:] == ["first"]
        call.service.streams.enter(call.token.id)
        assert call.service.streams._open == {call.token.id: 1}  # the other one was counted out

    asyncio.run(story())


def test_the_facts_of_a_busy_study_leave_pauses_in_which_a_stream_may_end():
    """Each look finds new ones, as in a study of many short trials."""
    written = [StudyCreated(spec={}, at=0.0)]

    def read(name, start):
        written.append(StudyStopped(reason="a fact like any other", at=0.0))
        return iter(written[start:])

    async def running(name, function):
        return function(SimpleNamespace(ledger=SimpleNamespace(stopped=None), seq=len(written)))

    studies = SimpleNamespace(storage=SimpleNamespace(read=read))
    call = SimpleNamespace(study="busy", service=SimpleNamespace(read=running, studies=studies))

    async def story():
        facts = events._facts(call, 0)
        found = [await anext(facts) for _ in range(5)]
        await facts.aclose()
        assert [event is None for event in found] == [False, False, True, False, True]

    asyncio.run(story())
