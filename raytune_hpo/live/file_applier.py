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
        SpecError: a path without ``{group}``, an unknown signal, or a meter that does not measure.
    """

    def __init__(self, path: str, meter: Meter, *, pid_file: str | None = None, signal_name: str = "SIGHUP") -> None:
        paths = {"path": path} if pid_file is None else {"path": path, "pid_file": pid_file}
        for what, said in paths.items():
            if not isinstance(said, str):
                raise SpecError(f"{what} is text, got {said!r}")
            if "{group}" not in said:
                raise SpecError(f"each group has a file of its own, so {what} needs {{group}} in it, got {said!r}")
        if not callable(getattr(meter, "measure", None)):
            raise SpecError(f"a meter has a method measure, got {meter!r}; PrometheusMeter is one")
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
        with reading("a pid file has the number of a process", path, error=HpoError):
            pid = int(path.read_text(encoding="utf-8"))
        if pid <= 0:  # of kill, these are whole groups of processes: with 0, that of this controller
            raise HpoError(f"a pid file has the number of a process, from 1 on, {path} has {pid}; see who writes it")
        try:
            os.kill(pid, self._signal)
        except OSError as error:
            raise HpoError(
                f"process {pid}, which {path} names, cannot be sent {self._signal.name}: {error.strerror}; see whether "
                f"{group} runs, and whether its pid file is up to date"
            ) from error

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
