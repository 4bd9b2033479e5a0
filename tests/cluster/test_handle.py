"""A study as its driver holds it, when the cluster dies under it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest
import ray
from cluster_support import SPACE
from ray.exceptions import ActorDiedError

import raytune_hpo as hpo
from raytune_hpo.cluster import handle, launching, pool, shells
from raytune_hpo.cluster.handle import ClusterHandle

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def bereft(name: str, storage: str, monkeypatch: pytest.MonkeyPatch, node: str | None = None) -> ClusterHandle:
    """The handle of a study whose optimizer is gone, and whose cluster starts no actor any more."""

    def gone(*_: object) -> None:
        raise ActorDiedError

    def unable(storage: object) -> None:
        raise AssertionError("an actor that reads the storage would never be placed")

    monkeypatch.setattr(handle, "answer_of", gone)
    monkeypatch.setattr(handle, "get", gone)
    monkeypatch.setattr(handle, "open_remote", unable)
    optimizer = SimpleNamespace(call=SimpleNamespace(remote=lambda *_: None))
    return ClusterHandle(name, optimizer, storage, node or ray.get_runtime_context().get_node_id())


def test_a_study_that_had_ended_is_read_from_its_file(name: str, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hpo.tune(lambda c: c["x"], SPACE, num_trials=3, runtime="local", name=name, storage=storage, progress=False)
    study = bereft(name, storage, monkeypatch)
    assert study.wait() and study.status().num_finished == 3
    assert len(list(study.facts())) > 3
    study.stop("once more")
    for command in (lambda: study.enqueue({"x": 0.5}), lambda: study.stop_trial(0)):
        with pytest.raises(hpo.errors.ClusterError, match="has ended .num_trials.*larger num_trials"):
            command()


def test_a_study_that_ran_says_that_it_is_safe(name: str, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hpo.Study(SPACE, sampler="random", num_trials=3, name=name, storage=storage)
    asked.ask()
    study = bereft(name, storage, monkeypatch)
    for ask in (study.wait, study.snapshot, study.status, lambda: study.stop("enough"), lambda: study.stop_trial(0)):
        with pytest.raises(hpo.errors.ClusterError, match="what was recorded is safe, run the study again"):
            ask()


LEAVES = """
import ray
import raytune_hpo as hpo

run = hpo.Tuner(lambda config: config["x"], {"x": hpo.uniform(0.0, 1.0)}, num_trials=2, sampler="random").start()
run.wait()
for comes_back in (False, True):
    ray.shutdown()
    if comes_back:
        hpo.connect("local")
    for ask in (run.status, run.snapshot, run.results, run.wait, run.stop, lambda: run.enqueue({"x": 0.5})):
        try:
            ask()
        except hpo.errors.ClusterError as error:
            assert "has left the cluster" in str(error), error
        else:
            raise AssertionError(ask)
    assert "has left the cluster" in repr(run)
    run.close()
    assert ray.is_initialized() == comes_back
print("done")
"""


@pytest.mark.slow
def test_whoever_has_left_the_cluster_is_told_so_and_starts_no_other() -> None:
    process = subprocess.run([sys.executable, "-c", LEAVES], capture_output=True, text=True, timeout=240, check=False)
    assert process.stdout == "done\n", process.stderr


LEAVES_MEANWHILE = """
import threading
import time
import ray
import raytune_hpo as hpo

hpo.connect("local")

def leave(fact):
    if type(fact).__name__ == "Started":
        threading.Timer(1.0, ray.shutdown).start()

try:
    hpo.tune(lambda config: time.sleep(60), {"x": hpo.uniform(0.0, 1.0)}, num_trials=2, max_concurrent=1,
             callbacks=[leave], progress=False, storage="memory")
except hpo.errors.ClusterError as error:
    print(error)
assert not ray.is_initialized()
"""


@pytest.mark.slow
def test_who_waits_in_fit_is_told_that_another_thread_has_left_the_cluster() -> None:
    """Ray itself answers with sys.exit(0): the program ended without a word."""
    process = subprocess.run(
        [sys.executable, "-c", LEAVES_MEANWHILE], capture_output=True, text=True, timeout=240, check=False
    )
    assert process.stdout == (
        "this process has left the cluster; the study has ended with that, and the same call continues it\n"
    ), process.stderr


def test_an_exit_of_the_users_own_is_no_loss_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = iter([3, 0])

    def exits(*_: object, **__: object) -> None:
        raise SystemExit(next(codes))

    monkeypatch.setattr(ray, "get", exits)
    for _ in range(2):  # a handler of a signal runs inside the call
        with pytest.raises(SystemExit):
            shells.get(None)


def test_without_a_cluster_nothing_is_asked_and_no_other_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    for ask in (
        lambda: shells.get(None),
        lambda: shells.find(shells.OPTIMIZER, "s"),
        lambda: shells.hire(shells.READER, "raytune_hpo.cluster.remote:StorageReader", b""),
    ):
        with pytest.raises(hpo.errors.ClusterError, match="has left the cluster"):
            ask()


def test_a_start_in_another_cluster_than_the_one_it_began_in_is_refused(
    name: str, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clusters = iter(["this one", "another", "another"])
    abandoned = []
    monkeypatch.setattr(launching, "connection", lambda: next(clusters))
    monkeypatch.setattr(launching._Launch, "__call__", lambda launch: None)
    monkeypatch.setattr(launching._Launch, "abandon", lambda launch: abandoned.append(launch))
    with pytest.raises(hpo.errors.ClusterError, match=f"while study '{name}' was being started"):
        hpo.Tuner(lambda c: c["x"], SPACE, num_trials=1, name=name, storage=storage).start()
    assert abandoned


def test_a_pool_whose_process_has_left_the_cluster_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would start another cluster for the question."""
    monkeypatch.setattr(pool, "find", lambda role, study: None)
    monkeypatch.setattr(pool, "connection", lambda: "this one")
    workers = pool.WorkerPool(SimpleNamespace(study="s"), has_process=False)
    monkeypatch.setattr(pool, "connection", lambda: None)
    with pytest.raises(hpo.errors.ClusterError, match="has left the cluster"):
        asyncio.run(workers._tell("pulse", 0.0))


def test_a_file_of_another_node_is_not_looked_for_here(
    name: str, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = bereft(name, storage, monkeypatch, node="another")
    with pytest.raises(AssertionError, match="reads the storage"):
        study.status()


def test_nobody_waits_for_an_answer_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "ANSWER_S", 0.2)
    unplaceable = ray.remote(lambda: 1).options(resources={"gold": 1}).remote()
    with pytest.raises(hpo.errors.ClusterError, match="not answered.*run the study again"):
        shells.answer_of(unplaceable)
    ray.cancel(unplaceable)
