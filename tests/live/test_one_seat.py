"""One live study at a time changes a running system: the seat beside it is held, and others are refused by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import StudyExists
from raytune_hpo.live.messages import Approve
from raytune_hpo.live.pull_board import PullBoard
from raytune_hpo.live.requests import leave
from raytune_hpo.live.seat import Seat
from tests.live.running_system import BASELINE, FAST, SPACE, Scripted, System

SHORT = {"window_s": 0.1, "check_s": 0.05, "observe": 4, "looks": [2], "changes_per_hour": 1000, "exploration": 0.9}


def make(tmp_path, name="shop", *, storage="s", tell=lambda text: None, **more):
    given = {"goal": "cost", "guards": ["p99 <= 150"], "baseline": BASELINE, "applier": System(), "name": name}
    given |= {"storage": f"sqlite:///{tmp_path}/{storage}.db", "seat": tmp_path / "seat", "tell": tell}
    return hpo.Live(SPACE, **{**given, **SHORT, "sampler": Scripted(configs=(FAST,)), **more})


@pytest.mark.parametrize(("name", "storage"), [("stall", "s"), ("shop", "t"), ("stall", "t")])
def test_a_second_study_on_a_seat_is_told_who_holds_it_and_the_way_out(tmp_path, name, storage):
    with make(tmp_path) as first:
        with pytest.raises(StudyExists) as refused:
            make(tmp_path, name, storage=storage)
        said = str(refused.value)
        assert f"{tmp_path}/seat" in said and "live study 'shop' of sqlite:///" in said and "(process " in said
        assert "another seat" in said
        run_for_a_window(first)
    with make(tmp_path, name, storage=storage) as second:
        run_for_a_window(second)
        assert second.status().state == "observing"


def run_for_a_window(live):
    """Run until something has been measured, however busy the machine is."""
    for _ in range(60):
        live.run(0.3)
        if live.status().windows:
            return
    pytest.fail("nothing was measured in 18 seconds")


def test_one_study_does_not_run_twice(tmp_path):
    with make(tmp_path), pytest.raises(StudyExists, match="shop"):
        make(tmp_path)
    with make(tmp_path), pytest.raises(StudyExists, match="shop"):
        make(tmp_path, seat=tmp_path / "other")


def test_a_seat_whose_study_was_refused_is_free(tmp_path):
    make(tmp_path).stop()
    with pytest.raises(hpo.errors.SpecMismatch):
        make(tmp_path, window_s=3.0)
    make(tmp_path).stop()


def test_another_study_takes_a_free_seat_over_without_what_the_last_one_left(tmp_path):
    with make(tmp_path) as first:
        first.run(0.5)
    seat = Seat(tmp_path / "seat")
    assert seat.seq > 3
    leave(seat.folder / "requests", Approve(number=7, by="ann", at=1.0))
    told = []
    with make(tmp_path, "stall", tell=told.append) as second:
        assert seat.seq == -1 and seat.control is None
        second.run(0.3)
        assert second.status().state == "observing" and second.status().windows
    assert "was that of live study 'shop'" in told[0] and "Approve by ann was left for 'shop'" in told[1]


def test_a_frozen_system_stays_frozen_for_another_study(tmp_path):
    make(tmp_path).stop()
    Seat(tmp_path / "seat").freeze("ann", "sale", 0.0)
    with make(tmp_path, "stall") as second:
        second.run(0.3)
        assert "ann: sale" in second.status().why


def test_a_study_that_was_killed_holds_nothing(tmp_path):
    program = f"""
import os
from raytune_hpo.live.seat import Seat
from pathlib import Path
Seat(Path({str(tmp_path / "seat")!r})).hold("shop", "memory")
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    make(tmp_path).stop()


def test_a_file_that_another_process_deletes_before_it_is_read_was_not_there(tmp_path, monkeypatch):
    seat, board = Seat(tmp_path), PullBoard(tmp_path)
    monkeypatch.setattr("pathlib.Path.exists", lambda path: True)
    assert (seat.frozen, seat.heartbeat_at, seat.baseline, seat.seq) == (None, None, None, -1)
    assert (board.offered("canary"), board.running("canary"), board.measured("canary", 0.0, 9.0)) == (None, None, [])
