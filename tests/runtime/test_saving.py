"""Objectives that save and go on: when ``save`` is called, what a trial begins with, and what a crash costs."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import raytune_hpo as hpo
from raytune_hpo.checkpoints.store import CheckpointStore
from raytune_hpo.core.audit import audit
from raytune_hpo.facts import Printed, Released, Saved
from raytune_hpo.journal import open_storage

SPACE = {"x": hpo.uniform(0, 1)}
PROMOTING = {"name": "asha", "promote": True, "max_steps": 9}


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Returns what was written to stderr, with logging as it is where nobody has set it up."""
    monkeypatch.setattr(logging.getLogger("raytune_hpo"), "handlers", [logging.lastResort])
    return lambda: capsys.readouterr().err


class Training:
    """Trains for some steps, and notes which steps were made and which were saved."""

    def __init__(self, steps=9, offers=True):
        self.steps, self.offers = steps, offers
        self.made, self.saved, self.begun = [], [], []

    def __call__(self, config):
        saved = hpo.checkpoint()
        done = 0 if saved is None else int((saved.path / "step").read_text())
        assert saved is None or saved.step == done
        self.begun.append(done)
        for step in range(done + 1, self.steps + 1):
            self.made.append((config["x"], step))

            def save(folder, step=step):
                self.saved.append((config["x"], step))
                (folder / "step").write_text(str(step))

            hpo.report(loss=config["x"] + 1 / step, step=step, save=save if self.offers else None)
        return config["x"] + 1 / self.steps


def tune(objective, **settings):
    defaults = {"sampler": "random", "seed": 1, "runtime": "local", "storage": "memory", "progress": False}
    return hpo.tune(objective, SPACE, **{**defaults, "max_concurrent": 1, "num_trials": 9, **settings})


def test_trials_pause_at_rungs_and_the_best_go_on_where_they_stood(tmp_path):
    training = Training()
    results = tune(training, scheduler=PROMOTING, storage=tmp_path / "s.db", name="s")
    assert results.num_by_status["completed"] == 1 and results.num_by_status["paused"] == 8
    assert len(training.made) == len(set(training.made)) == 9 + 3 * 2 + 6  # no step was made twice
    assert results.best_trial.reports.up_to(9)[-1].step == 9
    assert (results.best_trial.checkpoint.path / "step").read_text() == "9"
    left = sorted(p.name for p in (tmp_path / "s.db.checkpoints" / "s").iterdir())
    kept = sorted(Path(t.checkpoint.record["url"]).name for t in results if t.checkpoint)
    assert left == kept
    assert audit(open_storage(tmp_path / "s.db").read("s")).is_clean


@pytest.mark.parametrize(
    "scheduler", [PROMOTING, {"name": "successive_halving", "max_steps": 9}, {"name": "pasha", "max_steps": 9}]
)
def test_a_study_that_is_extended_repeats_no_step(tmp_path, scheduler):
    training = Training()
    for num_trials in (4, 10, 20):
        results = tune(training, num_trials=num_trials, scheduler=scheduler, storage=tmp_path / "s.db", name="s")
    assert len(training.made) == len(set(training.made)) and results.savings.num_restarted == 0


def test_what_never_saves_starts_over_and_comes_to_the_same_end():
    training = Training(offers=False)
    results = tune(training, scheduler=PROMOTING)
    saving = tune(Training(), scheduler=PROMOTING)
    assert [t.metrics for t in results] == [t.metrics for t in saving]
    assert training.begun == [0] * len(training.begun)
    assert not any(t.checkpoints for t in results)


def test_save_is_called_only_where_a_checkpoint_is_wanted():
    training = Training()
    results = tune(training, num_trials=5, sampler="tpe")
    best_so_far, wanted = float("inf"), []
    for trial in results:
        if trial.losses[0] < best_so_far:
            best_so_far = trial.losses[0]
            wanted.append((trial.config["x"], 9))
    assert training.saved == wanted
    assert [t.number for t in results if t.checkpoints] == [results.best_trial.number]
    training = Training()
    tune(training, num_trials=5, sampler="tpe", keep_checkpoints=0)
    assert training.saved == []


def test_time_that_has_passed_is_a_reason_to_save():
    training = Training(steps=3)
    tune(training, num_trials=1, checkpoint_every_s=1e-9, keep_checkpoints=0)
    assert [step for _, step in training.saved] == [1, 2, 3]


def test_a_place_that_cannot_be_written_is_named_before_anything_is_trained(tmp_path):
    (tmp_path / "file").write_text("")
    training = Training()
    with pytest.raises(hpo.errors.SpecError, match="checkpoints is a folder that can be written, got .*file/"):
        hpo.tune(training, SPACE, num_trials=2, checkpoints=tmp_path / "file", runtime="local", storage="memory")
    assert training.made == []


def test_a_place_that_is_no_longer_writable_is_named_by_the_trials(tmp_path):
    def objective(config):
        shutil.rmtree(tmp_path / "kept")
        (tmp_path / "kept").write_text("")
        hpo.report(loss=1.0, checkpoint=tmp_path)

    (trial,) = hpo.tune(
        objective, SPACE, num_trials=1, checkpoints=tmp_path / "kept", runtime="local", storage="memory", progress=False
    )
    assert "checkpoints are to be kept in" in trial.reason and "cannot be written: NotADirectoryError" in trial.reason


def test_a_folder_is_always_taken(tmp_path):
    def objective(config):
        for step in (1, 2):
            folder = tmp_path / str(step)
            folder.mkdir()
            (folder / "w").write_text(str(step))
            hpo.report(loss=1.0, step=step, checkpoint=folder)
        (tmp_path / "2" / "w").write_text("changed")

    results = tune(objective, num_trials=1, storage=tmp_path / "s.db", name="s")
    facts = list(open_storage(tmp_path / "s.db").read("s"))
    assert [f.step for f in facts if isinstance(f, Saved)] == [1, 2]
    assert [f.step for f in facts if isinstance(f, Released)] == [1]
    assert (results.best_trial.checkpoint.path / "w").read_text() == "2"


@pytest.mark.parametrize("given", [{"save": 0.3}, {"checkpoint": 0.3}, {"checkpoint": "/no/such/folder"}])
def test_a_metric_of_the_name_of_an_argument_is_refused(given):
    def by_dict(config):
        hpo.report({"loss": 1.0, **given})

    def by_keyword(config):
        hpo.report(loss=1.0, **given)

    def by_yield(config):
        yield {"loss": 1.0, **given}

    def by_result(config):
        return {"loss": 1.0, **given}

    for objective in (by_dict, by_keyword, by_yield, by_result):
        (trial,) = tune(objective, num_trials=1)
        assert trial.status == "failed" and "metric" in trial.error and "another name" in trial.error


def test_until_is_the_first_step_that_is_looked_at():
    told = []

    def objective(config):
        while told.append(hpo.until()) or told[-1] is not None:
            hpo.report(loss=config["x"], step=told[-1])
        return config["x"]

    tune(objective, num_trials=1)
    assert told == [None] and hpo.until() is None
    told.clear()
    tune(objective, num_trials=1, scheduler={"name": "asha", "max_steps": 9})
    assert told == [1, 3, 9, None]


def test_who_asked_until_when_and_returns_has_reported_there():
    def objective(config):
        saved = hpo.checkpoint()
        begin = 0 if saved is None else saved.step
        until = hpo.until()
        assert until in (1, 3, 9) and until > begin
        return {"loss": config["x"] + 1 / until}

    results = tune(objective, scheduler=PROMOTING)
    assert results.num_by_status["completed"] == 1
    assert [r.step for r in results.best_trial.reports][-1] == 9


def test_an_objective_that_swallows_the_end_of_its_stretch_has_paused_all_the_same():
    def objective(config):
        try:
            for step in range(1, 10):
                hpo.report(loss=config["x"], step=step, save=lambda folder: None)
        except hpo.TrialStopped:
            pass
        return 0.0

    results = tune(objective, scheduler=PROMOTING, num_trials=2)
    assert results.num_by_status["paused"] == 1  # the other one had to complete: it is the best


@pytest.mark.parametrize(
    "scheduler",
    [
        {"name": "asha", "promote": True},
        {"name": "successive_halving", "max_steps": 81},
        {"name": "pasha", "max_steps": 100},
        {"name": "race", "max_steps": 40, "first": 9},
    ],
)
def test_a_trial_that_paused_at_its_last_step_ends_with_the_report_of_that_step(scheduler):
    """A scheduler that is not told how long trials are may pause one at its end; resumed, it has nothing left to do."""

    def objective(config):
        saved = hpo.checkpoint()
        for step in range((0 if saved is None else saved.step) + 1, 10):
            hpo.report(loss=config["x"] + 1 / step, step=step, save=lambda folder: (folder / "w").write_text("x"))

    results = tune(objective, scheduler=scheduler)
    assert results.num_by_status["failed"] == 0 and results.num_by_status["completed"] == 1
    best = results.best_trial
    assert best.last_step == 9 and best.losses == (best.config["x"] + 1 / 9,) and best.checkpoint.step == 9


def test_an_objective_whose_return_value_needs_a_step_that_is_not_left_says_so():
    def objective(config):
        saved = hpo.checkpoint()
        for step in range((0 if saved is None else saved.step) + 1, 10):
            loss = config["x"] + 1 / step
            hpo.report(loss=loss, step=step, save=lambda folder: (folder / "w").write_text("x"))
        return loss

    results = tune(objective, scheduler={"name": "asha", "promote": True}, num_trials=3)
    failed = [trial for trial in results if trial.status == "failed"]
    assert failed and all("resumed after step 9" in t.error and "return nothing" in t.error for t in failed)


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_who_returns_at_the_step_of_until_needs_a_last_step(scheduler):
    """Otherwise, its objective would be called for ever."""
    (trial,) = tune(lambda config: config["x"] + 1 / min(hpo.until(), 100), scheduler=scheduler, num_trials=1)
    assert trial.status == "failed" and "give the scheduler max_steps" in trial.error


def test_a_full_disk_is_waited_for(monkeypatch, caplog, terminal):
    save, failures = CheckpointStore.save, iter(range(2))

    def full_at_first(self, *args):
        if next(failures, None) is not None:
            raise OSError(errno.ENOSPC, "no space left on device")
        return save(self, *args)

    monkeypatch.setattr(CheckpointStore, "save", full_at_first)
    monkeypatch.setattr("raytune_hpo.runtime.trial_run.RETRY_S", 0.01)
    training = Training()
    results = tune(training, scheduler=PROMOTING, num_trials=3)
    assert results.num_by_status["failed"] == 0 and results.num_by_status["completed"] == 1
    assert [r.message for r in caplog.records if "disk is full" in r.message] == [
        "the disk is full: trial 0 waits to save its checkpoint"
    ]
    assert "the disk is full" in terminal(), "it is shown now, and not only kept in the trial's output"


def test_nothing_begins_while_the_disk_is_full_and_stopping_ends_the_wait(monkeypatch, tmp_path):
    def never(self, *args):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(CheckpointStore, "save", never)
    monkeypatch.setattr("raytune_hpo.runtime.trial_run.RETRY_S", 0.01)
    begun, both = [], threading.Barrier(2)

    def objective(config):
        begun.append(config["x"])
        if both.wait(60) == 0:
            time.sleep(0.3)
        else:
            hpo.report(loss=config["x"], step=1, save=lambda folder: None)
        return config["x"]

    tuner = hpo.Tuner(
        objective, SPACE, num_trials=5, max_concurrent=2, scheduler=PROMOTING, sampler="random", runtime="local",
        storage=tmp_path / "s.db", name="s", progress=False, checkpoint_every_s=1e-6,
    )  # fmt: skip
    with tuner.start() as run:
        while run.status().counts.get("completed") != 1:
            time.sleep(0.05)
        time.sleep(1.2)  # longer than a worker waits before it asks again
        assert len(begun) == 2
        run.stop()
        assert run.wait(5.0)
    assert [trial.status for trial in hpo.load("s", tmp_path / "s.db").trials].count("waiting") == 1


@pytest.mark.parametrize("how", ["stop", "ctrl-c"])
def test_a_study_that_is_stopped_lets_its_trials_save(tmp_path, how):
    training = Training(steps=1_000)
    settings = {
        "num_trials": 2, "max_concurrent": 2, "sampler": "random", "seed": 1, "runtime": "local",
        "storage": tmp_path / "s.db", "name": "s", "progress": False,
    }  # fmt: skip

    def steady(config):
        if hpo.checkpoint() is None:
            hpo.report(loss=1.0, step=1)  # before it has anything to save
            for step in range(2, 1_000):
                time.sleep(0.02)
                hpo.report(loss=1.0, step=step, save=lambda folder, step=step: (folder / "step").write_text(str(step)))
        training.begun.append(hpo.checkpoint().step)
        return 1.0

    tuner = hpo.Tuner(steady, SPACE, **settings)
    if how == "stop":
        with tuner.start() as run:
            time.sleep(0.5)
            begin = time.monotonic()
            run.stop()
            assert time.monotonic() - begin < 2.0
    else:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        tuner.fit()
    stopped = hpo.load("s", tmp_path / "s.db")
    steps = [trial.checkpoint.step for trial in stopped.trials]
    assert all(step >= 5 for step in steps) and audit(open_storage(tmp_path / "s.db").read("s")).is_clean
    hpo.Tuner(steady, SPACE, **settings).fit()
    assert sorted(training.begun) == sorted(steps)


@pytest.mark.parametrize("limit", [{"num_steps": 20}, {"time_budget_s": 0.5}])
def test_a_study_that_reaches_a_limit_lets_its_trials_save(tmp_path, limit):
    begun = []

    def objective(config):
        begun.append(0 if (saved := hpo.checkpoint()) is None else saved.step)
        for step in range(begun[-1] + 1, 41):
            time.sleep(0.02)
            hpo.report(loss=1.0, step=step, save=lambda folder: (folder / "w").write_text("x"))
        return 1.0

    settings = {"num_trials": 1, "storage": tmp_path / "s.db", "name": "s"}
    (trial,) = tune(objective, **settings, **limit)
    assert trial.status == "waiting" and trial.checkpoint.step == trial.last_step >= 5
    (trial,) = tune(objective, **settings)
    assert trial.status == "completed" and begun == [0, begun[1]] and begun[1] >= 5


def test_stopping_does_not_wait_for_trials_that_cannot_save():
    done = threading.Event()
    tuner = hpo.Tuner(
        lambda config: done.wait(60), SPACE, num_trials=1, runtime="local", storage="memory", progress=False
    )
    with tuner.start() as run:
        time.sleep(0.2)
        begin = time.monotonic()
        run.stop()
        assert time.monotonic() - begin < 2.5
    done.set()


def test_a_save_that_raises_fails_its_trial_and_leaves_nothing(tmp_path):
    def objective(config):
        def save(folder):
            (folder / "half").write_text("x")
            raise RuntimeError("cannot be pickled")

        hpo.report(loss=1.0, step=1, save=save)

    results = tune(objective, scheduler=PROMOTING, num_trials=1, storage=tmp_path / "s.db", name="s")
    assert results[0].status == "failed" and "cannot be pickled" in results[0].error
    assert list((tmp_path / "s.db.checkpoints" / "s").iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, OSError])
@pytest.mark.parametrize("steps", [9, 20])
def test_a_save_that_raises_after_the_last_step_costs_the_checkpoint_and_not_the_result(
    steps, error, terminal, tmp_path
):
    """Also where the objective reports beyond the scheduler's last step, and is stopped there."""

    def objective(config):
        def save(folder):
            raise error("cannot be pickled")

        for step in range(1, steps + 1):
            hpo.report(loss=config["x"] + 1 / step, step=step, save=save)

    study = {"storage": tmp_path / "s.db", "name": "s"}
    results = tune(objective, scheduler={"name": "asha", "max_steps": 9}, num_trials=2, **study)
    assert [trial.status for trial in results] == ["completed", "completed"]
    assert results.best_trial.last_step == 9 and results.best_trial.checkpoint is None
    printed = [fact.text for fact in open_storage(study["storage"]).read("s") if isinstance(fact, Printed)]
    assert len(printed) == 2 and all("Traceback" in text and "cannot be pickled" in text for text in printed)
    assert "trial 0 has its result, and its last checkpoint could not be saved" in terminal()


def test_with_several_goals_the_checkpoint_of_the_best_trial_is_kept_also_where_the_first_one_is_tied():
    def objective(config):
        hpo.report(errors=3, seconds=config["x"], step=1, save=lambda folder: None)

    results = tune(objective, metric=["errors", "seconds"], mode=["min", "min"], num_trials=12)
    assert results.best_trial.metrics["seconds"] == min(trial.metrics["seconds"] for trial in results)
    assert [trial.number for trial in results if trial.checkpoint] == [results.best_trial.number]


def test_a_damaged_checkpoint_costs_steps_and_no_trial(tmp_path):
    training, storage = Training(), tmp_path / "s.db"
    settings = {"scheduler": PROMOTING, "storage": storage, "name": "s"}
    tune(training, num_trials=3, num_steps=3, **settings)
    for folder in (tmp_path / "s.db.checkpoints" / "s").iterdir():
        (folder / "step").write_text("77")
    results = tune(training, num_trials=9, **settings)
    assert results.num_by_status["failed"] == 0 and results.num_by_status["completed"] == 1
    reasons = [f.reason for f in open_storage(storage).read("s") if isinstance(f, Released)]
    assert any("not what was saved" in reason for reason in reasons)
    assert audit(open_storage(storage).read("s")).is_clean


SCRIPT = """
    import sys, time
    import raytune_hpo as hpo

    def objective(config):
        saved = hpo.checkpoint()
        done = 0 if saved is None else int((saved.path / "step").read_text())
        for step in range(done + 1, 101):
            with open(sys.argv[1], "a") as log:
                log.write(f"{step}\\n")
            time.sleep(0.002)
            save = (lambda folder: (folder / "step").write_text(str(step))) if step % 10 == 0 else None
            hpo.report(loss=1 / step, step=step, save=save)
        return 0.0

    hpo.tune(objective, {"x": hpo.uniform(0, 1)}, num_trials=1, sampler="random", runtime="local", name="s", seed=1,
             storage=sys.argv[2], checkpoint_every_s=1e-9, max_retries=50, progress=False)
"""


def test_a_process_that_is_killed_again_and_again_loses_no_more_than_the_steps_since_its_last_checkpoint(tmp_path):
    script, log, storage = tmp_path / "script.py", tmp_path / "log", tmp_path / "s.db"
    script.write_text(textwrap.dedent(SCRIPT))
    chance, kills = random.Random(7), 0
    while kills < 5:
        before = made(log)
        process = subprocess.Popen([sys.executable, str(script), str(log), str(storage)])
        more = chance.randrange(1, 25)
        while process.poll() is None and len(made(log)) < len(before) + more:
            time.sleep(0.005)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    subprocess.run([sys.executable, str(script), str(log), str(storage)], check=True)
    (trial,) = hpo.load("s", storage=storage)
    assert trial.status == "completed" and [r.step for r in trial.reports] == list(range(1, 101))
    steps = made(log)
    assert len(steps) - len(set(steps)) <= 10 * kills and kills > 0
    assert len(list((tmp_path / "s.db.checkpoints" / "s").iterdir())) == 1


def made(log):
    return log.read_text().splitlines() if log.exists() else []
