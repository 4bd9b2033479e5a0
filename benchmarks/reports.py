"""Reports: how many per second become durable, the time to a verdict, and whether slow suggestions delay anyone.

    python benchmarks/reports.py            # about four minutes
    python benchmarks/reports.py --quick    # tiny sizes: does it run?

``judged`` and ``latency`` are compared with a bare Ray actor that takes the same reports in the same run. The scheduler
of these measures asks to see every report, and stops no trial.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from common import Figure, at_least, at_most, database, percentile, run, steady, use_ray

import raytune_hpo as hpo
from raytune_hpo.facts import Finished, Started
from raytune_hpo.protocols import Suggestion, Traits

SPACE = {"x": hpo.uniform(0.0, 1.0)}
WATCHFUL = {"name": "median", "min_trials": 10**9}  # wants every report, never has enough to stop anybody
BURN_S = 0.4


def fitted(objective: Any, storage: str, **settings: Any) -> hpo.Results:
    use_ray()
    settings = {"sampler": "random", "progress": False, "name": "reports", **settings}
    return hpo.tune(objective, SPACE, storage=storage, **settings)


def bare_recorder() -> Any:
    """An actor that keeps reports in a list and says: go on."""
    import ray

    use_ray()

    @ray.remote(num_cpus=0)
    class Recorder:
        def __init__(self) -> None:
            self.reports: list[Any] = []

        def report(self, number: int, attempt: int, reports: list[Any]) -> tuple[str, int]:
            self.reports += reports
            return "continue", reports[-1][0] + 1

    return Recorder.remote()


# ------------------------------------------------------------------------------------------------ rates


def measure_buffered(quick: bool) -> list[Figure]:
    num_trials, num_reports = (4, 200) if quick else (40, 3_000)

    def objective(config: dict) -> float:
        for step in range(1, num_reports + 1):
            hpo.report(loss=config["x"] / step)
        return config["x"]

    with database() as storage:
        results = fitted(objective, storage, num_trials=num_trials, max_concurrent=2)
        took_s = max(t.finished_at for t in results) - min(t.started_at for t in results)
        assert all(len(trial.reports) == num_reports for trial in results)
    rate = num_trials * num_reports / took_s
    what = "reports without a verdict, durable, 2 workers"
    return [at_least(3_000, name="buffered", what=what, measured=rate, unit="reports/s")]


def measure_judged(quick: bool) -> list[Figure]:
    """One caller, as fast as it can, by turns through our optimizer and through a bare actor."""
    import ray

    num_reports, rounds = (50, 1) if quick else (2_000, 5)
    recorder = bare_recorder()

    def objective(config: dict) -> dict[str, float]:
        begin = time.perf_counter()
        for step in range(1, num_reports + 1):
            hpo.report(loss=config["x"], step=step)
        middle = time.perf_counter()
        for step in range(1, num_reports + 1):
            ray.get(recorder.report.remote(0, 1, [(step, {"loss": config["x"]})]))
        end = time.perf_counter()
        return {"loss": config["x"], "ours": num_reports / (middle - begin), "bare": num_reports / (end - middle)}

    with database() as storage:
        results = fitted(objective, storage, num_trials=rounds + 1, max_concurrent=1, scheduler=WATCHFUL)
    ours, bare = ([trial.metrics[key] for trial in results[1:]] for key in ("ours", "bare"))
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    detail = {"ours_reports_per_s": ours, "bare_reports_per_s": bare}
    what = "judged reports, against bare synchronous calls"
    return [at_least(0.7, name="judged", what=what, measured=ratio, unit="of the rate", detail=detail)]


# ------------------------------------------------------------------------------------------------ latency


class Burner:
    """Draws at random after 0.4 seconds of pure Python."""

    traits = Traits(reads_pending=False)
    _space: Any

    def bind(self, space: Any, goals: Sequence[Any], seed: int) -> Burner:
        bound = Burner()
        bound._space = space
        return bound

    def ask(self, number: int, pending: Sequence[Any], rng: Any) -> Suggestion:
        until = time.thread_time() + BURN_S
        while time.thread_time() < until:
            pass
        return Suggestion(self._space.sample(1, rng)[0])

    def tell(self, trial: Any) -> None:
        """Nothing to learn."""


def paced_latencies(num_callers: int, rate: float, num_reports: int, recorder: Any, *, sampler: Any) -> list[float]:
    """Seconds that each report took, of ``num_callers`` workers that make ``rate`` reports a second in all.

    They go through our optimizer, or, where there is a recorder, through that bare actor. With a slow sampler there is
    one more worker, which does nothing, so that a suggestion is being computed all the time.
    """
    import ray

    @ray.remote(num_cpus=0, max_concurrency=100)
    class Seats:
        """The first ``num_callers`` processes report, the others do nothing until they are through."""

        def __init__(self) -> None:
            self._lock, self._taken, self._left, self.latencies = threading.Lock(), 0, num_callers, []

        def take(self) -> bool:
            with self._lock:
                self._taken += 1
                return self._taken <= num_callers

        def leave(self, latencies: list[float]) -> None:
            with self._lock:
                self._left -= 1
                self.latencies += latencies

        def is_over(self) -> bool:
            return self._left == 0

        def all(self) -> list[float]:
            return self.latencies

    seats = Seats.remote()

    def report(step: int, loss: float) -> None:
        if recorder is None:
            hpo.report(loss=loss, step=step)
        else:
            ray.get(recorder.report.remote(0, 1, [(step, {"loss": loss})]))

    def objective(config: dict) -> float:
        if not ray.get(seats.take.remote()):
            return config["x"]
        taken, pause_s, due = [], num_callers / rate, time.perf_counter() + config["x"] * num_callers / rate
        for step in range(1, num_reports // num_callers + 1):
            time.sleep(max(0.0, due - time.perf_counter()))
            begin = time.perf_counter()
            report(step, config["x"])
            taken.append(time.perf_counter() - begin)
            due += pause_s
        ray.get(seats.leave.remote(taken[len(taken) // 20 :]))  # without the first, which also connect
        return config["x"]

    num_workers = num_callers + (sampler != "random")
    with database() as storage:
        tuner = hpo.Tuner(
            objective, SPACE, sampler=sampler, scheduler=WATCHFUL, num_trials=10**6, max_concurrent=num_workers,
            resources={"cpu": 0.1}, storage=storage, progress=False, name="latency",
        )  # fmt: skip
        with tuner._run(detached=False) as study:
            while not ray.get(seats.is_over.remote()):
                time.sleep(0.1)
            latencies = ray.get(seats.all.remote())
            study.stop()
    ray.kill(seats)
    return latencies


def measure_latency(quick: bool) -> list[Figure]:
    """The 99th percentile at 300 reports a second from three workers."""
    import ray

    use_ray()
    num_callers, num_reports, rounds = (1, 60, 1) if quick else (3, 6_000, 3)
    figures = []
    for name, sampler, what in (("latency", "random", ""), ("latency_burning", Burner(), ", while suggestions burn")):
        ours, bare = [], []
        for _ in range(rounds):
            recorder = bare_recorder()
            bare.append(percentile(paced_latencies(num_callers, 300, num_reports, recorder, sampler=sampler), 0.99))
            ray.kill(recorder)
            ours.append(percentile(paced_latencies(num_callers, 300, num_reports, None, sampler=sampler), 0.99))
        ratio = statistics.median(ours) / statistics.median(bare)
        detail = {"ours_p99_s": ours, "bare_p99_s": bare}
        words = f"99th percentile of a judged report at 300/s{what}"
        figure = at_most(2.5, name=name, what=words, measured=ratio, unit="times bare", detail=detail)
        if not (steady(bare) and steady(ours)):  # others used the machine: whatever came out means nothing
            figure = replace(figure, reached=None, what=f"{words} (rounds disagree: not valid)")
        figures.append(figure)
    return figures


# ------------------------------------------------------------------------------------------------ slow suggestions


def measure_slow_sampler(quick: bool) -> list[Figure]:
    """Eight workers sleep four seconds a trial, and a suggestion burns 0.4 seconds."""
    num_workers, sleep_s, rounds = (2, 0.5, 3) if quick else (8, 4.0, 12)

    def objective(config: dict) -> float:
        time.sleep(sleep_s)
        return config["x"]

    with database() as storage:
        results = fitted(
            objective, storage, sampler=Burner(), num_trials=num_workers * rounds, max_concurrent=num_workers,
            resources={"cpu": min(1.0, 2 / num_workers)},
        )  # fmt: skip
        oldest = oldest_suggestion(storage)
    what = f"a sampler that burns 0.4 s, {num_workers} workers: busy"
    return [
        at_least(95, name="slow_sampler", what=what, measured=100 * busy_share(results, num_workers), unit="%"),
        at_most(num_workers, name="staleness", what="the same: oldest suggestion handed out", measured=oldest,
                unit="results missed"),
    ]  # fmt: skip


def busy_share(results: hpo.Results, num_workers: int) -> float:
    """The objectives' share of the workers' time, from each worker's second trial to its last.

    Its first one waits for the sampler's first suggestions, which nothing could have computed ahead.
    """
    by_worker: dict[str, list[hpo.Trial]] = {}
    for trial in sorted(results, key=lambda trial: trial.started_at):
        by_worker.setdefault(trial.worker, []).append(trial)
    worked = spent = 0.0
    for trials in by_worker.values():
        worked += sum(trial.duration_s for trial in trials[1:])
        spent += trials[-1].started_at + trials[-1].duration_s - trials[0].started_at - trials[0].duration_s
    return worked / spent


def oldest_suggestion(storage: str) -> int:
    """How many results came between a suggestion's making and its handing out, at most."""
    from raytune_hpo.journal import open_storage

    facts = list(open_storage(storage).read("reports"))
    finished = [0]
    for fact in facts:
        finished.append(finished[-1] + isinstance(fact, Finished))
    starts = [(i, fact.basis) for i, fact in enumerate(facts) if isinstance(fact, Started) and fact.basis is not None]
    return max(finished[position] - finished[basis] for position, basis in starts)


if __name__ == "__main__":
    run(
        __doc__,
        {
            "buffered": measure_buffered,
            "judged": measure_judged,
            "latency": measure_latency,
            "slow_sampler": measure_slow_sampler,
        },
    )
