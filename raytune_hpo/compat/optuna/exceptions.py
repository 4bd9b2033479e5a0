"""Exceptions, under Optuna's names."""

from __future__ import annotations

from raytune_hpo.errors import HpoError, TrialPruned

__all__ = [
    "CLIUsageError",
    "DuplicatedStudyError",
    "ExperimentalWarning",
    "ForOneGoal",
    "NotCarried",
    "OptunaError",
    "StorageInternalError",
    "TrialPruned",
    "UpdateFinishedTrialError",
]


class OptunaError(HpoError):
    """Base class of what Optuna's names stand for."""


class CLIUsageError(OptunaError):
    """The command line was used wrongly; this layer has none."""


class StorageInternalError(OptunaError):
    """The storage cannot be used."""


class DuplicatedStudyError(OptunaError):
    """The storage has a study of that name."""


class UpdateFinishedTrialError(OptunaError, RuntimeError):
    """A trial that has ended cannot be changed."""


class ExperimentalWarning(Warning):
    """Of what Optuna calls experimental; never given here."""


class ForOneGoal(OptunaError, NotImplementedError):
    """Something that only studies with one goal have."""


class NotCarried(OptunaError, NotImplementedError):
    """Something of Optuna's that this layer does not have; the message names what to use instead."""
