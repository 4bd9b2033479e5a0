"""On Ray, too, trials pause and go on, and a crash costs no more than the steps since the last checkpoint."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from cluster_support import SPACE, by_value, facts_of, kill, wait_until

import raytune_hpo as hpo
from raytune_hpo.core.audit import audit
from raytune_hpo.facts import Released, Requeued, Saved, Started
from raytune_hpo.journal import open_storage

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]
PROMOTING = {"name": "asha", "promote": True, "max_steps": 9}


def training(log: Path, steps: int, pause_s: float, every: int = 1):
    """An objective that notes each step with its process, and offers a checkpoint after every few."""

    @by_value
    def objective(config):
        import os as system
        import time as clock

        import raytune_hpo as library

        saved = library.checkpoint()
        done = 0 if saved is None else int((saved.path / "step").read_text())
        for step in range(done + 1, steps + 1):
            clock.sleep(pause_s)
            with open(log, "a") as file:
                file.write(f"{config['x']:.9f} {step} {system.getpid()}\n")
            offered = None if step % every else lambda folder, step=step: (folder / "step").write_text(str(step))
            library.report(loss=config["x"] + 1 / step, step=step, save=offered)
        return config["x"] + 1 / steps

    return objective


def noted(log: Path) -> list[tuple[str, int, int]]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [(x, int(step), int(process)) for x, step, process in (line.split() for line in lines)]


@pytest.mark.parametrize("isolation", ["actor", pytest.param("process", marks=pytest.mark.slow)])
def test_trials_pause_and_go_on_in_other_workers(isolation: str, name: str, storage: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = hpo.tune(
        training(log, 9, 0.0), SPACE, num_trials=9, sampler="random", seed=1, scheduler=PROMOTING, isolation=isolation,
        max_concurrent=2, name=name, storage=storage, progress=False,
    )  # fmt: skip
    assert results.num_by_status["completed"] >= 1 and results.num_by_status["failed"] == 0
    assert results.num_by_status["paused"] + results.num_by_status["completed"] == 9
    made = Counter((x, step) for x, step, _ in noted(log))
    assert set(made.values()) == {1}, "no step was made twice"
    assert (results.best_trial.checkpoint.path / "step").read_text() == "9"
    kept = {Path(t.checkpoint.record["url"]).name for t in results if t.checkpoint}
    assert {p.name for p in Path(f"{storage}.checkpoints", name).iterdir()} == kept
    assert audit(open_storage(storage).read(name)).is_clean


@pytest.mark.slow
def test_a_killed_worker_costs_the_steps_since_the_last_checkpoint(name: str, storage: str, tmp_path: Path) -> None:
    log, chance = tmp_path / "log", random.Random(3)
    run = hpo.Tuner(
        training(log, 60, 0.02, every=10), SPACE, num_trials=1, sampler="random", max_retries=1, name=name,
        storage=storage, checkpoint_every_s=1e-9,
    ).start()  # fmt: skip
    kills = 0
    for _ in range(3):
        seen = len(noted(log)) + chance.randrange(11, 16)
        wait_until(lambda seen=seen: len(noted(log)) >= seen or not run.status().is_running)
        if not run.status().is_running:
            break
        os.kill(noted(log)[-1][2], signal.SIGKILL)
        kills += 1
    assert run.wait(timeout_s=120)
    (trial,) = run.results()
    run.close()
    assert trial.status == "completed" and [r.step for r in trial.reports] == list(range(1, 61))
    steps = [step for _, step, _ in noted(log)]
    assert kills >= 2 and len(steps) - 60 <= 10 * kills
    starts = facts_of(storage, name, Started)
    assert all(fact.from_step and fact.from_step % 10 == 0 for fact in starts[1:])
    assert len(list(Path(f"{storage}.checkpoints", name).iterdir())) == 1


@pytest.mark.slow
def test_a_stopped_study_goes_on_where_its_trial_stood(name: str, storage: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    tuner = hpo.Tuner(
        training(log, 100_000, 0.02), SPACE, num_trials=1, sampler="random", name=name, storage=storage, progress=False
    )
    for seen in (10, 20):
        with tuner.start() as run:
            wait_until(lambda seen=seen: len(noted(log)) >= seen)
            run.stop()
    first, second = facts_of(storage, name, Saved)
    assert 10 <= first.step < second.step
    assert [fact.from_step for fact in facts_of(storage, name, Started)] == [None, first.step]
    assert audit(open_storage(storage).read(name)).is_clean


@pytest.mark.slow
def test_a_lost_optimizer_knows_the_checkpoints(name: str, storage: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = hpo.Tuner(
        training(log, 9, 0.05), SPACE, num_trials=6, sampler="random", scheduler=PROMOTING, name=name, storage=storage
    ).start()
    wait_until(lambda: len(facts_of(storage, name, Saved)) >= 3)
    kill("optimizer", name)
    assert run.wait(timeout_s=120)
    results = run.results()
    run.close()
    assert results.num_by_status["completed"] >= 1 and results.num_by_status["failed"] == 0
    kept = {Path(t.checkpoint.record["url"]).name for t in results if t.checkpoint}
    assert {p.name for p in Path(f"{storage}.checkpoints", name).iterdir()} >= kept
    assert audit(open_storage(storage).read(name)).is_clean


TWO_NODES = """
import os, sys, time
os.environ["RAY_enable_metrics_collection"] = "0"
import ray
from ray.cluster_utils import Cluster
import raytune_hpo as hpo
from raytune_hpo.facts import Saved
from raytune_hpo.journal import open_storage

storage, name = sys.argv[1:]

def objective(config):
    import pathlib
    import ray
    import raytune_hpo as hpo
    saved = hpo.checkpoint()
    done = 0 if saved is None else int((saved.path / "step").read_text())
    for step in range(done + 1, 10):
        time.sleep(0.05)
        def save(folder, step=step):
            (folder / "step").write_text(str(step))
            (folder / "node").write_text(ray.get_runtime_context().get_node_id())
        hpo.report(loss=config["x"] + 1 / step, step=step, save=save)
    return config["x"]

cluster = Cluster()
head = cluster.add_node(num_cpus=0, include_dashboard=False, object_store_memory=100_000_000)
ray.init(address=cluster.address, log_to_driver=False)
nodes = [cluster.add_node(num_cpus=1, object_store_memory=100_000_000) for _ in range(2)]
cluster.wait_for_nodes()
settings = dict(sampler="random", seed=1, scheduler={"name": "asha", "promote": True, "max_steps": 9, "eta": 2}, name=name,
                storage=storage, num_trials=12)
run = hpo.Tuner(objective, {"x": hpo.uniform(0, 1)}, **settings).start()
while len([f for f in open_storage(storage).read(name) if isinstance(f, Saved)]) < 6:
    time.sleep(0.1)
cluster.remove_node(nodes[0], allow_graceful=False)
assert run.wait(timeout_s=150)
print(run.results().num_by_status)
run.close()
ray.shutdown()
cluster.shutdown()
print("done")
"""


@pytest.mark.slow
def test_the_checkpoints_of_a_node_are_read_from_others_and_when_it_is_lost_nothing_else_is(
    name: str, storage: str
) -> None:
    process = subprocess.run(
        [sys.executable, "-c", TWO_NODES, storage, name],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert process.stdout.endswith("done\n"), process.stderr
    results = hpo.load(name, storage=storage)
    assert results.num_by_status["failed"] == 0 and results.num_by_status["completed"] >= 1
    assert not any(fact.spent for fact in facts_of(storage, name, Requeued))
    assert audit(open_storage(storage).read(name)).is_clean


@pytest.mark.slow
def test_pausing_ends_though_nobody_is_left_to_wake_the_workers(name: str, storage: str) -> None:
    results = hpo.tune(
        training(Path(storage + ".log"), 9, 0.0), SPACE, num_trials=3, sampler="tpe", scheduler=PROMOTING,
        max_concurrent=2, name=name, storage=storage, progress=False,
    )  # fmt: skip
    assert results.num_by_status["completed"] == 1
    assert all(fact.reason == "no longer needed" for fact in facts_of(storage, name, Released))
