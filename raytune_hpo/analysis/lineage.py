"""Lineage: the trials that a trial continues, and the schedule of settings under which its weights were trained."""

from __future__ import annotations

from collections.abc import Sequence

from raytune_hpo.errors import SpecError
from raytune_hpo.options import is_integral
from raytune_hpo.trial import Trial


def lineage_of(trials: Sequence[Trial], number: int) -> list[Trial]:
    """The chain of a trial's ancestors, the oldest first and the trial itself last.

    Raises:
        SpecError: there is no such trial.
    """
    chain = [_named(trials, number)]
    while (parent := chain[-1].parent) is not None:
        chain.append(trials[parent])
    return chain[::-1]


def schedule_of(trials: Sequence[Trial], number: int) -> list[tuple[Trial, int]]:
    """The segments in which the state of a trial was trained, each with the step at which it ended, the oldest first.

    If a donor's checkpoint was gone and training continued from an earlier one, the lost part is left out.

    Raises:
        SpecError: there is no such trial, or it has reported nothing.
    """
    trial: Trial | None = _named(trials, number)
    segments: list[tuple[Trial, int]] = []
    step = trial.last_step if trial is not None else None
    while trial is not None and step is not None:
        segments.append((trial, step))
        trial, step = _begun_with(trials, trial)
    if not segments:
        raise SpecError(f"a schedule is made of reported steps, and trial {number} has reported none")
    return segments[::-1]


def _begun_with(trials: Sequence[Trial], trial: Trial) -> tuple[Trial | None, int | None]:
    """The trial and the step from which a trial continued in its first attempt."""
    # It was lost, and resumed from its own checkpoint.
    if trial.from_trial == trial.number and trial.parent is not None:
        return trials[trial.parent], trials[trial.parent].last_step
    if trial.from_trial is None or trial.from_trial == trial.number:
        return None, None
    return trials[trial.from_trial], trial.from_step


def _named(trials: Sequence[Trial], number: int) -> Trial:
    if not is_integral(number) or not 0 <= number < len(trials):
        raise SpecError(f"this study has trials 0 to {len(trials) - 1}, got {number!r}")
    return trials[number]
