"""Threads of a trial report for it, and what they print is kept with it, however they were started."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest

import raytune_hpo as hpo

POOL = ThreadPoolExecutor(2)  # one for all trials


def in_a_thread(train):
    worker = threading.Thread(target=train)
    worker.start()
    worker.join()


def in_a_timer(train):
    worker = threading.Timer(0.01, train)
    worker.start()
    worker.join()


def in_a_pool_of_its_own(train):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(train).result()


def in_a_thread_of_a_thread(train):
    in_a_thread(lambda: in_a_thread(train))


def in_a_thread_pool(train):
    with ThreadPool(1) as pool:
        pool.apply(train)


def in_an_executor_of_a_loop(train):
    async def run():
        await asyncio.get_running_loop().run_in_executor(None, train)

    asyncio.run(run())


WAYS = [
    in_a_thread, in_a_timer, in_a_pool_of_its_own, in_a_thread_of_a_thread, in_a_thread_pool, in_an_executor_of_a_loop,
    lambda train: POOL.submit(train).result(), lambda train: asyncio.run(asyncio.to_thread(train)),
]  # fmt: skip


def tuned(objective, **settings):
    return hpo.tune(
        objective, {"x": hpo.uniform(0, 1)}, metric="loss", sampler="random", seed=0, runtime="local", storage="memory",
        progress=False, **{"num_trials": 12, "max_concurrent": 3, **settings},
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_whichever_thread_reports_means_its_own_trial(way):
    def objective(config):
        def train():
            print("training", config["x"])
            for epoch in (1, 2, 3):
                hpo.report(loss=config["x"] / epoch, step=epoch)

        way(train)
        return config["x"]

    for trial in tuned(objective):
        assert [report.metrics["loss"] for report in trial.reports] == [trial.config["x"] / n for n in (1, 2, 3)]


def test_a_scheduler_stops_trials_whose_threads_report():
    def objective(config):
        def train():
            for epoch in range(1, 10):
                hpo.report(loss=config["x"], step=epoch)

        in_a_thread(train)
        return config["x"]

    results = tuned(objective, num_trials=30, scheduler="asha", max_concurrent=1)
    assert results.num_by_status["pruned"] > 5
    assert results.num_by_status["failed"] == 0


def test_a_thread_that_outlives_its_trial_cannot_report_for_it():
    late = []

    def objective(config):
        done = threading.Event()

        def train():
            done.wait(60)
            try:
                hpo.report(loss=0.0)
            except hpo.TrialStopped as stop:
                late.append(str(stop))

        objective.thread, objective.release = threading.Thread(target=train), done
        objective.thread.start()
        return config["x"]

    results = tuned(objective, num_trials=1)
    objective.release.set()
    objective.thread.join(60)
    assert late == ["trial 0 has ended"]
    assert len(results[0].reports) == 0


def test_a_thread_of_nobody_warns_where_it_cannot_be_told_whose_it_is():
    barrier, heard = threading.Barrier(2, timeout=150), []

    def objective(config):
        barrier.wait()
        if objective.first:
            objective.first = False
            empty = contextvars.Context()

            def train():
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    empty.run(hpo.report, loss=1.0)
                    assert empty.run(hpo.until) is empty.run(hpo.checkpoint) is None
                    heard.extend(str(warning.message) for warning in caught)

            in_a_thread(train)
        barrier.wait()
        return config["x"]

    objective.first = True
    tuned(objective, num_trials=2, max_concurrent=2)
    assert ["belongs to none of the trials" in text for text in heard] == [True] * 3
    for text, name, instead in zip(
        heard, ("report", "until", "checkpoint"), ("nothing was", "None", "None"), strict=True
    ):
        assert text.startswith(f"hpo.{name} was called") and instead in text and f"call hpo.{name} there" in text


def test_outside_studies_threads_are_as_python_made_them():
    script = """if True:
        import threading, concurrent.futures, raytune_hpo as hpo
        hpo.tune(lambda c: c["x"], {"x": hpo.uniform(0, 1)}, metric="loss", num_trials=1, sampler="random",
                 runtime="local", storage="memory", progress=False)
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                thread.join(5)
        print(threading.Thread.start.__module__, concurrent.futures.ThreadPoolExecutor.submit.__module__)
    """
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=150
    ).stdout
    assert said.split() == ["threading", "concurrent.futures.thread"]
