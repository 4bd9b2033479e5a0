"""The checkpoints of one attempt: the one that it resumes from, and those that it saves."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.checkpoints.store import CheckpointStore, copy_of
from raytune_hpo.core.messages import Assignment
from raytune_hpo.display.text import cut
from raytune_hpo.errors import ObjectiveError
from raytune_hpo.runtime.output import uncaptured

RETRY_S = 5.0  # the interval of retries on a full disk
_FULL = (errno.ENOSPC, errno.EDQUOT)
_log = logging.getLogger("raytune_hpo")


class DiskFull(Exception):
    """There is no room on the disk for a checkpoint."""


class Saving:
    """Saves the checkpoints of one attempt.

    Args:
        store: where they are saved; None if checkpoints are not supported here.
        every_s: the interval of periodic checkpoints in seconds; None: only when one is needed.

    Attributes:
        was_asked: whether the objective has asked for the checkpoint that it resumes from.
    """

    def __init__(self, assignment: Assignment, store: CheckpointStore | None, every_s: float | None) -> None:
        self.was_asked = self._was_full = False
        self._assignment, self._store, self._every_s = assignment, store, every_s
        self._saved_at = time.monotonic()
        if store is not None and assignment.attempt > 1:
            begun_with = assignment.checkpoint  # others have no fact: an attempt died between saving and journalling
            store.sweep_of(assignment.number, [] if begun_with is None else [begun_with.record])

    @property
    def begun_with(self) -> Checkpoint | None:
        """The checkpoint that the attempt resumes from; None on a fresh start."""
        self.was_asked = True
        return self._assignment.checkpoint

    @property
    def is_due(self) -> bool:
        """Whether a periodic checkpoint is due."""
        return self._every_s is not None and time.monotonic() - self._saved_at >= self._every_s

    def save(self, step: int, save: Callable[[Path], object]) -> dict[str, Any] | None:
        """Save the state of a step, and return the checkpoint's record.

        Raises:
            DiskFull: there is no room for it now.
            ObjectiveError: checkpoints cannot be kept where they are to be.
        """
        if self._store is None:
            return None
        failures: list[BaseException] = []

        def write(folder: Path) -> None:
            try:
                save(folder)
            except BaseException as failure:
                failures.append(failure)
                raise

        try:
            record = self._store.save(self._assignment.number, self._assignment.attempt, step, write)
        except Exception as error:  # a file system's package raises its own
            if not isinstance(error, OSError) or error.errno not in _FULL:
                if failures:
                    raise
                raise ObjectiveError(
                    f"checkpoints are to be kept in {self._store.url!r}, where they cannot be written: "
                    f"{type(error).__name__}: {error}; set checkpoints= to a folder or URL where they can"
                ) from error
            if not self._was_full:
                with uncaptured():
                    _log.warning("the disk is full: trial %d waits to save its checkpoint", self._assignment.number)
                self._was_full = True
            raise DiskFull from error
        self._saved_at, self._was_full = time.monotonic(), False
        return record


class Extras(NamedTuple):
    """The arguments of a report other than its metrics.

    Attributes:
        step: the step; None: the next one.
        save: writes a checkpoint; ``is_taken``: whether it is saved in any case.
    """

    step: int | None = None
    save: Callable[[Path], object] | None = None
    is_taken: bool = False


NAMES = frozenset(("step", "save", "checkpoint"))  # keys of a dict of metrics that are not metrics


def extras_of(step: Any = None, save: Any = None, checkpoint: Any = None) -> Extras:
    """Check these arguments of a report.

    Raises:
        ObjectiveError: ``save`` or ``checkpoint`` has another type; it is probably a metric of that name.
    """
    if save is not None and not callable(save):
        raise ObjectiveError(
            f"save is a function that writes a checkpoint into the folder it is given, got {cut(repr(save), 80)}; "
            f"a metric needs another name"
        )
    if checkpoint is None:
        return Extras(step, save)
    if not isinstance(checkpoint, (str, PathLike)) or not Path(checkpoint).is_dir():
        raise ObjectiveError(
            f"checkpoint is a folder that holds one, got {cut(repr(checkpoint), 80)}; a metric needs another name"
        )
    return Extras(step, copy_of(checkpoint), is_taken=True)
