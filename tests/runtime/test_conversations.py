"""The mailbox by which calls on a cluster ask their caller, without a cluster."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("ray")

from raytune_hpo.cluster import conversations


def test_each_question_gets_its_own_answer():
    async def talk() -> list[str]:
        mailbox = conversations.Mailbox()
        asking = [asyncio.create_task(mailbox.ask(key, f"what is {key}?")) for key in range(3)]
        await asyncio.sleep(0)
        taken = await mailbox.take()
        assert [(key, question) for _, key, question in taken] == [(k, f"what is {k}?") for k in range(3)]
        for number, key, _ in reversed(taken):
            await mailbox.answer(number, f"{key}!")
        return await asyncio.gather(*asking)

    assert asyncio.run(talk()) == ["0!", "1!", "2!"]


def test_nobody_waits_for_ever(monkeypatch):
    monkeypatch.setattr(conversations, "WAIT_S", 0.01)
    assert asyncio.run(conversations.Mailbox().take()) == []
