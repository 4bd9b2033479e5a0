"""Control groups (cgroup v2) for one run each, where a folder has been delegated to this user."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "RAYTUNE_HPO_CGROUP"  # names a delegated folder other than this process's own group
ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000


def delegated(root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> Path | None:
    """A folder in which this process may create groups that limit and account memory; None if there is none."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        folder = Path(named)
    else:
        try:
            line = next(line for line in own.read_text().splitlines() if line.startswith("0::/"))
        except (OSError, StopIteration):  # another system, or control groups of version 1
            return None
        folder = root / line.removeprefix("0::/")
    try:
        controllers = (folder / "cgroup.subtree_control").read_text().split()
    except OSError:
        return None
    return folder if "memory" in controllers and os.access(folder, os.W_OK) else None


def made(name: str, memory_mb: float | None, cpus: int | None) -> str | None:
    """Create a group for one run, with its limits; None if that is not possible."""
    folder = delegated()
    if folder is None:
        return None
    group = folder / f"raytune-hpo-{name}"
    try:
        group.mkdir()
        if memory_mb is not None:
            (group / "memory.max").write_text(str(int(memory_mb * 1e6)))
            (group / "memory.swap.max").write_text("0")
        if cpus is not None:
            (group / "cpu.max").write_text(f"{cpus * _PERIOD_US} {_PERIOD_US}")
    except OSError:  # this controller was not delegated; the other limits still hold
        remove(str(group))
        return None
    return str(group)


def remove(group: str | None) -> None:
    """Remove a group, after its processes have ended."""
    if group is not None:
        try:
            os.rmdir(group)
        except OSError:
            return  # a process in it is still ending; an empty group that stays costs nothing
