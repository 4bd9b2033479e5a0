"""The progress line of a running study.

A terminal gets one line that updates in place, a notebook one display, and anything else (a log file, a job's output)
a plain line now and then, and the last one.
"""

from __future__ import annotations

import html as escaping
import os
import sys
import time
import unicodedata
from collections import deque
from types import TracebackType
from typing import Any, Protocol, TextIO

from raytune_hpo.ledger import StudyStatus
from raytune_hpo.texts import duration, number

LOG_EVERY_S = 10.0
RATE_OVER_S = 60.0  # the rate is that of the last minute
_COLUMNS = 80  # of a terminal that does not say


# ---------------------------------------------------------------------------------------------- what is said


def line(status: StudyStatus, rate: float | None) -> str:
    """The study on one line, the most wanted first: terminals cut it at their width.

    Args:
        rate: finished trials per second; None where there is nothing to tell it from.
    """
    return f"{status.name}: {', '.join(_parts(status, rate))}"


def html(status: StudyStatus, rate: float | None) -> str:
    """The same for a notebook, with a bar where there is an end in sight; the name is escaped."""
    done = _share(status)
    bar = "" if done is None else f'<progress value="{done:.4f}" max="1" style="width: 12em"></progress> '
    name = escaping.escape(status.name)
    return f"<div>{bar}<b>{name}</b>: {escaping.escape(', '.join(_parts(status, rate)))}</div>"


def _parts(status: StudyStatus, rate: float | None) -> list[str]:
    counts, total = status.counts, status.limits.num_trials
    parts = [f"{status.num_finished}{'' if total is None else f'/{total}'} trials"]
    parts += [f"best {metric}={number(value)}" for metric, value in status.best.items()]
    if status.best_number is not None and len(status.best) == 1:
        parts[-1] += f" (trial {status.best_number})"
    parts += [f"{counts[word]} {word}" for word in ("running", "pruned", "failed", "waiting") if counts.get(word)]
    if not status.is_running:
        return [*parts, f"{duration(status.elapsed_s)}, ended by {status.stopped}"]
    if rate:
        parts.append(_speed(rate))
    parts.append(duration(status.elapsed_s))
    left = time_left(status, rate)
    return parts if left is None else [*parts, f"{duration(left)} left"]


def time_left(status: StudyStatus, rate: float | None) -> float | None:
    """Seconds until the nearest of the study's limits, as far as one can tell."""
    limits, ends = status.limits, []
    if limits.time_budget_s is not None:
        ends.append(max(0.0, limits.time_budget_s - status.elapsed_s))
    if limits.num_trials is not None and rate:
        ends.append(max(0, limits.num_trials - status.num_finished) / rate)
    return min(ends) if ends else None


def _share(status: StudyStatus) -> float | None:
    """How far the study is towards the nearest of its limits, from 0 to 1."""
    limits, shares = status.limits, []
    if limits.num_trials is not None:
        shares.append(status.num_finished / limits.num_trials)
    if limits.time_budget_s is not None:
        shares.append(status.elapsed_s / limits.time_budget_s)
    return min(1.0, max(shares)) if shares else None


def _speed(rate: float) -> str:
    return f"{rate:.3g}/s" if rate >= 1 else f"{rate * 60:.3g}/min"


def fit(text: str, columns: int) -> str:
    """The longest beginning that takes at most ``columns`` columns of a terminal; wide characters take two."""
    used = 0
    for index, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > columns:
            return text[:index]
    return text


# ---------------------------------------------------------------------------------------------- where it is said


class Display(Protocol):
    """A place for the newest state."""

    def show(self, status: StudyStatus, rate: float | None) -> None: ...

    def close(self, status: StudyStatus, rate: float | None) -> None:
        """Leave the last state behind."""
        ...


class _Terminal:
    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, ""

    def show(self, status: StudyStatus, rate: float | None) -> None:
        # One column stays free: a full line makes some terminals wrap.
        text = fit(line(status, rate), _columns(self._stream) - 1)
        if text != self._last:
            self._stream.write("\r" + text + " " * max(0, len(self._last) - len(text)))
            self._stream.flush()
            self._last = text

    def close(self, status: StudyStatus, rate: float | None) -> None:
        self.show(status, rate)
        self._stream.write("\n")
        self._stream.flush()


class _Log:
    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, ""
        self._said_at = time.monotonic()

    def show(self, status: StudyStatus, rate: float | None) -> None:
        if time.monotonic() - self._said_at >= LOG_EVERY_S:
            self._say(line(status, rate))

    def close(self, status: StudyStatus, rate: float | None) -> None:
        self._say(line(status, rate))

    def _say(self, text: str) -> None:
        self._said_at = time.monotonic()
        self._stream.write(text + "\n")
        self._stream.flush()


class _Notebook:
    def __init__(self) -> None:
        self._id, self._last = f"raytune_hpo-{id(self)}-{time.time_ns()}", ""

    def show(self, status: StudyStatus, rate: float | None) -> None:
        text = html(status, rate)
        if text != self._last:
            shown: Any = sys.modules["IPython"].display
            shown.display(shown.HTML(text), display_id=self._id, update=bool(self._last))
            self._last = text

    def close(self, status: StudyStatus, rate: float | None) -> None:
        self.show(status, rate)


class Progress:
    """Shows a study's progress while it runs; a context manager, which leaves the last state behind.

    Args:
        enabled: False: nothing is shown at all.
        stream: for terminals and logs; by default stderr, so that a program's own output stays clean.
    """

    def __init__(self, *, enabled: bool = True, stream: TextIO | None = None) -> None:
        self._display = _display(stream or sys.stderr) if enabled else None
        self._last: StudyStatus | None = None
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, status: StudyStatus) -> None:
        """Show the newest state; to be called a few times a second."""
        self._last = status
        self._seen.append((time.monotonic(), status.num_finished))
        while self._seen[-1][0] - self._seen[0][0] > RATE_OVER_S and len(self._seen) > 2:
            self._seen.popleft()
        if self._display is not None:
            self._display.show(status, self._rate())

    def close(self) -> None:
        """Show the last state, and end the line."""
        if self._display is not None and self._last is not None:
            self._display.close(self._last, self._rate())
        self._display = None

    def _rate(self) -> float | None:
        """Trials finished per second since the oldest state that is remembered."""
        (begin, before), (now, after) = self._seen[0], self._seen[-1]
        return (after - before) / (now - begin) if after > before and now > begin else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _display(stream: TextIO) -> Display:
    if _in_notebook():
        return _Notebook()
    return _Terminal(stream) if stream.isatty() else _Log(stream)


def _in_notebook() -> bool:
    """Whether an IPython kernel runs this; IPython is not imported to find out."""
    module: Any = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    # Jupyter, VS Code, Colab and Databricks name their shells differently; what they share is the kernel.
    return getattr(shell, "kernel", None) is not None


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except (OSError, ValueError, AttributeError):  # no file behind it, or no terminal
        return _COLUMNS
