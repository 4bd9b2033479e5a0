"""The record of a checkpoint, as stored in the journal, and access to its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raytune_hpo.checkpoints.fetching import BYTES, URL, fetched
from raytune_hpo.errors import CheckpointGone


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved state of a trial: a folder that its objective wrote.

    Attributes:
        number: the number of the trial that saved it.
        step: the step of the report whose state it is.
        record: ``url`` of the folder, its size in ``bytes``, the ``digest`` of its contents, and the ``node`` of a cluster
            on whose disk it is. A checkpoint that a worker or user keeps elsewhere has none of these.
    """

    number: int
    step: int
    record: Mapping[str, Any]
    _found: list[Path] = field(default_factory=list, init=False, repr=False, compare=False)  # the folder, once verified

    @property
    def size_bytes(self) -> int:
        """The size of all its files, in bytes."""
        return int(self.record.get(BYTES, 0))

    @property
    def path(self) -> Path:
        """The folder, to read from; at first use it is fetched if it is elsewhere, and its contents are verified.

        Raises:
            CheckpointGone: it cannot be fetched, or differs from what was saved.
        """
        try:
            if not self._found or not self._found[0].is_dir():
                self._found[:] = [fetched(self.record)]
            return self._found[0]
        except (OSError, ValueError) as error:
            place = self.record.get(URL, "kept elsewhere")
            raise CheckpointGone(
                f"the checkpoint of trial {self.number} at step {self.step} ({place}) cannot be read: {error}"
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the folder that was found: in another process it has to be found, and verified, again."""
        return Checkpoint, (self.number, self.step, self.record)
