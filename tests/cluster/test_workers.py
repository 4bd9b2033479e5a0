"""What a trial's process has and lacks: resources, threads, time, and a fresh start."""

from __future__ import annotations

import atexit
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster_support import SPACE, assert_each_once, facts_of, wait_until

import raytune_hpo as hpo
from raytune_hpo.cluster import pool
from raytune_hpo.facts import Printed, Requeued

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]
SETTINGS = {"sampler": "random", "progress": False}


@pytest.mark.slow
def test_workers_are_used_again(name: str) -> None:
    def pid(config):
        return {"loss": config["x"], "pid": os.getpid()}

    results = hpo.tune(pid, SPACE, num_trials=30, name=name, storage="memory", **SETTINGS)
    assert len({trial.metrics["pid"] for trial in results}) <= 3


@pytest.mark.slow
def test_isolation_process_gives_each_trial_a_process_of_its_own(name: str) -> None:
    def pid(config):
        return {"loss": config["x"], "pid": os.getpid()}

    results = hpo.tune(pid, SPACE, num_trials=4, isolation="process", name=name, storage="memory", **SETTINGS)
    assert len({trial.metrics["pid"] for trial in results}) == 4


def leaves_traces(folder: Path, handler_s: float) -> Callable[[dict], float]:
    """An objective whose process leaves a file when it begins, another in an exit handler, and one in a destructor."""

    def trace(kind: str) -> None:
        (folder / f"{kind}-{os.getpid()}").touch()

    def say_goodbye() -> None:
        time.sleep(handler_s)
        trace("handler")

    class Objective:
        def __call__(self, config):
            if not (folder / f"begin-{os.getpid()}").exists():
                trace("begin")
                atexit.register(say_goodbye)
            return config["x"]

        def __del__(self):
            if (folder / f"begin-{os.getpid()}").exists():  # in a worker that has run a trial
                trace("destructor")

    return Objective()


def pids_of(kind: str, folder: Path) -> set[int]:
    return {int(path.name.rpartition("-")[2]) for path in folder.glob(f"{kind}-*")}


@pytest.mark.parametrize("isolation", ["actor", "process"])
def test_exit_handlers_and_destructors_run_in_a_worker_that_is_needed_no_more(
    name: str, tmp_path: Path, isolation: str
) -> None:
    objective = leaves_traces(tmp_path, handler_s=0.0)
    hpo.tune(objective, SPACE, num_trials=2, isolation=isolation, name=name, storage="memory", **SETTINGS)
    wait_until(lambda: pids_of("handler", tmp_path) == pids_of("destructor", tmp_path) == pids_of("begin", tmp_path))


def test_a_worker_whose_exit_handler_hangs_is_killed_and_nobody_waits_for_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "LEAVE_S", 0.5)
    objective = leaves_traces(tmp_path, handler_s=600.0)
    hpo.tune(objective, SPACE, num_trials=2, name=name, storage="memory", **SETTINGS)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids_of("begin", tmp_path)))
    assert pids_of("begin", tmp_path) and not pids_of("handler", tmp_path)


@pytest.mark.slow
def test_numeric_libraries_keep_to_the_trials_cpus(name: str) -> None:
    def threads(config):
        return {"loss": config["x"], "omp": os.environ["OMP_NUM_THREADS"], "blas": os.environ["OPENBLAS_NUM_THREADS"]}

    [trial] = hpo.tune(threads, SPACE, num_trials=1, resources={"cpu": 2}, name=name, storage="memory", **SETTINGS)
    assert (trial.metrics["omp"], trial.metrics["blas"]) == ("2", "2")


@pytest.mark.slow
def test_custom_resources_limit_how_many_run_at_once(name: str) -> None:
    def alone(config):
        begin = time.time()
        time.sleep(0.1)
        return {"loss": config["x"], "begin": begin, "end": time.time()}

    needs = {"cpu": 0.5, "lamp": 2}
    results = hpo.tune(alone, SPACE, num_trials=5, resources=needs, name=name, storage="memory", **SETTINGS)
    spans = sorted((trial.metrics["begin"], trial.metrics["end"]) for trial in results)
    assert all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:], strict=False))


@pytest.mark.slow
def test_a_gpu_can_be_shared(name: str) -> None:
    def sees(config):
        time.sleep(0.5)  # so that the second worker has begun before the first is done with all
        return {"loss": config["x"], "gpu": os.environ["CUDA_VISIBLE_DEVICES"]}

    needs = {"cpu": 0.5, "gpu": 0.5}
    results = hpo.tune(sees, SPACE, num_trials=12, resources=needs, name=name, storage="memory", **SETTINGS)
    assert {trial.metrics["gpu"] for trial in results} == {"0"}
    assert len({trial.worker for trial in results}) == 2


@pytest.mark.slow
def test_ray_counts_the_fractions_of_a_gpu_and_has_them_back(name: str) -> None:
    def halves(config):
        import ray

        begin, left = time.time(), 1.0
        while left > 0 and time.time() < begin + 10:
            left = ray.available_resources().get("GPU", 0.0)
            time.sleep(0.05)
        time.sleep(0.5)  # so that the other one sees it, too
        assigned = ray.get_runtime_context().get_assigned_resources()["GPU"]
        return {"loss": config["x"], "begin": begin, "end": time.time(), "assigned": assigned, "left": left}

    needs = {"cpu": 0.25, "gpu": 0.5}  # by their CPUs, eight would run at once
    results = hpo.tune(halves, SPACE, num_trials=4, resources=needs, name=name, storage="memory", **SETTINGS)
    assert {trial.metrics["assigned"] for trial in results} == {0.5}
    assert min(trial.metrics["left"] for trial in results) == 0.0, "two halves are all there is"
    moments = [(t.metrics["begin"], 1) for t in results] + [(t.metrics["end"], -1) for t in results]
    running = itertools.accumulate(change for _, change in sorted(moments))
    assert max(running) <= 2
    wait_until(_has_its_gpu_back)


def _has_its_gpu_back() -> bool:
    import ray

    return ray.available_resources().get("GPU") == 1.0


@pytest.mark.slow
def test_bundles_become_one_placement_group_per_worker(name: str) -> None:
    def where(config):
        import ray

        group = ray.util.get_current_placement_group()
        [inside] = ray.get([ray.remote(lambda: 1).options(num_cpus=0.5).remote()])
        return {"loss": config["x"], "bundles": len(group.bundle_specs), "group": group.id.hex(), "inside": inside}

    needs = [{"cpu": 0.5}, {"cpu": 0.5}]
    results = hpo.tune(
        where, SPACE, num_trials=6, resources=needs, max_concurrent=1, name=name, storage="memory", **SETTINGS
    )
    assert {trial.metrics["bundles"] for trial in results} == {2}
    assert len({trial.metrics["group"] for trial in results}) == 1


def test_a_trial_that_takes_too_long_fails_and_the_others_of_its_lease_spend_nothing(name: str, storage: str) -> None:
    calls = []

    def hangs(config):
        calls.append(config)
        if config["x"] == 0.5:
            print("going to hang")
            time.sleep(60)
        return config["x"]

    points = [{"x": n / 1000} for n in range(1000)]
    results = hpo.tune(
        hangs, SPACE, num_trials=1000, points_to_evaluate=points, trial_timeout_s=1.0, max_concurrent=1,
        name=name, storage=storage, **SETTINGS,
    )  # fmt: skip
    [failed] = [trial for trial in results if trial.status == "failed"]
    assert failed.config == {"x": 0.5} and "trial_timeout_s=1" in failed.error
    assert facts_of(storage, name, Printed)[0].text == "going to hang\n"
    assert not any(fact.spent for fact in facts_of(storage, name, Requeued))


@pytest.mark.slow
def test_a_trial_that_holds_the_interpreters_lock_is_ended_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(config):
        if config["x"] == 0.5:
            import ctypes

            ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the lock
        return config["x"]

    results = hpo.tune(
        stuck, SPACE, num_trials=2, points_to_evaluate=[{"x": 0.5}], trial_timeout_s=0.5, max_retries=0,
        name=name, storage="memory", **SETTINGS,
    )  # fmt: skip
    assert [str(trial.status) for trial in results] == ["failed", "completed"]


def test_output_stays_with_its_trial(name: str, storage: str, capfd: pytest.CaptureFixture[str]) -> None:
    def talks(config):
        print("hello from", config["x"])
        return config["x"]

    hpo.tune(talks, SPACE, num_trials=2, points_to_evaluate=[{"x": 0.5}], name=name, storage=storage, **SETTINGS)
    assert facts_of(storage, name, Printed)[0].text == "hello from 0.5\n"
    assert "hello" not in capfd.readouterr().out
    assert_each_once(storage, name, 2)
