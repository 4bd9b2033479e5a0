"""The parts of a study on Ray that need no Ray."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest

from raytune_hpo.core.messages import Answer, Assignment, EndTrial, Lease, Noted, Tick
from raytune_hpo.errors import ClusterError, SpecError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.runtime.group_commit import GroupCommit
from raytune_hpo.runtime.waiting_workers import WaitingWorkers
from raytune_hpo.runtime.wire import pack_answer, pack_ended, pack_lease, unpack_answer, unpack_ended, unpack_lease


def test_importing_the_package_does_not_import_ray() -> None:
    script = "import sys, raytune_hpo.cluster; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_messages_survive_the_wire() -> None:
    ended = EndTrial(number=3, attempt=2, status=Status.FAILED, at=0.0, error="no", output="text", duration_s=1.0)
    assert unpack_ended(pack_ended([ended])) == [ended]
    lease = Lease(assignments=(Assignment(number=1, attempt=1, config={"x": 1}, next_step=4),))
    assert unpack_lease(pack_lease(lease)) == lease
    assert unpack_lease(pack_lease(Lease(is_over=True))).is_over
    assert unpack_lease(pack_lease(Lease())) == Lease()
    answer = Answer(verdict=Verdict.STOP, next_step=9)
    assert unpack_answer(pack_answer(answer)) == answer


def test_what_arrives_during_a_transaction_goes_into_the_next_one() -> None:
    batches = []

    def decide(events):
        batches.append(len(events))
        return [Noted() for _ in events]

    async def story() -> None:
        commit = GroupCommit()
        working = asyncio.create_task(commit.work(decide))
        first = asyncio.create_task(commit.handle([Tick(at=0)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        replies = await asyncio.gather(first, *(commit.handle([Tick(at=n)] * n) for n in range(1, 20)))
        assert [len(reply) for reply in replies] == [1, *range(1, 20)]
        working.cancel()

    asyncio.run(story())
    assert sum(batches) == 1 + sum(range(20)) and len(batches) <= 3


def test_an_error_of_the_optimizer_reaches_everyone_who_waits() -> None:
    def decide(events):
        raise OSError("disk on fire")

    async def story() -> None:
        commit = GroupCommit()
        working = asyncio.create_task(commit.work(decide))
        answers = await asyncio.gather(*(commit.handle([Tick(at=0)]) for _ in range(3)), return_exceptions=True)
        assert [str(answer) for answer in answers] == ["disk on fire"] * 3
        with pytest.raises(OSError):
            await working

    asyncio.run(story())


def test_workers_park_until_woken_dismissed_or_out_of_patience() -> None:
    async def count(waiting: WaitingWorkers, worker: str) -> int:
        wakings = 0
        async for _ in waiting.wakings(worker, waiting.changes, 0.2):
            wakings += 1
        return wakings

    async def story() -> list[int]:
        waiting = WaitingWorkers()
        tasks = [asyncio.create_task(count(waiting, worker)) for worker in "abc"]
        await asyncio.sleep(0.01)
        waiting.wake(1)  # only a, who has waited longest
        await asyncio.sleep(0.01)
        waiting.dismiss("b")
        waiting.wake()
        await asyncio.sleep(0.01)
        assert len(waiting) == 2
        wakings = await asyncio.gather(*tasks)
        assert len(waiting) == 0
        return wakings

    assert asyncio.run(story()) == [2, 0, 1]


def test_what_changes_while_a_worker_asks_is_not_missed() -> None:
    async def story() -> None:
        waiting = WaitingWorkers()
        seen = waiting.changes
        waiting.wake()  # while its question is on the way to the optimizer and back
        async for _ in waiting.wakings("a", seen):
            break
        else:
            raise AssertionError("it waited in vain")

    asyncio.run(asyncio.wait_for(story(), 1.0))


def test_why_a_worker_is_missing_is_said_in_the_words_of_what_happened() -> None:
    from ray.exceptions import RayTaskError, TaskCancelledError

    from raytune_hpo.cluster.failures import cause_of

    assert cause_of(ValueError("Bundles cannot be empty")) == ("ValueError: Bundles cannot be empty", False)
    silent = RayTaskError("call", "a traceback", asyncio.CancelledError())
    assert cause_of(silent) == ("the worker failed: CancelledError", False)
    interrupted = RayTaskError("call", "a traceback", TaskCancelledError())
    assert "the objective raised KeyboardInterrupt" in cause_of(interrupted)[0]


def test_what_ray_client_cannot_carry_within_an_objective_is_refused() -> None:
    from ray.util.client.common import ClientObjectRef

    from raytune_hpo.cluster.shipping import Keeper, pack_objective

    far = ClientObjectRef  # as pickled, it names the module in which all of Ray Client's references are
    with pytest.raises(SpecError, match=r"it refers to 'far' \(a type\).* hpo.with_parameters"):
        pack_objective(lambda config: far, Keeper(lambda: None))


def test_a_pool_whose_optimizer_has_died_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from raytune_hpo.cluster import pool

    def missing(role: str, study: str) -> None:
        raise ValueError("Failed to look up actor with name 'optimizer:s'")

    monkeypatch.setattr(pool, "find", missing)
    with pytest.raises(ClusterError, match="optimizer of study 's' died before it could start workers"):
        pool.WorkerPool(SimpleNamespace(study="s"))


def test_a_pool_whose_optimizer_has_been_killed_ends_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would keep their CPUs for as long as the pool's process lives."""
    from ray.exceptions import ActorDiedError

    from raytune_hpo.cluster import pool

    async def died(*args: object) -> None:
        raise ActorDiedError

    gone = SimpleNamespace(call=SimpleNamespace(options=lambda **options: SimpleNamespace(remote=died)))
    killed: list[object] = []
    monkeypatch.setattr(pool, "find", lambda role, study: gone)
    monkeypatch.setattr(pool, "connection", lambda: "this one")
    monkeypatch.setattr(pool.ray, "kill", killed.append)
    workers = pool.WorkerPool(SimpleNamespace(study="s", has_holder=False, linger_s=None), has_process=False)
    workers._members["w"] = pool._Member(actor="a worker", ready=True)
    monkeypatch.setattr(workers, "_hire", lambda: None)
    asyncio.run(workers.run())
    assert killed == ["a worker"]
