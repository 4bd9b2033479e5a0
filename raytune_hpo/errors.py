"""Every exception of the package.

    HpoError
    ├── SpaceError (ValueError)        a space or a configuration that breaks a rule
    ├── SpecError (ValueError)         a study that cannot be built as asked
    │   └── SpecMismatch               the stored study was created with another spec
    ├── ObjectiveError (ValueError)    what the objective reported or returned; fails the trial, never the study
    ├── StudyNotFound (KeyError)
    ├── NoCompletedTrial               the best of a study was asked for, and there is none
    ├── StudyEnded                     nothing is left to ask for
    ├── StudyExists                    the name is taken, or its study is being run by someone else
    ├── JournalError
    │   ├── SequenceConflict           another writer appended first
    │   └── JournalCorrupt             the stored facts cannot be trusted
    ├── ClusterError                   Ray could not be reached, or lost what the study needs
    └── InvalidTransition              a fact that cannot follow the state; a bug in this package

Messages state the rule, then what came, then the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HpoError(Exception):
    """Base of every error this package raises on purpose."""


class SpaceError(HpoError, ValueError):
    """A search space, or a configuration held against one, breaks a rule."""


class SpecError(HpoError, ValueError):
    """A study cannot be built from the given settings."""


class SpecMismatch(SpecError):
    """A stored study has the same name but other settings."""


class ObjectiveError(HpoError, ValueError):
    """The objective reported or returned something that is no result; its trial fails."""


class StudyNotFound(HpoError, KeyError):
    """No study of that name in the storage that was asked."""

    def __str__(self) -> str:  # KeyError would print the repr of its message
        return str(self.args[0]) if self.args else ""


class NoCompletedTrial(HpoError):
    """Asked for the best of a study in which no trial has completed."""


class StudyEnded(HpoError):
    """The study has reached its limit, or its sampler has nothing left to suggest."""


class StudyExists(HpoError):
    """The study's name is taken, or someone else is running it now."""


class JournalError(HpoError):
    """The journal could not be read or written."""


class SequenceConflict(JournalError):
    """Another writer appended to the study since we last read it."""


class JournalCorrupt(JournalError):
    """The journal holds something that this package did not write, or not all of it."""


class ClusterError(HpoError):
    """Ray could not be reached, or has lost what the study needs."""


class InvalidTransition(HpoError):
    """A fact that cannot follow the state it met: a bug in this package, please report it."""


class TrialStopped(BaseException):
    """Raised by ``report`` inside an objective whose trial the scheduler stops.

    A BaseException, so that ``except Exception`` in an objective does not swallow it.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: the nearest known one if any is near, and all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"
