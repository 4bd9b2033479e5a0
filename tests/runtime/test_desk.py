"""The desk: what workers say becomes commands, whoever carries it; and who is listened to."""

from __future__ import annotations

import asyncio

from raytune_hpo.core.messages import (
    Answer,
    AskTrials,
    EndTrial,
    Lease,
    LoseWorker,
    Noted,
    ReplaceWorkers,
    ReturnTrials,
)
from raytune_hpo.core.optimizer import Optimizer, WallClock
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.journal import open_storage
from raytune_hpo.runtime.async_desk import AsyncDesk
from raytune_hpo.runtime.desk import OVER, STOP, Desk
from raytune_hpo.runtime.resuming import open_study
from tests.support import Feed


def ended(number: int, loss: float = 1.0) -> EndTrial:
    return EndTrial(number=number, attempt=1, status=Status.COMPLETED, at=0.0, metrics={"loss": loss})


def test_an_exchange_tells_gives_back_and_asks_in_this_order_and_is_stamped_here() -> None:
    commands = Desk().exchange("a", [ended(3)], [4, 5], 2, [6], at=7.0)
    assert [type(command) for command in commands] == [EndTrial, ReturnTrials, AskTrials]
    assert [command.at for command in commands] == [7.0, 7.0, 7.0]
    assert commands[1].numbers == (4, 5) and commands[2].limit == 2 and commands[2].holding == {6}


def test_lost_workers_are_not_listened_to_any_more() -> None:
    desk = Desk()
    desk.exchange("a", (), (), 1, (), at=0.0)
    assert desk.at_work == {"a"} and desk.serves("a")
    assert desk.lose("a", "gone", 1.0, blameless=True) == [
        LoseWorker(worker="a", reason="gone", blameless=True, at=1.0)
    ]
    assert not desk.serves("a") and not desk.at_work and desk.serves("b")


def test_replaced_workers_are_not_listened_to_any_more() -> None:
    desk = Desk()
    assert desk.serves("old-1")
    assert desk.replace_workers("new", 1.0) == [ReplaceWorkers(prefix="new", at=1.0, spared="http-")]
    assert desk.serves("new-1") and not desk.serves("old-1")


def test_nobody_is_served_once_it_is_over() -> None:
    desk = Desk()
    desk.is_over = True
    assert not desk.serves("a")


def test_the_first_stop_answers_several_reports_and_otherwise_the_last_one() -> None:
    go_on = [Answer(verdict=Verdict.CONTINUE, next_step=step) for step in (3, 9)]
    assert Desk().answer(go_on) == go_on[-1]
    assert Desk().answer([go_on[0], STOP, go_on[1]]) == STOP
    assert Desk.lease([Noted(), Lease()]) == Lease()


# ------------------------------------------------------------------------------------------------ on an event loop


def serving(story, **settings):
    """Run a story at a desk that serves a study in memory."""
    plan = Feed(**settings).plan

    async def play():
        desk = AsyncDesk(WallClock())
        optimizer: Optimizer = open_study(plan, open_storage("memory"), WallClock())
        desk.open(optimizer)
        work = asyncio.create_task(desk.serve())
        try:
            return await asyncio.wait_for(story(desk), 20)
        finally:
            work.cancel()

    return asyncio.run(play())


def test_a_worker_waits_until_another_one_leaves_it_something() -> None:
    async def story(desk: AsyncDesk) -> None:
        first = await desk.exchange("a", (), (), 1, ())
        waiting = asyncio.create_task(desk.exchange("b", (), (), 1, ()))
        while not len(desk.waiting):
            await asyncio.sleep(0.01)
        await desk.lose("a", "gone", blameless=True)
        second = await waiting
        assert [a.number for a in second.assignments] == [a.number for a in first.assignments] == [0]
        assert second.assignments[0].attempt == 2
        assert await desk.exchange("a", [ended(0)], (), 1, ()) == OVER

    serving(story, num_trials=1)


def test_a_holding_worker_does_not_wait() -> None:
    async def story(desk: AsyncDesk) -> None:
        await desk.exchange("a", (), (), 1, ())
        assert await desk.exchange("a", (), (), 1, [0]) == Lease()

    serving(story, num_trials=1)


def test_the_end_reaches_those_who_wait() -> None:
    async def story(desk: AsyncDesk) -> None:
        await desk.exchange("a", (), (), 1, ())
        waiting = asyncio.create_task(desk.exchange("b", (), (), 1, ()))
        while not len(desk.waiting):
            await asyncio.sleep(0.01)
        assert (await desk.exchange("a", [ended(0)], (), 1, ())).is_over
        assert await waiting == OVER
        assert desk.over.is_set()
        assert await desk.report(0, 1, [(1, {"loss": 1.0}, False)]) == STOP

    serving(story, num_trials=1)


def test_workers_that_belong_to_no_pool_are_not_replaced() -> None:
    desk = Desk()
    desk.exchange("http-a.1", (), (), 1, (), 0.0)
    desk.exchange("old-1", (), (), 1, (), 0.0)
    desk.replace_workers("new", 1.0)
    assert desk.serves("http-a.1")
    assert desk.at_work == {"http-a.1"}
