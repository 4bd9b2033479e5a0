"""Exceptions of the package.

    HpoError
    ├── SpaceError (ValueError)        a space or a configuration breaks a rule
    ├── SpecError (ValueError)         a study cannot be built from its settings
    │   └── SpecMismatch               the stored study was created with another spec
    ├── ObjectiveError (ValueError)    the objective reported or returned an invalid result; fails the trial, never the study
    ├── StudyNotFound (KeyError)       the storage has no study of that name
    ├── CheckpointGone                 a checkpoint is not available, or is not what was saved
    ├── TrialPruned                    an objective ends its own trial as hopeless
    ├── NoCompletedTrial               a study without a completed trial has no best one
    ├── StudyEnded                     there is nothing left to ask for
    │   └── StudyWaiting               there is nothing to ask for now, but there may be later
    ├── StudyExists                    the name is taken, or someone else is running the study
    ├── JournalError
    │   ├── SequenceConflict           another writer appended first
    │   └── JournalCorrupt             the stored facts cannot be trusted
    ├── ClusterError                   Ray could not be reached, or lost what the study needs
    └── InvalidTransition              a fact cannot follow the current state: a bug in this package

Messages state the rule, then what came, then the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HpoError(Exception):
    """Base class of all errors that this package raises on purpose."""


class SpaceError(HpoError, ValueError):
    """A search space, or a configuration checked against one, breaks a rule."""


class SpecError(HpoError, ValueError):
    """A study cannot be built from the given settings."""


class SpecMismatch(SpecError):
    """A stored study has the same name but different settings."""


class ObjectiveError(HpoError, ValueError):
    """The objective reported or returned something that is not a valid result; its trial fails."""


class StudyNotFound(HpoError, KeyError):
    """The storage has no study of that name."""

    def __str__(self) -> str:  # KeyError would print the repr of its message
        return str(self.args[0]) if self.args else ""


class NoCompletedTrial(HpoError):
    """The best trial of a study was asked for, and no trial has completed."""


class StudyEnded(HpoError):
    """The study has reached its limit, or its sampler has nothing left to suggest."""


class StudyWaiting(StudyEnded):
    """There is nothing to ask for until a running trial has reported or ended."""


class CheckpointGone(HpoError):
    """A checkpoint is no longer available, or is not what was saved."""


class StudyExists(HpoError):
    """The study's name is taken, or someone else is running it now."""


class JournalError(HpoError):
    """The journal could not be read or written."""


class SequenceConflict(JournalError):
    """Another writer has appended to the study since it was last read."""


class JournalCorrupt(JournalError):
    """The journal is damaged: it holds something that this package did not write, or lacks something that it did."""


class ClusterError(HpoError):
    """Ray could not be reached, or has lost what the study needs."""


class InvalidTransition(HpoError):
    """A fact cannot follow the current state: a bug in this package, please report it. For stored facts: JournalCorrupt."""


class TrialStopped(BaseException):
    """Raised by ``report`` inside an objective when the scheduler stops its trial.

    It is a BaseException, so that ``except Exception`` in an objective does not swallow it.
    """


class TrialPruned(HpoError):
    """Raised by an objective to prune its own trial, which keeps what it has reported."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: the nearest known word, if any is near, and the list of all known words."""
    names = sorted(known)
    lowered = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), lowered, n=1)
    hint = f"did you mean {lowered[close[0]]!r}? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"
