"""Workers that say nothing, and trials that wait for what they themselves take up."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cluster_support import SPACE, facts_of

import raytune_hpo as hpo
from raytune_hpo.cluster import launching
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.facts import Requeued
from raytune_hpo.journal import open_storage
from raytune_hpo.runtime.async_desk import AsyncDesk
from raytune_hpo.runtime.attendance import MAX_STEP_S, Attendance, is_unusual
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.resuming import open_study
from raytune_hpo.runtime.settings import Settings

SETTINGS = {"sampler": "random", "progress": False}


def seconds(attendance: Attendance, number: int) -> None:
    for _ in range(number):
        attendance.pass_time(1.0)


def test_a_worker_is_silent_from_its_last_word_on() -> None:
    attendance = Attendance()
    seconds(attendance, 3)
    with attendance.talking("a"):
        seconds(attendance, 20)
        assert attendance.silence_s("a") == 0.0
    seconds(attendance, 5)
    assert attendance.silence_s("a") == 5.0
    assert attendance.silence_s("never heard") == 28.0


def test_the_longest_silence_that_ended_is_what_is_usual() -> None:
    attendance = Attendance()
    for pause in (3, 7, 2):
        with attendance.talking("a"):
            pass
        seconds(attendance, pause)
    assert attendance.longest_s == 7.0


def test_what_is_unusual_depends_on_what_is_usual() -> None:
    assert not is_unusual(599.0, 1.0) and is_unusual(601.0, 1.0)
    assert not is_unusual(3600.0, 600.0) and is_unusual(6001.0, 600.0)


def test_nobody_was_silent_while_nobody_listened() -> None:
    attendance = Attendance()
    with attendance.talking("a"):
        pass
    attendance.pass_time(3600.0)
    assert attendance.silence_s("a") == MAX_STEP_S


def test_two_messages_of_one_worker_may_overlap() -> None:
    attendance = Attendance()
    with attendance.talking("a"):
        with attendance.talking("a"):
            pass
        seconds(attendance, 9)
        assert attendance.silence_s("a") == 0.0
    attendance.forget("a")


def listening(story: Callable[[AsyncDesk, Ledger], Awaitable[None]]) -> None:
    """A desk of a study of six trials, at which nobody has spoken yet."""

    async def tell() -> None:
        plan = RunPlan.of(SPACE, Settings(sampler="random", num_trials=6, seed=0, storage="memory"), lambda config: 0.0)
        optimizer = open_study(plan, open_storage("memory"), WallClock())
        desk = AsyncDesk(WallClock())
        desk.open(optimizer)
        serving = asyncio.create_task(desk.serve())
        await story(desk, optimizer.ledger)
        serving.cancel()

    asyncio.run(tell())


def test_a_hung_worker_loses_its_trial_which_fails() -> None:
    async def story(desk: AsyncDesk, ledger: Ledger) -> None:
        await desk.exchange("hung", [], [], 1, [])
        await desk.exchange("reports", [], [], 1, [])
        seconds(desk.attendance, 20)
        await desk.report(1, 1, [(1, {"loss": 0.5}, False)])
        assert await desk.end_hung(10.0, 15.0) == []
        seconds(desk.attendance, 6)
        assert await desk.end_hung(10.0, 15.0) == ["hung"]
        assert ledger.trials[0].status == "failed" and "trial_timeout_s=10" in str(ledger.trials[0].error)
        assert ledger.trials[1].status == "running"
        assert (await desk.exchange("hung", [], [], 1, [])).is_over  # it is not listened to any more
        assert await desk.end_hung(10.0, 15.0) == []

    listening(story)


@pytest.mark.slow
def test_of_several_trials_of_a_hung_worker_none_is_blamed() -> None:
    async def story(desk: AsyncDesk, ledger: Ledger) -> None:
        await desk.exchange("hung", [], [], 3, [])
        seconds(desk.attendance, 30)
        assert await desk.end_hung(10.0, 15.0) == []  # one may have ended, and the next begun
        seconds(desk.attendance, 6)
        assert await desk.end_hung(10.0, 15.0) == ["hung"]
        assert list(ledger.requeued) == [0, 1, 2] and not ledger.finished

    listening(story)


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """A folder for the names of processes that stopped themselves; they are ended with the test."""
    folder = tmp_path / "stopped"
    folder.mkdir()
    yield folder
    for path in folder.iterdir():
        try:
            os.kill(int(path.name), signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_stopped_worker_is_ended_with_its_trial_and_replaced(name: str, storage: str, pids: Path) -> None:
    folder = str(pids)

    def stops(config):
        if config["x"] == 0.5:
            open(os.path.join(folder, str(os.getpid())), "w").close()
            os.kill(os.getpid(), signal.SIGSTOP)
        return config["x"]

    results = hpo.tune(
        stops, SPACE, num_trials=4, points_to_evaluate=[{"x": 0.5}], trial_timeout_s=1.0, resources={"cpu": 2},
        max_retries=0, name=name, storage=storage, **SETTINGS,
    )  # fmt: skip
    assert [str(trial.status) for trial in results] == ["failed", "completed", "completed", "completed"]
    assert "trial_timeout_s=1" in results[0].error
    assert not facts_of(storage, name, Requeued)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_report_from_any_thread_belongs_to_the_trial_of_its_process(name: str) -> None:
    def objective(config):
        def train(step):
            hpo.report(loss=config["x"] / step, step=step)

        first = threading.Thread(target=train, args=(1,))
        first.start()
        first.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(train, 2).result()
        timer = threading.Timer(0.0, train, args=(3,))
        timer.start()
        timer.join()
        return config["x"]

    results = hpo.tune(objective, SPACE, num_trials=2, scheduler="median", name=name, storage="memory", **SETTINGS)
    assert [[report.step for report in trial.reports] for trial in results] == [[1, 2, 3]] * 2


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_trials_that_take_up_the_room_that_they_wait_for_are_told_of_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "STARVING_S", 2.0)

    def objective(config):
        import ray

        return sum(ray.get([ray.remote(lambda: 1).remote() for _ in range(2)])) + config["x"]

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        hpo.tune(objective, SPACE, num_trials=2, time_budget_s=25.0, name=name, storage="memory", **SETTINGS)
    told = [str(warning.message) for warning in heard if "max_concurrent" in str(warning.message)]
    assert len(told) == 1 and 'resources=[{"cpu": 1}, {"cpu": 1}]' in told[0]
