"""Trials per second, and the share of the workers' time that is left to the objective.

    python benchmarks/throughput.py                     # everything but ``sleepers``, a few minutes
    python benchmarks/throughput.py --only sleepers     # 10,000 trials of one second on 16 workers: eleven minutes
    python benchmarks/throughput.py --quick             # tiny sizes: does it run?

Two measures have a comparison within the same run: ``noop`` with Ray Tune, and ``single`` with a bare loop in which
workers pull from an actor. If trials sleep, time is counted from the moment at which all workers are ready: a gate
holds the first trial of each worker until the last worker has arrived.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from common import Figure, at_least, at_most, database, run, use_ray
from overhead import run_ours, run_ours_sqlite, run_raw_ray, run_ray_tune, seconds

import raytune_hpo as hpo

SPACE = {"x": hpo.uniform(0.0, 1.0)}


# ------------------------------------------------------------------------------------------------ doing nothing


def marginal_rate(call: Callable[[int], None], few: int, many: int) -> float:
    """Trials per second beyond the first ``few``: what starting costs is left out."""
    few_s, many_s = seconds(call, few) if few else 0.0, seconds(call, many)
    return (many - few) / (many_s - few_s)


def run_default_tune(n: int) -> None:
    """Ray Tune as it comes: a fresh actor and its log files for each trial."""
    from ray import tune

    def trainable(config: dict) -> None:
        tune.report({"loss": config["x"]})

    quiet = os.environ.pop("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS")  # overhead.py sets it
    try:
        with tempfile.TemporaryDirectory() as folder:
            grid = tune.Tuner(
                trainable,
                param_space={"x": tune.uniform(0, 1)},
                tune_config=tune.TuneConfig(num_samples=n),
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            ).fit()
            assert len(grid) == n and grid.num_errors == 0
    finally:
        os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = quiet


def measure_noop(quick: bool) -> list[Figure]:
    ours, tune, default = ((0, 300), (0, 1), (0, 1)) if quick else ((1_000, 60_000), (20, 420), (4, 24))
    use_ray()
    run_ray_tune(1)  # so that the first one to be timed does not pay for its imports
    rate = marginal_rate(lambda n: run_ours_sqlite(n, runtime="ray"), *ours)
    peers = {
        "as it comes": marginal_rate(run_default_tune, *default),
        "at its fastest": marginal_rate(run_ray_tune, *tune),
    }
    found = [at_least(3_000, name="noop", what="no-op, 2 workers, random, SQLite, Ray", measured=rate, unit="trials/s")]
    for how, peer in peers.items():
        name, what = f"noop, Ray Tune {how}", f"the same, against Ray Tune {how}"
        detail = {"ray_tune_trials_per_s": peer}
        found.append(at_least(500, name=name, what=what, measured=rate / peer, unit="times", detail=detail))
    return found


def run_single(n: int) -> None:
    """Our tuner with leases held at one trial."""

    def objective(config: dict) -> float:
        from raytune_hpo.runtime.worker import Worker

        Worker._adapt = _keep_lease  # in the worker's process
        return config["x"]

    def _keep_lease(worker: Any, trial_s: float) -> None:
        """The lease stays as it began: at one."""

    with database() as storage:
        results = hpo.tune(
            objective, SPACE, sampler="random", num_trials=n, max_concurrent=2, storage=storage, progress=False,
            name=f"single-{n}",
        )  # fmt: skip
        assert results.num_by_status["completed"] == n


def measure_single(quick: bool) -> list[Figure]:
    few, many, rounds = (0, 50, 1) if quick else (500, 5_500, 3)
    ours, bare = [], []
    use_ray()
    for _ in range(rounds):
        bare.append(marginal_rate(run_raw_ray, few, many))
        ours.append(marginal_rate(run_single, few, many))
    ratio = statistics.median(bare) / statistics.median(ours)
    detail = {"bare_trials_per_s": bare, "ours_trials_per_s": ours}
    what = "no-op, leases of one, against a bare loop"
    return [at_most(1.5, name="single", what=what, measured=ratio, unit="times as long", detail=detail)]


def measure_local(quick: bool) -> list[Figure]:
    few, many = (0, 300) if quick else (1_000, 60_000)
    rate = marginal_rate(lambda n: run_ours(n, runtime="local", storage="memory"), few, many)
    durable = marginal_rate(lambda n: run_ours_sqlite(n, runtime="local"), few, many)
    return [
        at_least(10_000, name="local", what="no-op, local, in memory", measured=rate, unit="trials/s"),
        Figure(name="local_sqlite", what="no-op, local, SQLite", measured=durable, unit="trials/s"),
    ]


# ------------------------------------------------------------------------------------------------ sleeping


def busy(num_workers: int, trial_s: float, num_trials: int, *, spin: bool = False) -> tuple[float, float]:
    """The share of the workers' time that their objectives got, and the seconds it took, from all workers ready."""
    import ray

    @ray.remote(num_cpus=0)
    class Gate:
        """Opens when everyone has come."""

        def __init__(self) -> None:
            self._arrived, self._opened_at = 0, 0.0

        async def pass_through(self) -> None:
            import asyncio

            self._arrived += 1
            if self._arrived == num_workers:
                self._opened_at = time.time()
            while not self._opened_at:
                await asyncio.sleep(0.005)

        async def opened_at(self) -> float:
            return self._opened_at

    gate = Gate.options(max_concurrency=1000).remote()

    def objective(config: dict) -> float:
        if not hasattr(time, "_gate_passed"):  # once in each process
            time._gate_passed = True
            ray.get(gate.pass_through.remote())
        until = time.perf_counter() + trial_s
        if not spin:
            time.sleep(trial_s)
        while spin and time.perf_counter() < until:
            pass
        return config["x"]

    with database() as storage:
        results = hpo.tune(
            objective, SPACE, sampler="random", num_trials=num_trials, max_concurrent=num_workers, storage=storage,
            resources={"cpu": min(1.0, 2 / num_workers)}, progress=False, name="busy",
        )  # fmt: skip
    assert results.num_by_status["completed"] == num_trials
    took_s = max(trial.finished_at for trial in results) - ray.get(gate.opened_at.remote())
    ray.kill(gate)
    return num_trials * trial_s / num_workers / took_s, took_s


def measure_short(quick: bool) -> list[Figure]:
    num_trials = 100 if quick else 4_000
    use_ray()
    share, _ = busy(2, 0.005, num_trials)
    spinning, _ = busy(2, 0.005, num_trials, spin=True)
    what = "5 ms objective, 2 workers: of the ideal"
    return [
        at_least(95, name="short", what=what, measured=100 * share, unit="%"),
        Figure(name="short_spin", what="the same, both cores computing", measured=100 * spinning, unit="%"),
    ]


def measure_many(quick: bool) -> list[Figure]:
    num_workers, rounds = (4, 3) if quick else (32, 200)
    use_ray()
    share, _ = busy(num_workers, 0.1, num_workers * rounds)
    what = f"{num_workers} workers, 0.1 s sleep: busy"
    return [at_least(93, name="many", what=what, measured=100 * share, unit="%")]


def measure_sleepers(quick: bool) -> list[Figure]:
    num_workers, num_trials = (2, 6) if quick else (16, 10_000)
    use_ray()
    _, took_s = busy(num_workers, 1.0, num_trials)
    limit, what = 1.024 * num_trials / num_workers, f"{num_workers} workers, {num_trials:,} trials of 1 s sleep"
    return [at_most(limit, name="sleepers", what=what, measured=took_s, unit="s")]


# ------------------------------------------------------------------------------------------------ starting


def bare_start_s() -> float:
    import ray

    @ray.remote(num_cpus=1)
    class Bare:
        def now(self) -> float:
            return time.time()

    begin = time.time()
    actor = Bare.remote()
    took_s = ray.get(actor.now.remote()) - begin
    ray.kill(actor)
    return took_s


def our_start_s(sampler: str) -> float:
    def objective(config: dict) -> float:
        return config["x"]

    with database() as storage:
        tuner = hpo.Tuner(
            objective, SPACE, sampler=sampler, num_trials=1, max_concurrent=1, storage=storage, progress=False,
            name="start",
        )  # fmt: skip
        begin = time.time()
        return tuner.fit()[0].started_at - begin


def measure_start(quick: bool) -> list[Figure]:
    rounds = 1 if quick else 7
    use_ray()
    bare, ours = [], {"random": [], "auto": []}
    for _ in range(rounds):
        bare.append(bare_start_s())
        time.sleep(0.0 if quick else 2.0)  # let Ray's pool of idle processes come to rest
        for sampler, took in ours.items():
            took.append(our_start_s(sampler))
            time.sleep(0.0 if quick else 2.0)
    ratios = {sampler: statistics.median(took) / statistics.median(bare) for sampler, took in ours.items()}
    details = {sampler: {"bare_s": bare, "ours_s": took} for sampler, took in ours.items()}
    what, unit = "fit() to first trial, against one bare actor", "times as long"
    return [
        at_most(1.5, name="start", what=what, measured=ratios["random"], unit=unit, detail=details["random"]),
        Figure(
            name="start_auto", what=f"{what}, sampler auto", measured=ratios["auto"], unit=unit, detail=details["auto"]
        ),
    ]


if __name__ == "__main__":
    run(
        __doc__,
        {
            "noop": measure_noop,
            "single": measure_single,
            "local": measure_local,
            "short": measure_short,
            "many": measure_many,
            "start": measure_start,
            "sleepers": measure_sleepers,
        },
        unasked=["sleepers"],
    )
