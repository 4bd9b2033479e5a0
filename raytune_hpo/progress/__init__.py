"""Progress display of a running study: a line in a terminal, a card in a notebook, or plain lines in a log.

A terminal's line and a notebook's card update in place; anything else (a log file, a job's output) gets a plain line now
and then, and the last one.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, TextIO

from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.progress.notebook import Card, in_notebook
from raytune_hpo.progress.pace import Meter
from raytune_hpo.progress.terminal import StudyLine


class Display(Protocol):
    """A display that shows the newest state of a study."""

    def say(self, text: str) -> None:
        """Show a sentence until there is a state to show."""
        ...

    def unsay(self) -> None:
        """Remove the sentence, since there will be no state."""
        ...

    def show(self, snapshot: Snapshot, rate: float | None) -> None: ...

    def close(self, snapshot: Snapshot, rate: float | None) -> None:
        """Show the last state, which remains."""
        ...


class Progress:
    """The progress display of a running study; a context manager, after which the last state remains.

    Args:
        enabled: False shows nothing.
        stream: for terminals and logs; by default stderr, so that a program's own output stays clean.
    """

    def __init__(self, *, enabled: bool = True, stream: TextIO | None = None) -> None:
        self._display: Display | None = None
        if enabled:
            self._display = Card() if in_notebook() else StudyLine(stream or sys.stderr)
        self._last: Snapshot | None = None
        self._meter = Meter()

    def say(self, text: str) -> None:
        """Show what the caller is waiting for, before there is a study to show."""
        if self._display is not None and self._last is None:
            self._display.say(text)

    def update(self, snapshot: Snapshot) -> None:
        """Show the newest state; to be called a few times a second."""
        self._last = snapshot
        self._meter.note(snapshot.status.num_at_rest)
        if self._display is not None:
            self._display.show(snapshot, self._meter.rate())

    def close(self) -> None:
        """Show the last state, and end the line."""
        if self._display is not None and self._last is not None:
            self._display.close(self._last, self._meter.rate())
        elif self._display is not None:
            self._display.unsay()
        self._display = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
