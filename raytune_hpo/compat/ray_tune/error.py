"""Exceptions of the compatibility layer, by Ray Tune's names."""

from __future__ import annotations

from raytune_hpo.errors import HpoError


class TuneError(HpoError):
    """An experiment cannot be run, or has failed."""


class NotCarried(TuneError):
    """A feature of Ray Tune has no counterpart here; the message says what to do instead."""


class TrialDone(BaseException):
    """Raised to end a trial at the report that fulfilled its stop rule. Not an Exception: an objective must not catch it."""
