"""Failures of trials as they are recorded: a bounded text, and a reason in one line."""

from __future__ import annotations

import re
import traceback
from typing import NamedTuple

from raytune_hpo.display.text import cut, first_line
from raytune_hpo.errors import ObjectiveError

MAX_ERROR_CHARS = 8_000
MAX_REASON_CHARS = 300
_FRAME = '\n  File "'  # of a traceback in a message
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # with which Ray's errors mark the names of tasks


class Failure(NamedTuple):
    """Why a trial failed: the whole text, such as a traceback, and a summary in one line."""

    error: str
    reason: str


def failure_of(error: BaseException, hint: str = "") -> Failure:
    """The failure for an exception: its traceback, and its type with the first line of its message.

    An ``ObjectiveError`` says what is wrong with the objective, so that it needs no traceback. Of an exception that brings
    the traceback of another process, such as a Ray task, the reason is what was raised there.

    Args:
        hint: a likely cause, added to both.
    """
    is_explained = isinstance(error, ObjectiveError)
    name = ObjectiveError.__name__ if is_explained else type(error).__name__
    try:
        message = str(error)
        text = f"{name}: {message}" if is_explained else "".join(traceback.format_exception(error)).rstrip()
    except Exception as broken:  # an exception whose own __str__ raises
        text = f"{name} (its message cannot be shown: {type(broken).__name__})"
        return Failure(text, text)
    line = first_line(message)
    reason = f"{name}: {line}" if line else name
    if _FRAME in message:
        reason = _raised_elsewhere(error, message)
    text, reason = _COLOURS.sub("", text), _COLOURS.sub("", reason)
    return Failure(_shortened(text + hint), cut(reason, MAX_REASON_CHARS) + hint)


def _raised_elsewhere(error: BaseException, message: str) -> str:
    """What was raised in another process, whose traceback is in the message."""
    while isinstance(cause := getattr(error, "cause", None), Exception):  # Ray's, if the cause could be pickled
        error = cause
        message = str(error)
    if _FRAME in message:
        return first_line(message.strip().rpartition("\n")[2])
    return f"{type(error).__name__}: {first_line(message)}"


def failure_of_text(text: str) -> Failure:
    """The failure for an error that came as text, such as a traceback: its last line is the reason."""
    return Failure(_shortened(text), cut(first_line(text.strip().rpartition("\n")[2]), MAX_REASON_CHARS))


def _shortened(text: str) -> str:
    """The text, or its beginning and end if it is too long."""
    if len(text) <= MAX_ERROR_CHARS:
        return text
    half = MAX_ERROR_CHARS // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
