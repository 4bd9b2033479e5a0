"""Control groups: where one has been delegated, what it is told, and what becomes of the processes in one."""

from __future__ import annotations

import os
import pathlib
import sys

import pytest

import raytune_hpo as hpo
from raytune_hpo.commands import control_groups
from raytune_hpo.commands.launching import Job, StaticLimits, run_program
from raytune_hpo.errors import ObjectiveError
from tests.commands.programs import python


@pytest.fixture
def tree(tmp_path):
    """A folder as the kernel shows one that has been delegated, and the file that says whose it is."""
    folder = tmp_path / "user.slice" / "mine"
    folder.mkdir(parents=True)
    (folder / "cgroup.subtree_control").write_text("cpu memory pids\n")
    own = tmp_path / "own"
    own.write_text("0::/user.slice/mine\n")
    return tmp_path, own, folder


def test_a_delegated_group_is_found(tree):
    root, own, folder = tree
    assert control_groups.delegated(root, own) == folder
    (folder / "cgroup.subtree_control").write_text("cpu pids\n")
    assert control_groups.delegated(root, own) is None
    own.write_text("4:memory:/old\n")
    assert control_groups.delegated(root, own) is None


def test_a_group_for_a_run_has_its_limits_and_is_removed(tree, monkeypatch):
    _, _, folder = tree
    monkeypatch.setenv(control_groups.FOLDER_VARIABLE, str(folder))
    group = folder / "raytune-hpo-r"
    assert control_groups.made("r", memory_mb=100, cpus=2) == str(group)
    assert (group / "memory.max").read_text() == "100000000"
    assert (group / "cpu.max").read_text() == "200000 100000"
    for file in group.iterdir():
        file.unlink()  # the kernel's own files need not be
    control_groups.remove(str(group))
    assert not group.exists()


def test_without_a_group_a_run_goes_on_without(monkeypatch, tmp_path):
    monkeypatch.setenv(control_groups.FOLDER_VARIABLE, str(tmp_path / "none"))
    assert control_groups.made("r", memory_mb=100, cpus=None) is None


def test_a_run_joins_its_group_and_its_peak_is_the_kernels(tree, monkeypatch):
    """The kernel's part is played by files; the launcher's is real."""
    _, _, folder = tree
    monkeypatch.setenv(control_groups.FOLDER_VARIABLE, str(folder))
    made, groups = control_groups.made, []

    def made_with_a_peak(*args):
        group = made(*args)
        pathlib.Path(group, "memory.peak").write_text("123000000\n")
        groups.append(pathlib.Path(group))
        return group

    monkeypatch.setattr(control_groups, "made", made_with_a_peak)
    measured = hpo.Command("true", metrics=["peak_mb"], repeats=1, memory_mb=500)({})
    assert (measured["peak_mb"], measured["peak_by"]) == (123.0, "cgroup")
    assert (groups[0] / "cgroup.procs").read_text() == "0"  # which the kernel takes for whoever writes it
    assert (groups[0] / "memory.max").read_text() == "500000000"


def real_folder():
    """A folder of the real kernel's groups in which one can be made; None where there is none."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    for _, place, kind, *_ in mounts:
        probe = pathlib.Path(place, f"raytune-hpo-probe-{os.getpid()}")
        try:
            if kind == "cgroup2":
                probe.mkdir()
                probe.rmdir()
                return pathlib.Path(place)
        except OSError:
            continue
    return None


@pytest.fixture
def delegated():
    """A folder of the real kernel's groups in which memory is counted; skips where the kernel does not do that here."""
    mount = real_folder() if sys.platform == "linux" else None
    if mount is None:
        pytest.skip("no control group can be made here")
    folder = mount / f"raytune-hpo-delegated-{os.getpid()}"
    folder.mkdir()
    try:
        if "memory" not in (folder / "cgroup.controllers").read_text().split():
            pytest.skip("memory is not counted by control groups of version 2 here")
        (folder / "cgroup.subtree_control").write_text("+memory")
        yield folder
    finally:
        folder.rmdir()


@pytest.mark.slow
def test_the_kernel_counts_and_limits_the_memory_of_all_processes_of_a_run(delegated, monkeypatch):
    monkeypatch.setenv(control_groups.FOLDER_VARIABLE, str(delegated))
    touch = "x = bytearray(60_000_000)\\nfor i in range(0, len(x), 4096): x[i] = 1\\nimport time; time.sleep(0.5)"
    two = (
        "import subprocess, sys\n"
        f"p = [subprocess.Popen([sys.executable, '-I', '-S', '-c', '{touch}']) for _ in range(2)]\n"
        "sys.exit(max(abs(q.wait()) for q in p))"
    )
    ran = run_program(Job(argv=python(two)))
    assert (ran.peak_by, ran.exit_code) == ("cgroup", 0) and 120 < ran.peak_mb < 220
    ran = run_program(Job(argv=python(two), limits=StaticLimits(memory_mb=90)))
    assert ran.exit_code != 0 and ran.peak_mb < 95
    assert list(delegated.glob("raytune-hpo-*")) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or real_folder() is None, reason="no control group can be made here")
def test_what_a_run_leaves_in_its_group_is_ended_by_the_kernel(monkeypatch, tmp_path):
    """The kernel's groups themselves; whether it counts memory in them depends on the machine, so that is not asked for."""
    monkeypatch.setattr(control_groups, "delegated", real_folder)
    joined, numbers = tmp_path / "joined", tmp_path / "numbers"
    hides = f"trap '' TERM; cat /proc/self/cgroup > {joined}; setsid sleep 300 & echo $! > {numbers}; sleep 300"
    command = hpo.Command(["bash", "-c", hides], timeout_s=1.0, repeats=1)
    with pytest.raises(ObjectiveError, match="timeout_s=1"):
        command({})
    assert "/raytune-hpo-" in joined.read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(int(numbers.read_text()), 0)
    assert list(real_folder().glob("raytune-hpo-*")) == []
