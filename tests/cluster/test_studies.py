"""A study on Ray, as its user meets it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cluster_support import SPACE, assert_each_once, facts_of, slow, wait_for_line, wait_until

import raytune_hpo as hpo
from raytune_hpo import cluster as clusters
from raytune_hpo.facts import Finished, Started

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]
SETTINGS = {"sampler": "random", "progress": False}


def actors() -> list[str]:
    import ray

    return [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]


def test_fit_returns_the_results_and_leaves_nothing_behind(name: str, storage: str) -> None:
    results = hpo.tune(slow, SPACE, num_trials=10, name=name, storage=storage, **SETTINGS)
    assert len(results) == 10
    assert results.best_value == min(trial.metrics["loss"] for trial in results)
    assert not [actor for actor in actors() if name in actor]
    assert_each_once(storage, name, 10)


def test_a_journal_in_the_working_directory_of_a_job_is_warned_of(name: str, tmp_path: Path) -> None:
    job = tmp_path / "session_1/runtime_resources/working_dir_files/_ray_pkg_4d58dc20f3f81553"
    job.mkdir(parents=True)
    with pytest.warns(UserWarning, match="studies.db is in this job's working directory.* absolute path"):
        hpo.tune(lambda config: config["x"], SPACE, num_trials=1, name=name, storage=job / "studies.db", **SETTINGS)


@pytest.mark.slow
def test_two_trials_run_at_the_same_time(name: str, storage: str, tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()

    def waits_for_the_other(config: dict[str, float]) -> float:
        (meeting / str(config["x"])).touch()
        deadline = time.monotonic() + 60
        while (num_here := len(list(meeting.iterdir()))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        return num_here

    results = hpo.tune(waits_for_the_other, SPACE, num_trials=2, name=name, storage=storage, **SETTINGS)
    assert [trial.metrics["loss"] for trial in results] == [2, 2]
    assert len({trial.worker for trial in results}) == 2


def test_a_study_is_continued_and_extended(name: str, storage: str) -> None:
    for num_trials in (3, 5):
        results = hpo.tune(slow, SPACE, num_trials=num_trials, name=name, storage=storage, **SETTINGS)
        assert len(results) == num_trials
    with pytest.raises(hpo.errors.SpecMismatch, match="seed"):
        hpo.tune(slow, SPACE, num_trials=5, seed=77, name=name, storage=storage, **SETTINGS)
    assert not [actor for actor in actors() if name in actor]


def test_bad_trials_are_stopped_early(name: str) -> None:
    def learns(config):
        for step in range(1, 10):
            hpo.report(loss=config["x"], step=step)
        return config["x"]

    points = [{"x": n / 10} for n in range(10)]
    results = hpo.tune(
        learns, SPACE, num_trials=10, points_to_evaluate=points, scheduler="asha", max_concurrent=1, name=name,
        storage="memory", **SETTINGS,
    )  # fmt: skip
    statuses = [str(trial.status) for trial in results]
    assert statuses[0] == "completed" and "pruned" in statuses


@pytest.mark.slow
def test_failed_trials_carry_their_traceback(name: str) -> None:
    def half_broken(config):
        if config["x"] == 0.5:
            raise ZeroDivisionError("as asked")
        return config["x"]

    results = hpo.tune(
        half_broken, SPACE, num_trials=3, points_to_evaluate=[{"x": 0.5}], name=name, storage="memory", **SETTINGS
    )
    assert "ZeroDivisionError: as asked" in results[0].error and "half_broken" in results[0].error


def test_a_running_study_can_be_followed_fed_and_stopped(name: str) -> None:
    tuner = hpo.Tuner(slow, SPACE, num_trials=10_000, name=name, storage="memory", **SETTINGS)
    run = tuner.start()
    assert name in clusters.running()
    again = hpo.attach(name)
    again.enqueue({"x": 0.123})
    with pytest.raises(hpo.errors.SpaceError):
        again.enqueue({"x": 7})
    wait_until(lambda: any(trial.config == {"x": 0.123} for trial in run.results()))
    with pytest.raises(hpo.errors.StudyExists, match="attach"):
        tuner.fit()
    again.stop("seen enough")
    assert run.wait(timeout_s=150)
    assert run.status().stopped == "seen enough"


@pytest.mark.slow
def test_a_study_that_nobody_knows_is_named_with_its_nearest_neighbour(name: str) -> None:
    run = hpo.Tuner(slow, SPACE, num_trials=10_000, name=name, storage="memory", **SETTINGS).start()
    with pytest.raises(hpo.errors.StudyNotFound, match=name):
        hpo.attach(name[:-1])
    run.stop()
    assert run.wait(timeout_s=150)


@pytest.mark.slow
def test_a_detached_study_goes_when_it_is_done_and_its_results_stay(name: str, storage: str) -> None:
    run = hpo.Tuner(slow, SPACE, num_trials=4, name=name, storage=storage, **SETTINGS).start()
    assert run.wait(timeout_s=150)
    wait_until(lambda: not [actor for actor in actors() if name in actor])
    assert run.wait() and run.status().num_finished == 4
    assert len(run.results()) == 4
    stored = clusters.remote_storage(storage)
    assert name in [row.name for row in stored.studies()]
    assert len(stored.trial_facts(name, 0)) == 2
    stored.delete(name)
    with pytest.raises(hpo.errors.StudyNotFound):
        stored.read(name)
    stored.close()
    run.close()


@pytest.mark.slow
def test_a_time_budget_ends_a_study_whose_trials_hang(name: str) -> None:
    def hangs(config):
        time.sleep(600)

    results = hpo.tune(hangs, SPACE, time_budget_s=5.0, name=name, storage="memory", **SETTINGS)
    assert {str(trial.status) for trial in results} == {"waiting"}


@pytest.mark.slow
def test_parameters_travel_once_and_are_shared(name: str) -> None:
    data = np.arange(300_000.0)

    def uses(config, data, word):
        return {"loss": config["x"], "sum": float(data.sum()), "word": word, "shared": not data.flags.owndata}

    import ray

    objective = hpo.with_parameters(uses, data=data, word=ray.put("hello"))
    results = hpo.tune(objective, SPACE, num_trials=3, name=name, storage="memory", **SETTINGS)
    assert {trial.metrics["sum"] for trial in results} == {float(data.sum())}
    assert {trial.metrics["word"] for trial in results} == {"hello"}
    assert {trial.metrics["shared"] for trial in results} == {True}


def test_a_parameter_given_by_reference_is_the_object_in_threads_too(name: str) -> None:
    import ray

    objective = hpo.with_parameters(lambda config, data, factor: data[0] * factor, data=ray.put([21.0]), factor=2.0)
    results = hpo.tune(objective, SPACE, num_trials=2, runtime="local", name=name, storage="memory", **SETTINGS)
    assert [trial.metrics for trial in results] == [{"loss": 42.0}] * 2


@pytest.mark.slow
def test_big_objectives_and_big_spaces_survive_restarts(name: str) -> None:
    from cluster_support import kill

    ballast = os.urandom(300_000)
    space = {**SPACE, "word": hpo.choice([f"{'long' * 30}{n}" for n in range(2000)])}

    def heavy(config):
        time.sleep(0.05)
        return config["x"] + len(ballast)

    run = hpo.Tuner(heavy, space, num_trials=40, name=name, storage="memory", **SETTINGS).start()
    wait_until(lambda: run.status().num_finished >= 3)
    kill("pool", name)
    assert run.wait(timeout_s=150)
    assert len(run.results()) == 40 and run.results().best_value > 300_000


@pytest.mark.slow
def test_when_the_holder_is_lost_the_study_says_what_to_do(name: str) -> None:
    import ray
    from cluster_support import kill

    from raytune_hpo.cluster.shells import find

    ballast = os.urandom(300_000)

    def heavy(config):
        time.sleep(0.05)
        return config["x"] + len(ballast)

    run = hpo.Tuner(heavy, SPACE, num_trials=10_000, name=name, storage="memory", **SETTINGS).start()
    wait_until(lambda: run.status().num_finished >= 3)
    ray.kill(find("holder", name))
    kill("pool", name)
    with pytest.raises(hpo.errors.ClusterError, match="run the study again"):
        run.wait(timeout_s=150)


def test_what_cannot_be_sent_is_refused_at_the_door_by_name(name: str) -> None:
    lock = threading.Lock()

    def locked(config):
        with lock:
            return config["x"]

    with pytest.raises(hpo.errors.SpecError, match="'lock'"):
        hpo.tune(locked, SPACE, num_trials=1, name=name, storage="memory", **SETTINGS)
    with pytest.raises(hpo.errors.SpecError, match="'guard'"):
        objective = hpo.with_parameters(lambda config, guard: 0.0, guard=lock)
        hpo.tune(objective, SPACE, num_trials=1, name=name, storage="memory", **SETTINGS)
    assert not [actor for actor in actors() if name in actor]


@pytest.mark.slow
def test_an_objective_that_workers_cannot_import_stops_the_study(name: str, tmp_path, monkeypatch) -> None:
    (tmp_path / "only_here_hpo.py").write_text("def objective(config):\n    return config['x']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here_hpo

    with pytest.raises(hpo.errors.ClusterError, match="only_here_hpo"):
        hpo.tune(only_here_hpo.objective, SPACE, num_trials=1, name=name, storage="memory", **SETTINGS)


@pytest.mark.slow
def test_tiny_trials_come_and_go_many_at_a_time(name: str, storage: str) -> None:
    """Which is why there are thousands a second; benchmarks/throughput.py counts them."""

    def tiny(config):
        return math.sin(config["x"])

    hpo.tune(tiny, SPACE, num_trials=10_000, name=name, storage=storage, **SETTINGS)
    assert_each_once(storage, name, 10_000)
    for kind in (Started, Finished):
        assert len({fact.at for fact in facts_of(storage, name, kind)}) < 1000


INTERRUPTED = """
import sys, time
import ray
import raytune_hpo as hpo

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")

def hangs(config):
    time.sleep(600)

print("ready", flush=True)
results = hpo.tune(hangs, {"x": hpo.uniform(0.0, 1.0)}, num_trials=9, sampler="random", name=sys.argv[2],
                   storage=sys.argv[3], progress=False)
print(len(results), flush=True)
"""


def test_ctrl_c_returns_what_there_is_and_waits_for_no_trial(name: str, storage: str) -> None:
    import ray

    command = [sys.executable, "-c", INTERRUPTED, ray.get_runtime_context().gcs_address, name, storage]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    wait_for_line(process.stdout, "ready")
    wait_until(lambda: name in clusters.running() and hpo.attach(name).status().num_trials == 2)
    process.send_signal(signal.SIGINT)
    wait_for_line(process.stdout, "2")
    assert process.wait(timeout=150) == 0
    assert not [actor for actor in actors() if name in actor]
