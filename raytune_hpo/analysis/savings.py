"""Savings from early stopping and from pausing trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Status
from raytune_hpo.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Savings:
    """The number of trials that were stopped early or paused, and an estimate of the time that this saved.

    Attributes:
        num_pruned, num_paused: the numbers of trials; paused ones may still be resumed.
        saved_s: saved worker seconds; None if no trial has completed, so that there is no estimate.
        share: saved_s as a share of the time that all trials would have taken without stopping; None likewise.
        num_restarted: the number of trials that were resumed, or were to continue another one, without a checkpoint, and so
            started over.
        repeated_s: the worker seconds that had been spent on these before, for which there is nothing to show.
    """

    num_pruned: int
    num_paused: int
    saved_s: float | None
    share: float | None
    num_restarted: int = 0
    repeated_s: float = 0.0


def early_stopping_savings(trials: Sequence[Trial]) -> Savings:
    """The savings of early stopping, estimated.

    A pruned or paused trial is assumed to have continued at its own pace to the median of the last steps of completed
    trials. Its pace is that between its reports: what comes before the first one, such as loading data, is not repeated,
    nor what comes after the last one. If it has reported once, it is assumed to have begun as slowly as the others, in the
    median.
    """
    cut_short = [trial for trial in trials if trial.status in (Status.PRUNED, Status.PAUSED)]
    num_paused = sum(trial.status is Status.PAUSED for trial in cut_short)
    by_number = {trial.number: trial for trial in trials}
    lost = {trial.number: seconds for trial in trials if (seconds := _lost_s(trial, by_number)) > 0}
    counts: dict[str, Any] = {"num_pruned": len(cut_short) - num_paused, "num_paused": num_paused}
    counts |= {"num_restarted": len(lost), "repeated_s": sum(lost.values())}
    ends = [trial.reports[-1].step for trial in trials if trial.status is Status.COMPLETED and trial.reports]
    if not ends:
        return Savings(**counts, saved_s=None, share=None)
    end = float(np.median(ends))
    reported = {trial.number: trial.reports[-1].step for trial in trials if trial.reports}
    paces = {trial.number: pace for trial in trials if (pace := _pace_s(trial)) is not None}
    starts = [_start_s(trial, pace) for trial in trials if (pace := paces.get(trial.number)) is not None]
    start_s = max(0.0, float(np.median(starts))) if starts else 0.0
    saved_s = 0.0
    for trial in cut_short:
        if (step := reported.get(trial.number, 0)) > 0:
            alone = max(0.0, _took_s(trial, lost) - start_s) / step
            saved_s += paces.get(trial.number, alone) * max(0.0, end - step)
    total_s = saved_s + sum(trial.duration_s or 0.0 for trial in trials) - counts["repeated_s"]
    return Savings(**counts, saved_s=saved_s, share=saved_s / total_s if total_s > 0 else 0.0)


def _pace_s(trial: Trial) -> float | None:
    """The seconds from one step to the next, between reports of the same attempt; None if no attempt has reported twice."""
    begins = _begins(trial)
    at, steps = np.array([(report.at, report.step) for report in trial.reports], np.float64).reshape(-1, 2).T
    in_one_go = np.diff(np.searchsorted(begins, at, side="right")) == 0
    num_steps = np.diff(steps)[in_one_go].sum()
    return max(0.0, float(np.diff(at)[in_one_go].sum() / num_steps)) if num_steps > 0 else None


def _start_s(trial: Trial, pace_s: float) -> float:
    """The seconds from the beginning of a trial to its first report, without the steps in between."""
    first, begins = trial.reports[0], _begins(trial)
    began_at = begins[max(0, np.searchsorted(begins, first.at, side="right") - 1)]
    begun_with = 0 if trial.parent is None else trial.from_step or 0
    return float(first.at - began_at - pace_s * (first.step - begun_with))


def _begins(trial: Trial) -> Array:
    """When the attempts of a trial began (seconds)."""
    return np.array([*(stretch.began_at for stretch in trial.stretches), trial.started_at or 0.0])


def _took_s(trial: Trial, lost: Mapping[int, float]) -> float:
    """The seconds that a trial ran, without what had to be repeated."""
    return (trial.duration_s or 0.0) - lost.get(trial.number, 0.0)


def _lost_s(trial: Trial, by_number: Mapping[int, Trial]) -> float:
    """The seconds before the newest attempt, if that began from scratch: the trial's own and, in a chain, its parent's."""
    if trial.from_step is not None:
        return 0.0
    parent = None if trial.parent is None else by_number.get(trial.parent)
    before_s = 0.0 if parent is None else parent.duration_s or 0.0
    earlier = trial.stretches[:-1] if trial.status is Status.PAUSED else trial.stretches
    return before_s + sum(stretch.paused_at - stretch.began_at for stretch in earlier)
