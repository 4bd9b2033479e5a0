"""Logging by the logger ``optuna``, by default to the standard error stream."""

from __future__ import annotations

import logging
import sys
import threading
from logging import CRITICAL, DEBUG, ERROR, FATAL, INFO, NOTSET, WARN, WARNING

__all__ = [
    "CRITICAL",
    "DEBUG",
    "ERROR",
    "FATAL",
    "INFO",
    "WARN",
    "WARNING",
    "disable_default_handler",
    "disable_propagation",
    "enable_default_handler",
    "enable_propagation",
    "get_logger",
    "get_verbosity",
    "set_verbosity",
]

_NAME = "optuna"
_FORMAT = "[%(levelname).1s %(asctime)s] %(message)s"
_lock = threading.Lock()


class _ToStandardError(logging.StreamHandler):  # type: ignore[type-arg]  # generic only for type checkers
    """Writes to the current standard error stream, since notebooks and tests replace it."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter(_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


_default = _ToStandardError()


def library_logger() -> logging.Logger:
    """The logger ``optuna``, set up at its first use. If Optuna is loaded too, each line is still written only once."""
    logger = logging.getLogger(_NAME)
    optunas = getattr(sys.modules.get("optuna.logging"), "_default_handler", None)
    with _lock:
        writes = optunas is None or optunas in logger.handlers  # what Optuna has been told by the script holds here too
        if optunas is not None:
            logger.removeHandler(optunas)
        if not getattr(logger, "_raytune_hpo", False):
            if writes:
                logger.addHandler(_default)
            if logger.level == NOTSET:
                logger.setLevel(INFO)
            if optunas is None:
                logger.propagate = False
            logger._raytune_hpo = True  # type: ignore[attr-defined]
    return logger


def get_logger(name: str) -> logging.Logger:
    """The logger of that name; those below ``optuna`` write to the same handlers."""
    library_logger()
    return logging.getLogger(name)


def get_verbosity() -> int:
    """The lowest level of messages that are shown."""
    return library_logger().getEffectiveLevel()


def set_verbosity(verbosity: int) -> None:
    """Show messages of this level and above."""
    library_logger().setLevel(verbosity)


def disable_default_handler() -> None:
    """Do not write to the standard error stream."""
    library_logger().removeHandler(_default)


def enable_default_handler() -> None:
    """Write to the standard error stream, the default."""
    library_logger().addHandler(_default)


def disable_propagation() -> None:
    """Do not pass messages to the root logger, the default."""
    library_logger().propagate = False


def enable_propagation() -> None:
    """Pass messages to the root logger, too."""
    library_logger().propagate = True
