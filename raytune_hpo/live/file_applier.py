"""Applier that writes a file for each group, and sends a signal to the process that reads it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.files import json_object, reading, write_whole
from raytune_hpo.live.appliers import Measurement


class Meter(Protocol):
    """Measures a group, for an applier that cannot."""

    def measure(self, group: str, start: float, end: float) -> Measurement:
        """See ``Applier.measure``."""
        ...


class FileApplier:
    """Writes each group's configuration to a JSON file, and signals the group's process to read it.

    The files are written atomically. Reading back reads the file, so a process that ignores it shows only in measurements.

    Args:
        path: the path of the file, with ``{group}`` in it.
        meter: measures the groups.
        pid_file: the path of the file with the process id of a group, with ``{group}``; None sends no signal.
        signal_name: the signal to send, SIGHUP by default.

    Raises:
        SpecError: a path without ``{group}``, or an unknown signal.
    """

    def __init__(self, path: str, meter: Meter, *, pid_file: str | None = None, signal_name: str = "SIGHUP") -> None:
        for what, said in (("path", path), ("pid_file", pid_file)):
            if not isinstance(said, (str, type(None))):
                raise SpecError(f"{what} is text, got {said!r}")
        if "{group}" not in path:
            raise SpecError(f"each group has a file of its own, so the path needs {{group}} in it, got {path!r}")
        if signal_name not in signal.Signals.__members__:
            raise SpecError(f"signal_name is one like SIGHUP, got {signal_name!r}")
        self._path, self._meter, self._pid_file = path, meter, pid_file
        self._signal = signal.Signals[signal_name]

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        """Write the file, and send the signal."""
        write_whole(self._file(group), json.dumps(dict(config), indent=1) + "\n")
        if self._pid_file is None:
            return
        path = Path(self._pid_file.replace("{group}", group))
        with reading("a file with a process's number", path, error=HpoError):
            os.kill(int(path.read_text(encoding="utf-8")), self._signal)

    def read(self, group: str) -> Mapping[str, Any]:
        """Read the file."""
        path = self._file(group)
        with reading("a group's file is a JSON object", path, error=HpoError):
            return json_object(path)

    def measure(self, group: str, start: float, end: float) -> Measurement:
        """Measure with the meter."""
        return self._meter.measure(group, start, end)

    def _file(self, group: str) -> Path:
        return Path(self._path.replace("{group}", group))
