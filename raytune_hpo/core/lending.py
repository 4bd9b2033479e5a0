"""Lending: samplers and schedulers of other packages get copies of what trials hold, so that they change no study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from raytune_hpo.facts import changed
from raytune_hpo.space.values import fresh
from raytune_hpo.trial import Report, Reports, Trial


def lender(part: object) -> Callable[[Trial], Trial]:
    """The function through which a sampler or scheduler gets trials.

    Ours only read, so they need no copies, which would take longer than many of their answers.
    """
    home = type(part).__module__.partition(".")[0]
    return _as_it_is if home == "raytune_hpo" else _lent


def _as_it_is(trial: Trial) -> Trial:
    return trial


def _lent(trial: Trial) -> Trial:
    """The trial with a configuration, metrics, reports and notes of a suggestion of its own."""
    return changed(
        trial,
        config=fresh(trial.config),
        metrics=fresh(trial.metrics),
        meta=fresh(trial.meta),
        reports=LentReports.of(trial.reports),
    )


class LentReports(Reports):
    """Reports that are copied as they are read: most parts read one or two of what may be thousands."""

    __slots__ = ()

    @overload
    def __getitem__(self, index: int) -> Report: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Report]: ...
    def __getitem__(self, index: int | slice) -> Report | Sequence[Report]:
        found = super().__getitem__(index)
        return _copied(found) if isinstance(found, Report) else list(map(_copied, found))

    def __iter__(self) -> Iterator[Report]:
        return map(_copied, super().__iter__())


def _copied(report: Report) -> Report:
    return report._replace(metrics=fresh(report.metrics), own=fresh(report.own))
