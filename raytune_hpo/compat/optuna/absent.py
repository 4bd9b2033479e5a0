"""Modules of Optuna without a counterpart here: they can be imported, and their names say what to do instead."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from raytune_hpo.compat.optuna.exceptions import NotCarried

_ROOT = __package__
_MULTI_OBJECTIVE = ("", ".samplers", ".study", ".trial", ".visualization")


def open_stand_in(path: str, refusal: Callable[[str], NotCarried]) -> None:
    """Make a module importable by its path below this package.

    Args:
        refusal: makes the error for one of its names.
    """
    module = ModuleType(f"{_ROOT}.{path}", f"``optuna.{path}``: can be imported, but not used.")

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        below = sys.modules.get(f"{module.__name__}.{name}")
        if below is None:
            raise refusal(name)
        return below

    vars(module)["__getattr__"] = __getattr__
    sys.modules[module.__name__] = module


def open_multi_objective() -> None:
    """The modules of Optuna 1 to 3 for several goals."""
    for part in _MULTI_OBJECTIVE:
        open_stand_in(f"multi_objective{part}", partial(_of_several_goals, f"multi_objective{part}"))


def _of_several_goals(path: str, name: str) -> NotCarried:
    return NotCarried(
        f"{path}.{name} is not supported here, and Optuna has it no more; create_study(directions=[...]) takes a direction "
        f"for each value that the objective returns, and study.best_trials are the best of several goals"
    )
