"""Reasons of failures in one line, for places without room for a traceback."""

from __future__ import annotations

import re

from raytune_hpo.display.text import visible
from raytune_hpo.trial import Trial

_FRAME = '  File "'
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*: \S")  # ValueError: ..., torch.cuda.OutOfMemoryError: ...


def reason_of_failure(trial: Trial) -> str:
    """The reason why a trial failed: the exception's type and the first line of its message; empty if it did not."""
    if trial.error is None:
        return ""
    # Journals of earlier versions have only the traceback.
    return visible(trial.reason or _reason_in(trial.error) or "no message")


def _reason_in(error: str) -> str:
    """The line of a traceback at which the exception's own text begins; later lines are the rest of its message."""
    lines = [line.rstrip() for line in error.strip().splitlines() if line.strip()]
    if len(lines) < 2 or not lines[0].startswith("Traceback"):
        return lines[0] if lines else ""
    frames = [i for i, line in enumerate(lines) if line.startswith(_FRAME)]
    after = lines[frames[-1] + 1 :] if frames else []
    unindented = [line for line in after or lines[1:] if not line[0].isspace()]
    named = [line for line in unindented if _EXCEPTION.match(line)]
    if frames:
        return next(iter(unindented), lines[-1])
    return named[-1] if named else lines[-1]
