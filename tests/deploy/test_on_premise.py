"""deploy/on_premise.yaml as somebody with two machines uses it: `ray up`, `ray submit`, `ray down`, and up once more.

`ray stop` is part of that, and ends whatever Ray it sees. The machines are namespaces (machines.py), from which nothing
outside can be seen; that is shown first.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machines
import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    if reason := machines.why_not():
        pytest.skip(f"no machines to be had: {reason}")


@pytest.fixture
def raylet(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What `ray stop` would take for a Ray of this machine."""
    program = shutil.copy("/usr/bin/sleep", tmp_path / "raylet")
    process = subprocess.Popen([program, "3600"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_ray_stop_in_a_machine_sees_nothing_of_this_one(raylet: subprocess.Popen[bytes]) -> None:
    done = machines.play(HERE / "stop_ray.py", timeout_s=240)
    assert done.returncode == 0, done.stderr
    story = json.loads(done.stdout)
    assert max(story["seen"]) < 100, "process numbers begin anew"
    assert story["victim"] == -15, "a raylet of the machine's own was ended"
    assert raylet.poll() is None


def test_machines_are_not_made_by_accident() -> None:
    command = [sys.executable, machines.__file__, "x.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "belongs below `unshare" in done.stderr


@pytest.fixture(scope="module")
def story() -> dict[str, Any]:
    done = machines.play(HERE / "on_premise.py", timeout_s=1700)
    assert done.returncode == 0, done.stderr[-20_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_machines_of_ones_own_become_a_cluster_and_are_let_go(story: dict[str, Any]) -> None:
    assert story["before"] == {"head": [], "worker": []}
    assert "cross-validated accuracy" in story["lab"]["said"]
    assert [trial["status"] in ("completed", "pruned") for trial in story["lab"]["trials"]] == [True] * 8
    assert "studies.db" in story["files"], "the journal is on the head"
    assert story["csv"] == 1 + 8, "and what is in it can be fetched"
    assert story["down"]["left"] == {"head": [], "worker": []}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_machines_work(story: dict[str, Any]) -> None:
    """Each has two CPUs, so of workers 0 to 3 number 2 or 3 is there only if both machines have some."""
    workers = {int(trial["worker"].rpartition("-")[2]) for trial in story["lab"]["trials"]}
    assert max(workers) >= 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_same_call_continues_after_the_cluster_was_down(story: dict[str, Any]) -> None:
    first, more = (story[part]["trials"] for part in ("lab", "more"))
    assert len(more) == 10
    assert more[:8] == first


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_laptop_keeps_no_study(story: dict[str, Any]) -> None:
    assert ".raytune_hpo" not in story["laptop"]
