"""Progress as text: one line of a terminal that updates in place, or plain lines of a log."""

from __future__ import annotations

import os
import time
from typing import TextIO

from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.display.text import terminal_columns
from raytune_hpo.progress.words import line_of

LOG_EVERY_S = 10.0
_COLUMNS = 80  # of a terminal that does not tell its width


class InPlace:
    """One line of a terminal that is written again and again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, ""

    def write(self, line: str) -> None:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
        except (OSError, ValueError, AttributeError):  # the stream has no file, or is not a terminal
            columns = _COLUMNS
        # One column stays free: a full line makes some terminals wrap.
        text = cut_to_columns(line, columns - 1)
        if text != self._last:
            self._stream.write("\r" + text + " " * max(0, terminal_columns(self._last) - terminal_columns(text)))
            self._stream.flush()
            self._last = text

    def wipe(self) -> None:
        """Erase the line."""
        if self._last:
            self.write("")
            self._stream.write("\r")
            self._stream.flush()

    def end(self, line: str) -> None:
        """Write the last line."""
        self.write(line)
        self._stream.write("\n")
        self._stream.flush()


class LogLines:
    """Lines of a log, one every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, ""
        self._said_at = time.monotonic()

    def write(self, line: str) -> None:
        if time.monotonic() - self._said_at >= LOG_EVERY_S:
            self.end(line)

    def end(self, line: str) -> None:
        """Write the line at once, but not twice in a row."""
        self._said_at = time.monotonic()
        if line != self._last:
            self._stream.write(line + "\n")
            self._stream.flush()
            self._last = line

    def wipe(self) -> None:
        """Do nothing: a log keeps its lines."""


def line_on(stream: TextIO) -> InPlace | LogLines:
    """The writer for a stream: in place on a terminal, as lines of a log anywhere else."""
    return InPlace(stream) if stream.isatty() else LogLines(stream)


class StudyLine:
    """The progress of a study on one line."""

    def __init__(self, stream: TextIO) -> None:
        self._line = line_on(stream)

    def say(self, text: str) -> None:
        if isinstance(self._line, InPlace):
            self._line.write(text)
        else:
            self._line.end(text)

    def unsay(self) -> None:
        self._line.wipe()

    def show(self, snapshot: Snapshot, rate: float | None) -> None:
        self._line.write(line_of(snapshot, rate))

    def close(self, snapshot: Snapshot, rate: float | None) -> None:
        self._line.end(line_of(snapshot, rate))


def cut_to_columns(text: str, columns: int) -> str:
    """The longest beginning that takes at most ``columns`` columns of a terminal."""
    used = 0
    for index, character in enumerate(text):
        used += terminal_columns(character)
        if used > columns:
            return text[:index]
    return text
