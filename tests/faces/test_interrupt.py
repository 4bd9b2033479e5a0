"""Ctrl-C during fit: partial results at once, without waiting for trials, and the study goes on later."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import raytune_hpo as hpo
from raytune_hpo.api.callbacks import Follower
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.journal import open_storage
from raytune_hpo.runtime.local import LocalHandle

NUM_WORKERS = 2
SCRIPT = """
    import time
    import raytune_hpo as hpo

    def objective(config):
        if config["x"] > 0.2:
            time.sleep(0.02)
        if config["x"] > 0.9:
            with open({begun!r}, "a") as file:
                file.write(".")
            time.sleep(600)
        return config["x"]

    if __name__ == "__main__":
        results = hpo.tune(objective, {{"x": hpo.uniform(0, 1)}}, sampler="random", num_trials=10_000, seed=1, name="s",
                           storage="sqlite:///{folder}/s.db", runtime="local", max_concurrent={num_workers}, progress=False)
        print("done", len(results), results.num_by_status, flush=True)
"""


def run_and_interrupt(folder):
    script, begun = folder / "script.py", folder / "begun"
    begun.unlink(missing_ok=True)
    script.write_text(textwrap.dedent(SCRIPT).format(folder=folder, begun=str(begun), num_workers=NUM_WORKERS))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not begun.exists() or len(begun.read_text()) < NUM_WORKERS:  # until all workers are stuck
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)  # far less than a trial takes
    return out, err, process.returncode


def test_ctrl_c_returns_what_there_is_and_the_study_goes_on(tmp_path):
    out, err, code = run_and_interrupt(tmp_path)
    assert code == 0, err
    assert "done" in out and "KeyboardInterrupt" not in err
    first = int(out.split()[1])
    out, err, code = run_and_interrupt(tmp_path)
    assert code == 0, err
    assert int(out.split()[1]) >= first


SPACE = {"x": hpo.uniform(0, 1)}


def slow(config):
    time.sleep(0.01)
    return config["x"]


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_ctrl_c_before_the_first_look_ends_the_study_like_one_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(Follower, "begin", interrupt)  # between the start of the workers and the first wait
    results = hpo.tune(
        slow, SPACE, metric="loss", num_trials=10_000, runtime="local", progress=False, storage=tmp_path / "s.db", name="s",
        callbacks=[print],
    )  # fmt: skip
    assert len(results) < 10_000
    assert Ledger.fold(open_storage(str(tmp_path / "s.db")).read("s")).stopped == "interrupted"


def test_ctrl_c_while_workers_are_started_leaves_nothing_behind(tmp_path, monkeypatch):
    tuner = hpo.Tuner(
        slow, SPACE, metric="loss", num_trials=200, runtime="local", progress=False, storage=tmp_path / "s.db", name="s",
        max_concurrent=2,
    )  # fmt: skip
    before = set(threading.enumerate())
    with monkeypatch.context() as patch:
        patch.setattr(LocalHandle, "_hire", after(1, LocalHandle._hire, interrupt))
        with pytest.raises(KeyboardInterrupt):
            tuner.fit()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("raytune_hpo") and t not in before])
    assert len(tuner.fit()) == 200  # the name is free


def after(calls, first, then):
    """A function that is another one from some call on."""
    counted = itertools.count()
    return lambda *args: (first if next(counted) < calls else then)(*args)


def wait_until(is_so, patience_s=30):
    deadline = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
