"""Exceptions, under Optuna's names."""

from __future__ import annotations

from typing import Any

from raytune_hpo.errors import HpoError, TrialPruned

__all__ = [
    "CLIUsageError",
    "DuplicatedStudyError",
    "ExperimentalWarning",
    "ForOneGoal",
    "NotCarried",
    "NotInstalled",
    "OptunaError",
    "StorageInternalError",
    "TrialPruned",
    "UpdateFinishedTrialError",
]


class OptunaError(HpoError):
    """The base of this layer's exceptions."""


class CLIUsageError(OptunaError):
    """The command line was used wrongly; never raised, since this layer has none."""


class StorageInternalError(OptunaError):
    """The storage cannot be used."""


class DuplicatedStudyError(OptunaError):
    """The storage has a study of that name."""


class UpdateFinishedTrialError(OptunaError, RuntimeError):
    """A trial that has ended cannot be changed."""


class ExperimentalWarning(Warning):
    """A warning about features that Optuna calls experimental; never issued here."""


class ForOneGoal(OptunaError, NotImplementedError):
    """The call is possible only in studies with one goal."""


class NotCarried(OptunaError, NotImplementedError):
    """A feature of Optuna that this layer does not have; the message names what to use instead."""


class NotInstalled(NotCarried, ImportError):
    """A feature of the package ``optuna-integration``, which is not there; the message names what to do without it."""


def not_ours(wanted: str, given: Any) -> OptunaError:
    """The error for an object of a class that is not this layer's; if it is Optuna's own, the error names its import.

    Args:
        wanted: what is wanted, as the beginning of a sentence.
    """
    theirs = next((kind for kind in type(given).__mro__ if kind.__module__.startswith("optuna.")), None)
    text = f"{wanted}, got {given!r}"
    if theirs is None:
        return OptunaError(text)
    module = ".".join(theirs.__module__.split(".")[:2])
    return OptunaError(
        f"{text}; this {theirs.__name__} is Optuna's own: from raytune_hpo.compat.{module} import {theirs.__name__}"
    )
