"""Group commit after an error: nobody waits for an answer that nobody will give."""

from __future__ import annotations

import asyncio

import pytest

from raytune_hpo.core.messages import Noted, Tick
from raytune_hpo.runtime.group_commit import GroupCommit

PATIENCE_S = 10.0
TICK = [Tick(at=0.0)]


def test_commands_that_come_after_an_error_get_it_too():
    async def story():
        commit, is_broken = GroupCommit(), True

        def decide(commands):
            if is_broken:
                raise OSError("the disk is gone")
            return [Noted()] * len(commands)

        working = asyncio.create_task(commit.work(decide))
        for _ in range(2):  # one that is being decided, and one that comes when nothing works any more
            with pytest.raises(OSError, match="the disk is gone"):
                await asyncio.wait_for(commit.handle(TICK), PATIENCE_S)
        await asyncio.gather(working, return_exceptions=True)
        assert commit.num_unanswered == 0

        is_broken = False
        working = asyncio.create_task(commit.work(decide))
        await asyncio.sleep(0)
        assert await asyncio.wait_for(commit.handle(TICK), PATIENCE_S) == [Noted()]
        working.cancel()

    asyncio.run(story())
