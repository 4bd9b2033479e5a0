"""Callbacks hear every fact once and in order, and nothing that they do reaches the study."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time

import pytest

import raytune_hpo as hpo
from raytune_hpo.api import callbacks
from raytune_hpo.api import tuner as tuner_module
from raytune_hpo.core.audit import audit
from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.facts import Finished, SessionOpened, Started, StudyCreated, StudyStopped
from raytune_hpo.integrations.lightgbm import reporter
from raytune_hpo.journal import MemoryStorage, open_storage

SPACE = {"x": hpo.uniform(0, 1)}


def tuner(objective=lambda config: config["x"], space=None, **settings):
    defaults = {"num_trials": 20, "storage": "memory", "progress": False, "runtime": "local", "sampler": "random"}
    return hpo.Tuner(objective, SPACE if space is None else space, **{**defaults, **settings})


class Diary:
    """A recorder that keeps everything it is told."""

    def __init__(self):
        self.facts, self.calls = [], []

    def open(self, spec):
        self.facts = []
        self.calls.append("open")
        self.spec = spec

    def __call__(self, fact):
        self.facts.append(fact)

    def close(self):
        self.calls.append("close")


def test_every_callback_hears_every_fact_in_order_and_once(tmp_path):
    heard, too = [], []
    tuner(callbacks=[heard.append, too.append], storage=f"{tmp_path}/c.db", name="c", num_trials=2500).fit()
    stored = list(open_storage(f"{tmp_path}/c.db").read("c"))
    assert len(stored) > 2 * callbacks.CHUNK
    assert heard == too == stored


def test_a_callback_is_called_by_this_process_one_fact_at_a_time():
    threads = set()
    tuner(callbacks=lambda fact: threads.add(threading.current_thread())).fit()
    assert len(threads) == 1 and threading.main_thread() not in threads


def test_one_that_raises_is_dropped_and_said_to_be_and_the_others_go_on(caplog):
    heard, calls = [], []

    def broken(fact):
        calls.append(fact)
        raise SystemExit("no more of this")

    results = tuner(callbacks=[broken, heard.append]).fit()
    assert len(results) == 20 and len(calls) == 1
    assert isinstance(heard[0], StudyCreated) and isinstance(heard[-1], StudyStopped)
    assert [r.getMessage() for r in caplog.records if "broken" in r.getMessage()] == [
        "callback test_one_that_raises_is_dropped_and_said_to_be_and_the_others_go_on.<locals>.broken raised and gets "
        "no more facts"
    ]


def test_one_that_hangs_holds_up_neither_trials_nor_others_nor_for_long_the_end(monkeypatch, caplog):
    monkeypatch.setattr(callbacks.Follower.finish, "__defaults__", (0.5,))
    release, heard, came_back = threading.Event(), [], []

    def hanging(fact):
        came_back.append(release.wait(60))

    results = tuner(callbacks=[hanging, heard.append], num_trials=50).fit()
    assert len(results) == 50 and not came_back, "nobody waited for it"
    release.set()
    assert isinstance(heard[-1], StudyStopped)
    assert "hanging is still busy after fact 0; the study has ended and does not wait for it" in caplog.text


def test_one_that_was_given_up_hears_nothing_after_it_has_come_to_itself(monkeypatch):
    monkeypatch.setattr(callbacks.Follower.finish, "__defaults__", (0.2,))
    release, heard = threading.Event(), []

    def hanging(fact):
        heard.append(fact)
        release.wait(60)

    tuner(callbacks=[hanging]).fit()
    release.set()
    time.sleep(0.2)
    assert len(heard) == 1


def test_a_slow_callback_is_waited_for_a_while():
    heard = []

    def slow(fact):
        time.sleep(0.02)
        heard.append(fact)

    tuner(callbacks=[slow]).fit()
    assert isinstance(heard[-1], StudyStopped)


def test_a_function_hears_this_session_and_a_recorder_the_whole_study(tmp_path):
    settings = {"storage": f"{tmp_path}/c.db", "name": "c"}
    tuner(**settings, num_trials=5).fit()
    heard, diary = [], Diary()
    tuner(**settings, num_trials=8, callbacks=[heard.append, diary]).fit()
    assert isinstance(heard[0], SessionOpened) and isinstance(heard[-1], StudyStopped)
    assert [fact.number for fact in heard if isinstance(fact, Started)] == [5, 6, 7]
    assert [fact.number for fact in diary.facts if isinstance(fact, Started)] == list(range(8))
    assert isinstance(diary.facts[0], StudyCreated)
    assert sum(isinstance(fact, StudyStopped) for fact in diary.facts) == 2
    assert diary.calls == ["open", "close"]


def test_a_recorder_gets_the_live_spec_with_its_functions():
    diary = Diary()
    space = {"x": hpo.uniform(0, 1), "shape": hpo.sample_from(lambda config: {config["x"]})}
    tuner(lambda config: config["x"], space, callbacks=[diary], num_trials=1).fit()
    started = next(fact for fact in diary.facts if isinstance(fact, Started))
    config = diary.spec.space.unpack(started.config)
    assert config["shape"] == {config["x"]}


def test_a_recorder_that_cannot_be_opened_is_told_nothing(caplog):
    class Shut(Diary):
        def open(self, spec):
            raise OSError("no such place")

    shut = Shut()
    assert len(tuner(callbacks=[shut]).fit()) == 20
    assert shut.facts == [] and shut.calls == [] and "no such place" in caplog.text


def test_a_run_in_the_background_is_followed_too():
    heard, diary = [], Diary()
    with tuner(lambda c: time.sleep(0.01) or c["x"], callbacks=[heard.append]).start() as run:
        run.follow(diary)
        assert run.wait(60)
        assert sum(isinstance(fact, Finished) for fact in heard) == 20
        assert diary.facts == heard and diary.calls == ["open", "close"]


def test_who_stops_listening_before_the_end_has_heard_what_there_was():
    diary = Diary()
    run = tuner(lambda c: time.sleep(0.05) or c["x"], callbacks=[diary], num_trials=1000).start()
    while not any(isinstance(fact, Finished) for fact in diary.facts):
        time.sleep(0.01)
    run.close()
    assert diary.calls == ["open", "close"]
    assert not any(isinstance(fact, StudyStopped) for fact in diary.facts)


def test_a_simulated_study_is_heard_as_well():
    heard = []
    objective = lambda config: {"loss": config["x"], "cost_s": 60.0}  # noqa: E731
    hpo.simulate(objective, SPACE, num_workers=3, num_trials=7, sampler="random", callbacks=[heard.append])
    assert sum(isinstance(fact, Finished) for fact in heard) == 7


def test_facts_that_cannot_be_read_are_missed_with_a_warning(monkeypatch, caplog):
    monkeypatch.setattr(hpo.Run, "facts", lambda self, start=0: 1 / 0)
    monkeypatch.setattr(hpo.Run, "results", lambda self: "results")
    diary = Diary()
    assert tuner(callbacks=[diary]).fit() == "results"
    assert "callback Diary misses the rest of the study: division by zero" in caplog.text
    assert diary.calls == ["open", "close"]


def test_ctrl_c_ends_the_waiting(caplog):
    release, came_back = threading.Event(), []
    diary = Diary()
    run = tuner(callbacks=[diary, lambda fact: came_back.append(release.wait(60))]).start()
    main = threading.main_thread().ident
    threading.Timer(0.5, signal.pthread_kill, [main, signal.SIGINT]).start()
    run.close()
    assert not came_back, "it was not waited for"
    release.set()
    assert "no longer waits for its callbacks" in caplog.text


@pytest.mark.parametrize("given", [["mlflow"], [None], 7])
def test_what_cannot_be_called_is_refused_at_the_door(given):
    with pytest.raises(SpecError, match="a callback is called with a fact"):
        tuner(callbacks=given)


@pytest.fixture(autouse=True)
def _heard_warnings(caplog):
    caplog.set_level(logging.WARNING, logger="raytune_hpo")


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (Diary, r"Diary is a class; write Diary\(...\)"),
        (lambda: None, "is called with one fact, .*lambda.* cannot be: too many positional arguments"),
        (lambda fact, results: None, "missing a required argument: 'results'"),
        (reporter(), "a reporter of a training library is not a callback of a study"),
    ],
)
def test_what_cannot_take_a_fact_is_refused_at_the_door(given, match):
    with pytest.raises(SpecError, match=match):
        tuner(callbacks=[given])
    with tuner(num_trials=1).start() as run, pytest.raises(SpecError, match=match):
        run.follow(given)


def test_a_recorder_that_raises_is_said_how_its_record_is_completed(caplog):
    class Torn(Diary):
        def __call__(self, fact):
            raise OSError("the server is gone")

    torn = Torn()
    tuner(callbacks=[torn]).fit()
    assert torn.calls == ["open", "close"]
    assert "gets no more facts; hpo.integrations.record(name, logger, storage=...) completes" in caplog.text


class Busy(Diary):
    """A recorder that follows another study."""

    def check_free(self):
        raise SpecError("this one is busy")


@pytest.mark.parametrize("begin", ["fit", "start", "simulate"])
def test_a_recorder_that_is_busy_is_refused_before_a_study_begins(tmp_path, begin):
    storage, busy = f"{tmp_path}/c.db", Busy()
    with pytest.raises(SpecError, match="this one is busy"):
        if begin == "simulate":
            hpo.simulate(
                lambda config: {"loss": 1.0, "time_s": 1.0}, SPACE, num_trials=1, storage=storage, callbacks=busy
            )
        else:
            getattr(tuner(storage=storage, callbacks=busy), begin)()
    assert open_storage(storage).studies() == []
    with tuner().start() as run, pytest.raises(SpecError, match="this one is busy"):
        run.follow(busy)
    assert busy.calls == []


class Exclusive(Diary):
    """A recorder that follows one study at a time, and is free until it is opened."""

    def check_free(self):
        if self.calls.count("open") > self.calls.count("close"):
            raise SpecError("this one is busy")


@pytest.mark.parametrize("begins_well", [True, False])
def test_of_two_studies_that_begin_at_once_with_one_recorder_one_is_refused(tmp_path, monkeypatch, begins_well):
    recorder, storage, start = Exclusive(), f"{tmp_path}/c.db", tuner_module._started
    second = tuner(storage=storage, callbacks=recorder)

    def started(*args, **kwargs):
        with pytest.raises(SpecError, match="Exclusive follows one study at a time, and was given to two"):
            second.fit()
        if not begins_well:
            raise HpoError("no room")
        return start(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(tuner_module, "_started", started)
        with contextlib.nullcontext() if begins_well else pytest.raises(HpoError, match="no room"):
            tuner(callbacks=recorder).fit()
    assert open_storage(storage).studies() == []
    second.fit()
    assert recorder.calls == ["open", "close"] * (1 + begins_well)
    with pytest.raises(SpecError, match="was given to two"):
        tuner(callbacks=[recorder, recorder]).fit()


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_what_a_callback_writes_into_a_fact_stays_there(tmp_path, place):
    def vandal(fact):
        for name in ("spec", "config", "metrics"):
            if held := getattr(fact, name, None):
                held.clear()

    storage = MemoryStorage() if place == "memory" else open_storage(f"{tmp_path}/c.db")
    results = tuner(callbacks=vandal, storage=storage, name="c", sampler="tpe").fit()
    assert all(trial.config["x"] == trial.metrics["loss"] for trial in results)
    assert not audit(storage.read("c")).differences
