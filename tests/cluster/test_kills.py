"""Whatever dies, every trial is completed once and no acknowledged result is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_support import SPACE, assert_each_once, facts_of, kill, slow, wait_for_line, wait_until

import raytune_hpo as hpo
from raytune_hpo.facts import Finished, Requeued, Started

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def test_a_worker_that_dies_alone_with_its_trial_spends_a_retry(name: str, storage: str, tmp_path: Path) -> None:
    flag = str(tmp_path / "died")

    def dies_once(config):
        if not os.path.exists(flag):
            open(flag, "w").close()
            os._exit(7)
        return config["x"]

    results = hpo.tune(dies_once, SPACE, num_trials=4, sampler="random", name=name, storage=storage, progress=False)
    assert_each_once(storage, name, 4)
    [requeued] = facts_of(storage, name, Requeued)
    assert requeued.spent and "exited" in requeued.reason
    assert max(trial.attempt for trial in results) == 2


@pytest.mark.slow
def test_a_trial_that_always_kills_its_worker_fails_and_says_why(name: str, storage: str) -> None:
    def poison(config):
        if config["x"] == 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        return config["x"]

    points = [{"x": 0.5}, {"x": 0.25}]
    results = hpo.tune(
        poison, SPACE, num_trials=4, sampler="random", points_to_evaluate=points, max_retries=1, name=name,
        storage=storage, progress=False,
    )  # fmt: skip
    assert [str(trial.status) for trial in results] == ["failed", "completed", "completed", "completed"]
    assert "2 times" in results[0].error and "died" in results[0].error


@pytest.mark.slow
def test_the_innocent_trials_of_a_lost_lease_spend_nothing(name: str, storage: str, tmp_path: Path) -> None:
    flag = str(tmp_path / "died")

    calls = []

    def dies_later(config):
        calls.append(config)
        if len(calls) == 1000 and not os.path.exists(flag):
            open(flag, "w").close()
            os._exit(7)
        return config["x"]

    hpo.tune(dies_later, SPACE, num_trials=3000, sampler="random", name=name, storage=storage, seed=1, progress=False)
    assert_each_once(storage, name, 3000)
    requeued = facts_of(storage, name, Requeued)
    assert len(requeued) > 20
    assert not any(fact.spent for fact in requeued)


@pytest.mark.slow
def test_a_lost_pool_comes_back_with_a_new_crew(name: str, storage: str) -> None:
    run = hpo.Tuner(slow, SPACE, num_trials=40, sampler="random", name=name, storage=storage).start()
    wait_until(lambda: run.status().num_finished >= 5)
    kill("pool", name)
    assert run.wait(timeout_s=150)
    assert_each_once(storage, name, 40)
    crews = {fact.worker[:8] for fact in facts_of(storage, name, Started)}
    assert len(crews) == 2


def test_a_lost_optimizer_replays_its_journal_and_the_study_is_as_if_nothing_had_happened(
    name: str, storage: str
) -> None:
    settings = dict(num_trials=12, sampler="tpe", seed=3, max_concurrent=1, storage=storage)
    run = hpo.Tuner(slow, SPACE, name=name, **settings).start()
    wait_until(lambda: run.status().num_finished >= 4)
    kill("optimizer", name)
    assert run.wait(timeout_s=150)
    assert_each_once(storage, name, 12)
    undisturbed = hpo.tune(slow, SPACE, name=f"{name}-calm", progress=False, **settings)
    assert [trial.config for trial in run.results()] == [trial.config for trial in undisturbed]


@pytest.mark.slow
def test_a_study_in_memory_says_so_when_its_optimizer_is_lost(name: str) -> None:
    run = hpo.Tuner(slow, SPACE, num_trials=100, sampler="random", name=name, storage="memory").start()
    wait_until(lambda: run.status().num_finished >= 2)
    kill("optimizer", name)
    with pytest.raises(hpo.errors.ClusterError, match=f"{name}.*was kept in memory, and is gone with its optimizer"):
        run.wait(timeout_s=150)


DRIVER = """
import sys, time
import ray
import raytune_hpo as hpo

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")

def slow(config):
    time.sleep(0.1)
    return config["x"]

tuner = hpo.Tuner(slow, {"x": hpo.uniform(0.0, 1.0)}, num_trials=40, sampler="random", name=sys.argv[2],
                  storage=sys.argv[3], seed=0, progress=False)
print("ready", flush=True)
getattr(tuner, sys.argv[4])()
print("started", flush=True)
time.sleep(60)
"""


def driver(name: str, storage: str, verb: str) -> subprocess.Popen[str]:
    import ray

    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-c", DRIVER, address, name, storage, verb]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    wait_for_line(process.stdout, "ready")
    return process


def test_a_killed_driver_of_fit_takes_its_study_down_and_the_next_call_continues(name: str, storage: str) -> None:
    from raytune_hpo import cluster

    process = driver(name, storage, "fit")
    wait_until(lambda: len(facts_of(storage, name, Finished)) >= 5)
    process.kill()
    process.wait()
    wait_until(lambda: name not in cluster.running())
    before = len(facts_of(storage, name, Finished))
    results = hpo.tune(slow, SPACE, num_trials=40, sampler="random", name=name, storage=storage, progress=False)
    assert 5 <= before < 40
    assert len(results) == 40
    assert_each_once(storage, name, 40)


def test_a_started_study_outlives_its_driver_and_is_found_again(name: str, storage: str) -> None:
    process = driver(name, storage, "start")
    assert process.stdout is not None
    wait_for_line(process.stdout, "started")
    process.kill()
    process.wait()
    kill("pool", name)  # its restart needs nothing of the driver
    run = hpo.attach(name)
    assert run.wait(timeout_s=150)
    assert len(run.results()) == 40
    assert_each_once(storage, name, 40)


TWO_NODES = """
import sys, time, uuid
import ray
from ray.cluster_utils import Cluster
import raytune_hpo as hpo

impatient = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0}
nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False,
                "object_store_memory": 100_000_000, "_system_config": impatient})
ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")

def slow(config):
    time.sleep(0.2)
    return config["x"]

tuner = hpo.Tuner(slow, {"x": hpo.uniform(0.0, 1.0)}, num_trials=60, sampler="random", name=sys.argv[1],
                  storage=sys.argv[2], progress=False)
run = tuner.start()
while not run.results():
    time.sleep(0.1)
other = nodes.add_node(num_cpus=1, object_store_memory=100_000_000)
while len({trial.worker for trial in run.results()}) < 2:
    time.sleep(0.1)
nodes.remove_node(other, allow_graceful=False)
assert run.wait(timeout_s=150)
run.close()
ray.shutdown()
nodes.shutdown()
print("done")
"""


@pytest.mark.slow
def test_a_new_node_is_used_and_when_it_is_lost_its_trials_run_elsewhere_without_blame(name: str, storage: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", TWO_NODES, name, storage], capture_output=True, text=True, timeout=120, check=False
    )
    assert process.stdout.endswith("done\n"), process.stderr
    assert_each_once(storage, name, 60)
    requeued = facts_of(storage, name, Requeued)
    assert [(fact.reason, fact.spent) for fact in requeued] == [("its node was lost", False)]
