"""The record of a checkpoint, as stored in the journal, and access to its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_hpo.checkpoints.fetching import BYTES, URL, fetched
from raytune_hpo.errors import CheckpointGone


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved state of a trial: a folder that its objective wrote.

    Attributes:
        number: the number of the trial that saved it; ``step``: the step of the report whose state it is.
        record: ``url`` of the folder, its size in ``bytes``, the ``digest`` of its contents, and the ``node`` of a cluster
            on whose disk it is. A checkpoint that a worker or user keeps elsewhere has none of these.
    """

    number: int
    step: int
    record: Mapping[str, Any]

    @property
    def size_bytes(self) -> int:
        """The size of all its files, in bytes."""
        return int(self.record.get(BYTES, 0))

    @property
    def path(self) -> Path:
        """The folder, to read from; fetched if it is elsewhere.

        Raises:
            CheckpointGone: it cannot be fetched, or differs from what was saved.
        """
        try:
            return fetched(self.record)
        except (OSError, ValueError) as error:
            place = self.record.get(URL, "kept elsewhere")
            raise CheckpointGone(
                f"the checkpoint of trial {self.number} at step {self.step} ({place}) cannot be read: {error}"
            ) from error
