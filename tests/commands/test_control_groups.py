"""Control groups: where one has been delegated, and what it is told. The kernel's part is not here."""

from __future__ import annotations

import pytest

from raytune_hpo.commands import control_groups


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
