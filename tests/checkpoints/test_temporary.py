"""Temporary folders: they go with their process, also with one that is killed, and are never taken from one that lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raytune_hpo.checkpoints import temporary
from raytune_hpo.checkpoints.temporary import temporary_folder, temporary_place


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has made no temporary folder yet, and makes them in ``tmp_path``."""
    monkeypatch.setattr(temporary, "_own", {})
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(tmp_path))


def in_another_process(folder: Path, code: str) -> subprocess.Popen[str]:
    """A process that prints its temporary folder, and then runs the code."""
    program = f"from raytune_hpo.checkpoints.temporary import *; print(temporary_folder(), flush=True); {code}"
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)


def test_places_are_new_and_lie_in_one_folder() -> None:
    first, second = Path(temporary_place()), Path(temporary_place())
    assert first != second
    assert str(first.parent) == str(second.parent) == temporary_folder()


def test_a_folder_goes_with_its_process(tmp_path: Path) -> None:
    other = in_another_process(tmp_path, "")
    assert other.communicate()[0].startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_killed_process_goes_when_the_next_is_made_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    other = in_another_process(tmp_path, "import time; time.sleep(600)")
    assert other.stdout is not None
    theirs = Path(other.stdout.readline().strip())
    (theirs / "0").mkdir()
    try:
        temporary_folder()
        assert (theirs / "0").is_dir()
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert theirs.is_dir()
    temporary._own.clear()  # as if this were another process
    temporary_folder()
    assert not theirs.exists()


def test_a_forked_process_has_a_folder_of_its_own_and_leaves_that_of_its_parent() -> None:
    mine = Path(temporary_folder())
    child = os.fork()
    if child == 0:
        os._exit(0 if temporary_folder() != str(mine) and mine.is_dir() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert mine.is_dir()
