"""Exceptions of the layer, by Ray Tune's names."""

from __future__ import annotations

from raytune_hpo.errors import HpoError


class TuneError(HpoError):
    """An experiment cannot be run, or has failed."""


class NotCarried(TuneError):
    """Something of Ray Tune's that has no counterpart here; says what to do instead."""


class TrialDone(BaseException):
    """Ends a trial at the report that fulfilled its stop rule. Not an Exception: an objective must not catch it."""
