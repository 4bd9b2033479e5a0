"""Commands to a running study on this machine: they reach it without Ray, and say what it says."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cluster_support import SPACE, by_value, wait_until

import raytune_hpo as hpo
from raytune_hpo.cli import main
from raytune_hpo.cluster.direct import Address
from raytune_hpo.cluster.line_here import leave_note, line_to

pytestmark = pytest.mark.ray


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the cluster, which may not be entered again."""
    import ray

    address: str = ray.get_runtime_context().gcs_address
    monkeypatch.setattr("raytune_hpo.cluster.connecting.connect", lambda *args, **kwargs: pytest.fail("Ray is asked"))
    return address


@by_value
def endless(config: dict[str, float]) -> float:
    import time

    import raytune_hpo as hpo

    for step in range(10_000):
        hpo.report(loss=config["x"], step=step)
        time.sleep(0.05)
    return config["x"]


@pytest.fixture
def study(cluster: None, name: str, storage: str):
    tuner = hpo.Tuner(
        endless, SPACE, num_trials=4, max_concurrent=1, name=name, storage=storage, sampler="random", progress=False
    )
    with tuner.start() as run:
        yield run
        if run.status().is_running:
            run.stop()


def test_a_study_here_hears_commands_without_ray(study: hpo.Run, here: str, name: str) -> None:
    said = call("enqueue", name, '{"x": 0.125}', "--address", here)
    assert (said.exit_code, said.stdout) == (0, f"enqueued for {name}\n"), said.stderr
    wait_until(lambda: study.status().counts.get("running") == 1)
    assert call("stop", name, "--trial", "0", "--address", here).exit_code == 0
    wait_until(lambda: any(trial.config["x"] == 0.125 for trial in study.results().trials))
    said = call("stop", name, "--reason", "enough", "--json", "--address", here)
    assert json.loads(said.stdout) == {"stopped": name, "reason": "enough"}
    assert study.wait(30.0)
    assert study.status().stopped == "enough"


@pytest.mark.slow
def test_what_a_study_refuses_is_said_in_its_words(study: hpo.Run, here: str, name: str) -> None:
    said = call("enqueue", name, '{"x": 7}', "--address", here)
    assert said.exit_code == 2
    assert "0.0" in said.stderr and "7" in said.stderr and "Traceback" not in said.stderr
    said = call("stop", name, "--trial", "99", "--address", here)
    assert said.exit_code == 2 and "99" in said.stderr
    assert study.status().is_running


@pytest.mark.slow
def test_the_note_is_for_this_user_and_goes_with_the_study(study: hpo.Run, here: str, name: str) -> None:
    wait_until(lambda: line_to(name, here) is not None)
    notes = list(Path("~/.raytune_hpo/lines").expanduser().glob("*.json"))
    assert all(stat.S_IMODE(note.stat().st_mode) == 0o600 for note in notes)
    study.stop()
    wait_until(lambda: line_to(name, here) is None)


@pytest.mark.slow
def test_commands_of_another_process_need_no_ray(study: hpo.Run, here: str, name: str) -> None:
    wait_until(lambda: line_to(name, here) is not None)
    code = (
        "import sys; sys.modules['ray'] = None\n"  # so that importing it fails
        "from raytune_hpo.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "stop", name, "--address", here]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"stopped {name}\n"


def test_notes_of_optimizers_that_are_no_more_lead_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: None, here: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: ended.pid)
        old = leave_note("old", here, Address("127.0.0.1", 1, b"secret"))
    new = leave_note("new", here, Address("127.0.0.1", 1, b"secret"))
    assert not old.exists() and new.exists()
    assert new.name.startswith(f"{os.getpid()}-")
