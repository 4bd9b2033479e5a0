"""Lending: samplers and schedulers of other packages get copies of what trials hold, so that they change no study."""

from __future__ import annotations

from collections.abc import Callable

from raytune_hpo.facts import changed
from raytune_hpo.space.values import fresh
from raytune_hpo.trial import Reports, Trial


def lender(part: object) -> Callable[[Trial], Trial]:
    """The function through which a sampler or scheduler gets trials.

    Ours only read, so they need no copies, which would take longer than many of their answers.
    """
    home = type(getattr(part, "unbound", part)).__module__.partition(".")[0]
    return _as_it_is if home == "raytune_hpo" else _lent


def _as_it_is(trial: Trial) -> Trial:
    return trial


def _lent(trial: Trial) -> Trial:
    """The trial with a configuration, metrics and notes of a suggestion of its own; earlier reports are shared."""
    reports = trial.reports
    if reports:
        newest = reports[-1]
        reports = Reports([*reports[:-1], newest._replace(metrics=fresh(newest.metrics), own=fresh(newest.own))])
    return changed(
        trial, config=fresh(trial.config), metrics=fresh(trial.metrics), meta=fresh(trial.meta), reports=reports
    )
