"""Workers over HTTP beside those of a study on Ray: leases, late words and restarts without Ray; and both, with it."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cluster_support import SPACE, assert_each_once, by_value, facts_of, wait_until
from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

import raytune_hpo as hpo
from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.cluster import connecting, optimizer_line
from raytune_hpo.cluster.optimizer_actor import OptimizerActor
from raytune_hpo.cluster.optimizer_line import OptimizerLine
from raytune_hpo.core.audit import audit
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.errors import CheckpointGone, ClusterError, SpecError, StudyNotFound
from raytune_hpo.facts import Requeued, Started
from raytune_hpo.journal import open_storage
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.resuming import open_study, reopen_study
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.service.app import application
from raytune_hpo.service.state import Service
from raytune_hpo.service.studies import Studies
from raytune_hpo.service.tokens import TokenStore
from tests.service.conftest import Server

NAME = "beside"


class Optimizer(OptimizerActor):
    """The actor without Ray around it; what is said to it and what it says goes through bytes."""

    def __init__(self, plan: RunPlan, storage: str) -> None:
        super().__init__(plan)
        self._storage = open_storage(storage)
        self.is_away = False
        self.said: list[str] = []

    async def begin(self, take_up: Any = open_study) -> None:
        self._optimizer = await self._desk.commit.do(take_up, self._plan, self._storage, WallClock())
        self._desk.open(self._optimizer)
        self._serving = asyncio.create_task(self._desk.serve())
        self._open.set()

    async def end(self) -> None:
        self._serving.cancel()
        assert self._optimizer is not None
        await self._desk.commit.do(self._optimizer.close)

    async def __call__(self, method: str, *args: Any, wait_s: float = 0.0) -> Any:
        if self.is_away:
            raise ClusterError("the optimizer has not answered; try again")
        self.said.append(method)
        answer = await getattr(self, method)(*pickle.loads(pickle.dumps(args)))
        return pickle.loads(pickle.dumps(answer))


class Story:
    """A service, a client of it, and a study on a cluster that is not there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.storage, self.tokens = str(folder / "studies.db"), TokenStore(folder / "tokens.json")
        self._headers = {"Authorization": f"Bearer {self.tokens.create('admin')[0]}"}
        self._monkeypatch = monkeypatch
        self.optimizer: Any = None
        monkeypatch.setattr(Studies, "_line_to", lambda studies, name: self.optimizer)

    def plan(self, space: Any = None, **settings: Any) -> RunPlan:
        given = {"name": NAME, "num_trials": 4, "sampler": "random", "seed": 1, **settings}
        plan = RunPlan.of(SPACE if space is None else space, Settings(storage=self.storage, **given))
        return replace(plan, spec=replace(plan.spec, settings={**plan.spec.settings, "runtime": "ray"}))

    def tell(
        self, talk: Callable[[httpx.AsyncClient], Awaitable[None]], plan: RunPlan, take_up: Any = open_study
    ) -> None:
        asyncio.run(self._told(talk, plan, take_up))

    async def _told(self, talk: Any, plan: RunPlan, take_up: Any) -> None:
        self.optimizer = Optimizer(plan, self.storage)
        await self.optimizer.begin(take_up)
        service = Service(self.storage, self.tokens, address="nowhere:6379")
        await service.studies.open()
        app = application(service, ["test"])
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url=f"http://test/v1/studies/{NAME}", headers=self._headers
        ) as client:
            await talk(client)
        await service.studies.close()
        await self.optimizer.end()


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    return Story(tmp_path, monkeypatch)


async def lease(client: httpx.AsyncClient, worker: str = "a", **fields: Any) -> dict[str, Any]:
    answer = await client.post("/leases", json={"worker": worker, "wait_s": 0, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def result(client: httpx.AsyncClient, given: dict[str, Any], **fields: Any) -> httpx.Response:
    return await client.put(f"/trials/{given['number']}/result", json={"attempt": given["attempt"], **fields})


async def report(client: httpx.AsyncClient, given: dict[str, Any], step: int, loss: float, **fields: Any) -> dict:
    rows = [{"step": step, "metrics": {"loss": loss}}]
    body = {"attempt": given["attempt"], "reports": rows, **fields}
    return dict((await client.post(f"/trials/{given['number']}/reports", json=body)).json())


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 20
    while not await is_so():
        assert time.monotonic() < deadline, "it has not come to pass"
        await asyncio.sleep(0.05)


async def has_status(client: httpx.AsyncClient, number: int, status: str) -> bool:
    return (await client.get(f"/trials/{number}")).json()["status"] == status


# ------------------------------------------------------------------------------------------------ without Ray


def test_a_study_on_ray_gives_trials_to_workers_over_http_and_says_so(story: Story) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        first = await lease(client, "gpu-7")
        (given,) = first["assignments"]
        assert given["config"].keys() == {"x"} and given["seed"] >= 0
        assert (await lease(client, "gpu-7"))["assignments"] == [given]  # a lost reply
        of_pool = await story.optimizer.exchange("crew-0", (), (), 1, ())
        assert of_pool[0][0] == 1
        await story.optimizer.replace_workers("other")  # the pool has lost its own, and them alone
        shown = (await client.get(f"http://test/v1/studies/{NAME}")).json()
        assert (shown["kind"], shown["http_workers"]) == ("cluster", {"gpu-7": [0]})
        (row,) = (await client.get("http://test/v1/workers")).json()["items"]
        assert (row["worker"], row["study"], row["trials"]) == ("gpu-7", NAME, [0])
        life = await client.put(f"/leases/{first['lease']}", json={})
        assert life.json()["verdicts"] == [{"number": 0, "verdict": "continue"}]
        await story.optimizer.stop_trial(0)
        life = await client.put(f"/leases/{first['lease']}", json={})
        assert life.json()["verdicts"] == [{"number": 0, "verdict": "stop"}]
        more = await lease(client, "gpu-7", finished=[{"number": 0, "attempt": 1, "status": "pruned"}])
        assert [f["recorded"] for f in more["finished"]] == [True]
        assert [a["number"] for a in more["assignments"]] == [1]  # which the pool had lost

    story.tell(talk, story.plan())


def test_the_study_goes_on_while_a_worker_over_http_holds_its_last_trial(story: Story) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        (given,) = (await lease(client))["assignments"]
        assert not (await story.optimizer.pulse(0.0)).is_over
        assert (await result(client, given, metrics={"loss": 0.5})).json()["status"] == "completed"
        assert (await story.optimizer.pulse(0.0)).is_over
        over = await lease(client)
        assert (over["over"], over["reason"]) == (True, "num_trials")
        assert (await result(client, given, metrics={"loss": 0.5})).status_code == 200  # a repetition
        assert (await client.get("http://test/v1/workers")).json()["items"] == []

    story.tell(talk, story.plan(num_trials=1))


def test_a_silent_worker_loses_its_trial_and_is_heard_late(story: Story) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        held = await lease(client, ttl_s=1)
        (given,) = held["assignments"]
        await until(lambda: has_status(client, 0, "waiting"))
        assert (await client.put(f"/leases/{held['lease']}", json={})).json()["type"] == "/problems/lease-expired"
        late = await report(client, given, 1, 3.0)
        assert (late["verdict"], late["attempt"]) == ("continue", 2)
        assert late["expires_at"] is not None  # it is listened for again
        assert (await report(client, given, 2, 2.0))["verdict"] == "stop"  # that attempt is over
        assert (await result(client, {**given, "attempt": 2}, metrics={"loss": 1.0})).json()["status"] == "completed"
        (other,) = (await lease(client, "b", ttl_s=1))["assignments"]
        await until(lambda: has_status(client, other["number"], "waiting"))
        assert (await result(client, other, metrics={"loss": 1.0})).json()["status"] == "completed"
        assert (await result(client, other, metrics={"loss": 1.0})).status_code == 200
        assert (await result(client, other, metrics={"loss": 2.0})).json()["type"] == "/problems/already-finished"

    story.tell(talk, story.plan())


def test_trials_go_back_once_the_cluster_can_be_told(story: Story) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        held = await lease(client)
        story.optimizer.is_away = True
        refused = await client.delete(f"/leases/{held['lease']}")
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
        assert "retry-after" in refused.headers
        assert await has_status(client, 0, "running")
        story.optimizer.is_away = False
        await until(lambda: has_status(client, 0, "waiting"))
        assert facts_of(story.storage, NAME, Requeued)[0].spent is False

    story.tell(talk, story.plan())


def test_what_is_no_result_fails_its_trial_and_quarantine_is_kept_here(story: Story) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        (good,) = (await lease(client, "good"))["assignments"]
        await result(client, good, metrics={"loss": 1.0}, duration_s=0.1)
        for _ in range(5):
            (given,) = (await lease(client, "bad"))["assignments"]
            answer = await result(client, given, metrics={"loss": "low"}, duration_s=0.1)
            assert (answer.status_code, answer.json()["status"]) == (200, "failed")
        refused = await client.post("/leases", json={"worker": "bad", "wait_s": 0})
        assert refused.json()["type"] == "/problems/worker-quarantined"
        assert (await client.delete("/quarantine/bad")).status_code == 204
        assert (await lease(client, "bad"))["assignments"]

    story.tell(talk, story.plan(num_trials=20))


def test_paused_trials_go_on_from_what_their_worker_keeps_and_ray_begins_them_anew(story: Story) -> None:
    resumed: list[tuple[int, str]] = []

    async def talk(client: httpx.AsyncClient) -> None:
        while not resumed:
            (given,) = (await lease(client))["assignments"]
            begin = given["from_step"] or 0
            if begin:
                resumed.append((given["number"], given["checkpoint"]))
                assert (await report(client, given, 1, 9.0))["verdict"] == "continue"  # it could as well start over
            for step in range(begin + 1, 10):
                kept = f"disk/{given['number']}/{step}"
                answer = await report(client, given, step, given["config"]["x"] + 1 / step, checkpoint=kept)
                if answer["verdict"] != "continue":
                    break
        number, kept = resumed[0]
        assert kept.startswith(f"disk/{number}/")

    scheduler = {"name": "asha", "max_steps": 9, "eta": 3, "promote": True}
    story.tell(talk, story.plan(scheduler=scheduler, num_trials=9))
    with pytest.raises(
        CheckpointGone, match="worker that ran the trial keeps it"
    ):  # upon which a worker of the pool begins at the start
        _ = Checkpoint(0, 1, {"kept": "disk/0/1"}).path


def test_options_that_json_cannot_carry_are_told_by_their_names(story: Story) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        (given,) = (await lease(client))["assignments"]
        assert given["config"]["kind"] in ("int", "builtins.int", "<class 'int'>", "float", "builtins.float")
        assert (await result(client, given, metrics={"loss": 0.5})).json()["config"] == given["config"]

    story.tell(talk, story.plan({"kind": hpo.choice([int, float])}))


def test_what_only_workers_on_ray_can_run_is_not_given_away(story: Story) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        refused = await client.post("/leases", json={"worker": "a", "wait_s": 0})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/not-running")
        assert "instances" in refused.json()["detail"]

    story.tell(talk, story.plan(instances=["one", "two"]))


def test_a_service_that_is_started_again_knows_who_has_trials(story: Story) -> None:
    held: list[dict[str, Any]] = []

    async def begin(client: httpx.AsyncClient) -> None:
        held.append(await lease(client, "a"))

    async def go_on(client: httpx.AsyncClient) -> None:
        (row,) = (await client.get("http://test/v1/workers")).json()["items"]  # before anyone has said a word
        assert (row["worker"], row["trials"]) == ("a", [0])
        assert (await client.put(f"/leases/{held[0]['lease']}", json={})).status_code == 200
        (given,) = held[0]["assignments"]
        assert (await lease(client, "a"))["assignments"] == [given]
        assert (await result(client, given, metrics={"loss": 1.0})).json()["attempt"] == 1

    story.tell(begin, story.plan())
    story.tell(go_on, story.plan(), reopen_study)


class AttachedRun:
    """A run on a cluster, which notes what it is told."""

    def __init__(self, told: list[tuple[str, Any]]) -> None:
        self.told = told

    def enqueue(self, config: dict[str, Any]) -> None:
        self.told.append(("enqueue", config))

    def stop_trial(self, number: int) -> None:
        self.told.append(("stop_trial", number))


def test_commands_go_over_one_connection_which_is_made_again_when_it_is_lost(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, entered, is_up = list[tuple[str, Any]](), list[Any](), [False]

    def init(**options: Any) -> None:
        entered.append(options["address"])
        is_up[0] = True

    monkeypatch.setattr("ray.is_initialized", lambda: is_up[0])
    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr(connecting, "_knock", lambda address: None)
    monkeypatch.setattr(connecting, "_joined", set())
    monkeypatch.setattr("raytune_hpo.api.stored.attach", lambda name: AttachedRun(told))

    async def talk(client: httpx.AsyncClient) -> None:
        config = {"x": 0.5}
        for _ in range(2):
            assert (await client.post("/queue", json={"configs": [config]})).status_code == 201
        await lease(client)
        is_up[0] = False
        assert (await client.post("/trials/0/stop")).status_code == 202
        assert told == [("enqueue", config), ("enqueue", config), ("stop_trial", 0)]

    story.tell(talk, story.plan())
    assert entered == ["nowhere:6379"] * 2


def test_a_command_to_a_study_that_nobody_runs_says_so(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    def attach(name: str) -> Any:
        raise StudyNotFound(f"no study {name!r} runs on this cluster")

    monkeypatch.setattr(connecting, "stay_connected", lambda address: None)
    monkeypatch.setattr("raytune_hpo.api.stored.attach", attach)

    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.post("/stop", json={})
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-running")
        assert "nothing runs it" in answer.json()["detail"]

    story.tell(talk, story.plan())


def test_a_silence_of_workers_over_http_is_not_the_pools_business(story: Story) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        await lease(client)
        await story.optimizer.exchange("crew-0", (), (), 1, ())
        for _ in range(60):
            story.optimizer._desk.attendance.pass_time(1.0)
        assert await story.optimizer._desk.end_hung(10.0, 15.0) == ["crew-0"]
        assert await has_status(client, 0, "running")

    story.tell(talk, story.plan())


# ------------------------------------------------------------------------------------------------ the line


class Actor:
    """Answers as Ray's handles do; each answer is a value, an error, or "never"."""

    def __init__(self, *answers: Any) -> None:
        self.call, self._answers, self.heard = self, list(answers), list[Any]()

    def remote(self, *said: Any) -> Any:
        self.heard.append(said)
        answer: Future[Any] = Future()
        given = self._answers.pop(0)
        if isinstance(given, Exception):
            answer.set_exception(given)
        elif given != "never":
            answer.set_result(given)
        self.future = lambda: answer
        return self


@pytest.fixture
def actors(monkeypatch: pytest.MonkeyPatch) -> list[Actor]:
    """Those that will be found, one after the other."""
    waiting: list[Actor] = []

    def find(role: str, study: str) -> Actor:
        if not waiting:
            raise ValueError("there is none")
        return waiting.pop(0)

    monkeypatch.setattr(optimizer_line, "stay_connected", lambda address: None)
    monkeypatch.setattr(optimizer_line, "find", find)
    monkeypatch.setattr(optimizer_line, "PATIENCE_S", 0.2)
    monkeypatch.setattr(optimizer_line, "AGAIN_S", 0.01)
    return waiting


def test_what_an_optimizer_answers_comes_over_the_line(actors: list[Actor]) -> None:
    busy = ActorUnavailableError("it is being restarted", None)
    refused = RayTaskError("lost", "traceback", SpecError("there is no such trial"), "name", 1, "here")
    actor = Actor("one", busy, "two", refused)
    actors.append(actor)

    async def talk() -> None:
        line = OptimizerLine("bowl", None)
        assert await line("report", 1, 2) == "one"
        assert await line("report", 1, 3) == "two"
        with pytest.raises(SpecError, match="no such trial"):
            await line("keep", 7)

    asyncio.run(talk())
    assert actor.heard == [("report", 1, 2), ("report", 1, 3), ("report", 1, 3), ("keep", 7)]


def test_an_optimizer_that_does_not_answer_blocks_nobody(actors: list[Actor]) -> None:
    actors.append(Actor("never", "again"))

    async def talk() -> None:
        line = OptimizerLine("bowl", None)
        ticking = asyncio.create_task(asyncio.sleep(0.05))
        with pytest.raises(ClusterError, match="try again"):
            await line("report")
        assert ticking.done()
        assert await line("report") == "again"

    asyncio.run(talk())


def test_another_optimizer_is_found_where_one_has_died(actors: list[Actor]) -> None:
    actors += [Actor(RayActorError()), Actor("from the next one")]

    async def talk() -> None:
        line = OptimizerLine("bowl", None)
        with pytest.raises(ClusterError, match="no optimizer of it runs"):
            await line("report")
        assert await line("report") == "from the next one"
        with pytest.raises(ClusterError, match="'other' has not ended, and no optimizer"):
            await OptimizerLine("other", None)("report")

    asyncio.run(talk())


def test_a_connection_that_ray_client_has_given_up_is_made_again(actors: list[Actor]) -> None:
    actors += [Actor(ConnectionError("disconnected")), Actor("over the next one")]

    async def talk() -> None:
        line = OptimizerLine("bowl", None)
        with pytest.raises(ClusterError, match="connection .* broke; try again"):
            await line("report")
        assert await line("report") == "over the next one"

    asyncio.run(talk())


def test_a_cluster_that_lets_nobody_in_blocks_nobody(actors: list[Actor], monkeypatch: pytest.MonkeyPatch) -> None:
    may_enter = threading.Event()
    monkeypatch.setattr(optimizer_line, "stay_connected", lambda address: may_enter.wait(20))
    actors += [Actor(), Actor("late")]  # the first is found when nobody waits for it any more

    async def talk() -> None:
        line = OptimizerLine("bowl", None)
        for _ in range(2):
            with pytest.raises(ClusterError, match="has not answered"):
                await line("report")
        may_enter.set()
        assert await line("report", wait_s=10.0) == "late"

    asyncio.run(talk())


# ------------------------------------------------------------------------------------------------ with Ray


@by_value
def measured(config: dict) -> float:
    time.sleep(0.3)
    return config["x"]


QUICK = "import sys, time; time.sleep(0.1); print(float(sys.argv[1]))"
ENDLESS = """
import sys, time
import raytune_hpo as hpo
from raytune_hpo.service.client import RemoteStudy
print(RemoteStudy(hpo.Client(sys.argv[1]), sys.argv[2], worker="dies", ttl_s=2).ask().number, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_workers_on_ray_and_over_http_share_a_study_and_one_is_killed(name: str, tmp_path: Path) -> None:
    import ray

    server = Server(tmp_path, "--address", ray.get_runtime_context().gcs_address).start()
    storage, environment = str(server.storage), server.environment()
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        started.append(subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.PIPE, text=True))
        return started[-1]

    tuner = hpo.Tuner(
        measured,
        SPACE,
        num_trials=24,
        max_concurrent=1,
        name=name,
        storage=storage,
        sampler="tpe",
        seed=3,
        progress=False,
    )
    try:
        with tuner.start() as run:
            wait_until(lambda: bool(facts_of(storage, name, Started)))
            dies = begin("-c", ENDLESS, server.url, name)
            assert dies.stdout is not None
            lost = int(dies.stdout.readline())
            shown = server.api("viewer").get(f"/studies/{name}").json()
            assert (shown["kind"], shown["http_workers"]) == ("cluster", {"dies": [lost]})
            command = [sys.executable, "-c", QUICK, "{x}"]
            quick = begin("-m", "raytune_hpo.cli", "worker", server.url, name, "--", *command)
            wait_until(lambda: run.status().counts["completed"] == 23)
            assert run.status().is_running  # as long as someone has the last one
            dies.kill()
            assert run.wait(60)
            assert quick.wait(60) == 0  # it has heard of the end
    finally:
        for process in started:
            process.kill()
            process.communicate()
        server.kill()
    assert_each_once(storage, name, 24)
    assert [fact.number for fact in facts_of(storage, name, Requeued)] == [lost]
    began = facts_of(storage, name, Started)
    assert {fact.worker.startswith("http-") for fact in began if fact.number != lost} == {True, False}
    assert not began[-1].worker.startswith("http-dies") and (began[-1].number, began[-1].attempt) == (lost, 2)
    assert audit(list(open_storage(storage).read(name))).is_clean
