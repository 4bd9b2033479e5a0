"""Thresholds: values that a trial must have reached by given steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.goals import Goal, to_losses
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.ranking import first_to_reach, next_unreached
from raytune_hpo.trial import Trial


class Threshold:
    """Stops a trial that has not reached a value by a step.

    Args:
        at: by step, the value of the metric that a trial must have reached by then, in the metric's own units:
            ``{5: 0.8, 20: 0.95}``. With several metrics, a dict of values by metric, of which a trial must have reached
            at least one: ``{5: {"accuracy": 0.8, "latency_ms": 20}}``.

    Raises:
        SpecError: no thresholds, or steps below 0; and, when a study is made, a value that is not a number, or that
            is missing for one of its metrics.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(self, *, at: Mapping[int, float | Mapping[str, float]] | None = None) -> None:
        if not isinstance(at, Mapping) or not at:
            raise SpecError(f"threshold needs at, values by step: {{5: 0.8, 20: 0.95}}, got at={at!r}")
        self.at = dict(sorted((_step(step), value) for step, value in at.items()))
        self._limits: dict[int, tuple[float, ...]] = {}

    def bind(self, goals: Sequence[Goal]) -> Threshold:
        """A fresh Threshold for one study.

        Raises:
            SpecError: values for other metrics than those of the study.
        """
        bound = Threshold(at=self.at)
        bound._limits = {step: _losses(step, value, goals) for step, value in self.at.items()}
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """STOP if the newest report reaches a threshold's step, and no report has reached its value."""
        for step, limit in self._limits.items():
            if first_to_reach(trial, step):
                rows = [report.losses for report in trial.reports if report.losses is not None]
                if not any(loss <= most for row in rows for loss, most in zip(row, limit, strict=True)):
                    return Verdict.STOP
        return Verdict.CONTINUE

    def observe(self, trial: Trial) -> None:
        """Remember nothing: a trial is judged by its own reports alone."""

    def next_step(self, trial: Trial) -> int | None:
        """The next threshold's step; the next step if the report at a threshold's step had no losses."""
        return next_unreached(trial, self._limits)


def _step(step: Any) -> int:
    """A step as an int; JSON has only text for keys."""
    try:
        if isinstance(step, bool) or int(step) != float(step) or int(step) < 0:
            raise ValueError(step)
        return int(step)
    except (TypeError, ValueError) as error:
        raise SpecError(f"threshold needs whole numbers of at least 0 as steps, got {step!r}") from error


def _losses(step: int, value: float | Mapping[str, float], goals: Sequence[Goal]) -> tuple[float, ...]:
    metrics = [goal.metric for goal in goals]
    values = value if isinstance(value, Mapping) else {metrics[0]: value}
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) and v == v for v in values.values())
    if set(values) != set(metrics) or not numbers:
        raise SpecError(f"threshold needs a number for each of {metrics} at step {step}, got {value!r}")
    losses = to_losses(values, goals)
    assert losses is not None
    return losses
