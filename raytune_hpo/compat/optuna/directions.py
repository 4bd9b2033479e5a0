"""Directions of a study, under Optuna's names."""

from __future__ import annotations

import enum
from typing import Any


class StudyDirection(enum.IntEnum):
    """The direction of a goal: whether small or large values are good."""

    NOT_SET = 0
    MINIMIZE = 1
    MAXIMIZE = 2


_MODES = {StudyDirection.MINIMIZE: "min", StudyDirection.MAXIMIZE: "max"}


def direction_of(direction: Any) -> StudyDirection:
    """The direction that a script names, by a word, by this enum or by Optuna's own.

    Raises:
        ValueError: it is neither "minimize" nor "maximize".
    """
    name = direction.upper() if isinstance(direction, str) else getattr(direction, "name", None)
    if name in ("MINIMIZE", "MAXIMIZE"):
        return StudyDirection[name]
    raise ValueError(f'a direction is "minimize" or "maximize", got {direction!r}; several are given as directions=')


def mode_of(direction: StudyDirection) -> str:
    """The mode of ``hpo.Goal`` for a direction."""
    return _MODES[direction]


def direction_of_mode(mode: str) -> StudyDirection:
    """The direction for a mode of ``hpo.Goal``."""
    return next(direction for direction, word in _MODES.items() if word == mode)
