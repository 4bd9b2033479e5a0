"""What is collected is sent after a while, by one thread that comes and goes."""

from __future__ import annotations

import threading
import time

import raytune_hpo as hpo
from raytune_hpo.runtime import flushing
from raytune_hpo.runtime.flushing import FLUSH_S, Flushing


class Collected:
    def __init__(self) -> None:
        self.is_closed, self.sent, self.by = False, threading.Event(), ""

    def flush_late(self) -> None:
        self.by = threading.current_thread().name
        self.sent.set()


def test_each_is_sent_once_its_time_has_come_and_what_is_closed_is_passed_over():
    one, closed, other = Collected(), Collected(), Collected()
    flushes, begin = Flushing(), time.monotonic()
    closed.is_closed = True
    for each in (one, closed, other):
        flushes.add(each)
    assert one.sent.wait(10) and other.sent.wait(10)
    assert time.monotonic() - begin >= FLUSH_S and not closed.sent.is_set()
    assert one.by == other.by != threading.current_thread().name


def test_the_thread_ends_when_it_has_nothing_to_do_and_comes_back(monkeypatch):
    monkeypatch.setattr(flushing, "_IDLE_S", 0.01)
    flushes = Flushing()
    for _ in range(2):
        collected = Collected()
        flushes.add(collected)
        assert collected.sent.wait(10)
        thread = flushes._thread
        if thread is not None:
            thread.join(10)
        assert flushes._thread is None


def test_quick_trials_that_report_need_no_thread_each():
    started = []
    start = threading.Thread.start

    def counted(thread):
        started.append(thread.name)
        start(thread)

    def objective(config):
        hpo.report(loss=config["x"])

    threading.Thread.start = counted
    try:
        space = {"x": hpo.uniform(0, 1)}
        hpo.tune(
            objective, space, metric="loss", num_trials=100, sampler="random", runtime="local", storage="memory",
            max_concurrent=1, progress=False,
        )  # fmt: skip
    finally:
        threading.Thread.start = start
    assert len([name for name in started if name.endswith("flushing")]) <= 1
    assert len(started) < 50
