"""Tuning tasks with known scales: recorded ones that lie in a folder of their own, and live ones that need nothing else."""

from __future__ import annotations

from pathlib import Path

from tasks import live, shared
from tasks.task import Outcome, Task

__all__ = ["Outcome", "Task", "load", "names"]


def names(folder: Path | None, tag: str | None = None) -> list[str]:
    """All tasks, or those of one kind: the shared ones where there is a folder of them, else the live ones."""
    if folder is None:
        return [name for name in live.names() if tag is None or tag in live.load(name).tags]
    return shared.names(folder, tag)


def load(name: str, folder: Path | None, form: str = "flat") -> Task:
    """A task by name.

    Args:
        folder: of the shared tasks; None where there is none.
        form: how the space of a shared task is put together: "flat" or "nested"; see
            ``raytune_hpo.experiments.parameter_lists``.

    Raises:
        SystemExit: there is no such task; says which there are.
    """
    if name in live.names():
        return live.load(name)
    if folder is None or name not in shared.names(folder):
        known = [*live.names(), *(shared.names(folder) if folder else [])]
        raise SystemExit(f"unknown task {name!r}; there are {', '.join(known)}")
    return shared.load(folder, name, form)
