"""Who may have a study's name: starts that were broken off, studies that have just ended, names within names."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from cluster_support import SPACE, assert_each_once, slow, wait_until

import raytune_hpo as hpo
from raytune_hpo.cluster import launching
from raytune_hpo.cluster.shells import HOLDER, OPTIMIZER, POOL, exists

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]
SETTINGS = {"sampler": "random", "progress": False}
ROLES = (HOLDER, OPTIMIZER, POOL)

BROKEN_OFF = """
import os, signal, sys
import numpy as np
import ray
import raytune_hpo as hpo
from raytune_hpo.cluster import launching
from raytune_hpo.cluster.shells import get

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
launching.ORPHAN_S = launching.ORPHAN_HOLDER_S = float(sys.argv[4])

def die(launch, *args):
    for role, actor in launch._actors.items():  # they live
        get(actor.call.remote("opened" if role == "optimizer" else "refs"))
    os.kill(os.getpid(), signal.SIGKILL)

setattr(launching._Launch, "_pool" if sys.argv[5] == "pool" else "_optimizer", die)

def slow(config, data):
    return config["x"]

objective = hpo.with_parameters(slow, data=np.zeros(100_000))
hpo.Tuner(objective, {"x": hpo.uniform(0.0, 1.0)}, num_trials=4, sampler="random", name=sys.argv[2],
          storage=sys.argv[3]).start()
"""


def break_off(name: str, storage: str, *, before: str, orphan_s: float) -> None:
    """A driver that is killed before it creates an actor."""
    import ray

    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-c", BROKEN_OFF, address, name, storage, str(orphan_s), before]
    assert subprocess.run(command, timeout=120, check=False).returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_start_that_was_broken_off_leaves_a_name_that_can_be_used(name: str, storage: str) -> None:
    def adds(config, data):
        return config["x"] + data.sum()

    break_off(name, storage, before="pool", orphan_s=600.0)
    assert exists(OPTIMIZER, name) and exists(HOLDER, name)
    objective = hpo.with_parameters(adds, data=np.zeros(100_000))
    run = hpo.Tuner(objective, SPACE, num_trials=4, name=name, storage=storage, **SETTINGS).start()
    assert run.wait(timeout_s=150)
    assert_each_once(storage, name, 4)


@pytest.mark.slow
def test_the_actors_of_a_start_that_was_broken_off_end_by_themselves(name: str, storage: str) -> None:
    break_off(name, storage, before="pool", orphan_s=1.0)
    wait_until(lambda: not any(exists(role, name) for role in ROLES))


@pytest.mark.slow
def test_a_holder_whose_driver_was_killed_ends_by_itself(name: str, storage: str) -> None:
    break_off(name, storage, before="optimizer", orphan_s=1.0)
    wait_until(lambda: not exists(HOLDER, name))


@pytest.mark.slow
def test_a_pool_that_lost_its_optimizer_does_not_keep_the_name(
    name: str, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from raytune_hpo.cluster.shells import find

    monkeypatch.setattr(launching, "LAUNCH_S", 2.0)
    hpo.Tuner(slow, SPACE, num_trials=400, name=name, storage=storage, **SETTINGS).start()
    ray.kill(find(OPTIMIZER, name))
    wait_until(lambda: not exists(OPTIMIZER, name))
    results = hpo.tune(slow, SPACE, num_trials=4, name=name, storage=storage, **SETTINGS)
    assert results.num_by_status["completed"] >= 4


@pytest.mark.slow
def test_a_study_that_has_ended_gives_up_its_name_at_once(name: str, storage: str) -> None:
    for num_trials in (2, 4):
        run = hpo.Tuner(slow, SPACE, num_trials=num_trials, name=name, storage=storage, **SETTINGS).start()
        assert run.wait(timeout_s=150)
    results = hpo.tune(slow, SPACE, num_trials=6, name=name, storage=storage, **SETTINGS)
    assert len(results) == 6
    assert_each_once(storage, name, 6)


@pytest.mark.slow
def test_a_study_that_could_not_go_on_gives_up_its_name_at_once(name: str) -> None:
    class Fails:
        def __reduce__(self):
            return (eval, ("1 / 0",))

    fails = Fails()
    run = hpo.Tuner(lambda config: fails, SPACE, num_trials=2, name=name, storage="memory", **SETTINGS).start()
    with pytest.raises(hpo.errors.ClusterError):
        run.wait(timeout_s=150)
    assert len(hpo.tune(slow, SPACE, num_trials=2, name=name, storage="memory", **SETTINGS)) == 2


def test_a_study_that_runs_keeps_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "LAUNCH_S", 3600.0)  # which is not waited for
    run = hpo.Tuner(slow, SPACE, num_trials=10_000, name=name, storage="memory", **SETTINGS).start()
    for again in (hpo.Tuner(slow, SPACE, num_trials=1, name=name, storage="memory", **SETTINGS),) * 2:
        with pytest.raises(hpo.errors.StudyExists, match="attach"):
            again.start()
    assert run.status().is_running
    run.stop()
    assert run.wait(timeout_s=150)


@pytest.mark.slow
def test_a_study_does_not_take_the_groups_of_one_whose_name_begins_with_its_own(name: str, storage: str) -> None:
    def long(config):
        time.sleep(1.5)
        return config["x"]

    bundles = [{"cpu": 0.5}, {"cpu": 0.5}]
    other = hpo.Tuner(
        long, SPACE, num_trials=2, resources=bundles, max_concurrent=1, max_retries=0, name=f"{name}:b",
        storage=storage, **SETTINGS,
    ).start()  # fmt: skip
    wait_until(lambda: other.status().num_trials > 0)
    for num_trials in (1, 2):
        hpo.tune(slow, SPACE, num_trials=num_trials, name=name, storage=storage, **SETTINGS)
    assert other.wait(timeout_s=150)
    assert_each_once(storage, f"{name}:b", 2)


@pytest.mark.slow
def test_processes_say_what_they_are_and_workers_for_which_study(name: str) -> None:
    def long(config):
        time.sleep(60)

    run = hpo.Tuner(long, SPACE, num_trials=1, name=name, storage="memory", **SETTINGS).start()
    wait_until(lambda: run.status().num_trials > 0)

    def titles() -> set[str]:
        found = set()
        for process in [p for child in psutil.Process().children() for p in child.children(recursive=True)]:
            try:
                found |= set(process.cmdline()[:1])
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                pass
        return found

    for role in ("Optimizer", "Pool", "Worker"):
        wait_until(lambda role=role: f"ray::{role}:{name}" in titles())
    run.stop()
