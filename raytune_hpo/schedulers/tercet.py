"""Tercet: a compound stopping rule that judges trials at two checkpoints.

Cho et al.: Basic Enhancement Strategies When Using Bayesian Optimization for Hyperparameter Tuning of Deep Neural
Networks. IEEE Access 8, 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option, named_option, number_option
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.ranking import (
    LAST_STEP,
    ONE_LOSS,
    Criteria,
    Losses,
    Ranking,
    first_to_reach,
    next_unreached,
    ranking,
)
from raytune_hpo.trial import Trial

VARIANTS = ("compound", "recorded")


class Tercet:
    """Judges a trial twice: at half its steps it stops the worst trials, and near the end all but the best.

    With E = max_steps, the first checkpoint is at step floor(E / 2). A trial is stopped there if its loss is worse than
    the average losses, over the steps before, of all but the worst ``beta`` of the other trials. The second checkpoint is
    at floor(E (1 - beta)). A trial is stopped there if it is worse than the averages, since the first checkpoint, of the
    best ``beta`` of the others. Cho et al. call the rule Deca with beta = 0.1, Penta with 0.2 and Tetra with 0.25. With
    several metrics, "worse" means being in a later Pareto front than that share of the others' averages. Trials that break
    an outcome constraint at the checkpoint are behind all others.

    Args:
        max_steps: E, the last step of a trial.
        beta: see above.
        variant: "compound" as described; "recorded" is as strict at the first checkpoint as at the second, as in the
            runs that the paper reports.
        min_trials: how many others must have reached a checkpoint before any trial is stopped there.

    Raises:
        SpecError: no max_steps, or below 4; beta outside (0, 0.5); an unknown variant; min_trials < 1.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(
        self, *, max_steps: int | None = None, beta: float = 0.1, variant: str = "compound", min_trials: int = 4
    ) -> None:
        if max_steps is None:
            raise SpecError('tercet needs max_steps, the last step of a trial: {"name": "tercet", "max_steps": 15}')
        second_look = "the second look comes after half the steps"
        self.max_steps = integer_option("tercet", "max_steps", max_steps, least=4, way_out=LAST_STEP)
        self.beta = number_option("tercet", "beta", beta, above=0, below=0.5, way_out=second_look)
        self.variant = named_option("tercet", "variant", variant, VARIANTS)
        self.min_trials = integer_option("tercet", "min_trials", min_trials, least=1)
        half, late = max_steps // 2, math.floor(max_steps * (1 - beta) + 1e-9)  # or 90 * 0.7 is 62
        first = beta if variant == "recorded" else 1 - beta
        # The checkpoint's step, the first step of the averages, and the share of the others that may be better.
        self._checkpoints = ((half, 0, first), (late, half, beta))
        self._criteria = ONE_LOSS
        self._means: tuple[Ranking, ...] = tuple(ranking(self._criteria) for _ in self._checkpoints)

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> Tercet:
        """A fresh Tercet for one study."""
        bound = Tercet(max_steps=self.max_steps, beta=self.beta, variant=self.variant, min_trials=self.min_trials)
        bound._criteria = Criteria(len(goals), constraints)
        bound._means = tuple(ranking(bound._criteria) for _ in bound._checkpoints)
        return bound

    def judge(self, trial: Trial) -> Verdict:
        """STOP if the newest report reaches a checkpoint and is worse than the others' averages."""
        for (step, _, share), means in zip(self._checkpoints, self._means, strict=True):
            if not first_to_reach(trial, step) or means.num_others(trial.number) < self.min_trials:
                continue
            if means.is_behind(trial.number, self._criteria.row(trial.reports[-1]), share):
                return Verdict.STOP
        return Verdict.CONTINUE

    def observe(self, trial: Trial) -> None:
        """Enter the trial's average if its newest report reaches a checkpoint."""
        for (step, since, _), means in zip(self._checkpoints, self._means, strict=True):
            if first_to_reach(trial, step) and (mean := _mean(trial, since, step)) is not None:
                means.put(trial.number, self._criteria.row(trial.reports[-1], mean))

    def next_step(self, trial: Trial) -> int | None:
        """The next checkpoint; the next step if the report at a checkpoint had no losses."""
        return next_unreached(trial, (step for step, _, _ in self._checkpoints))


def _mean(trial: Trial, since: int, before: int) -> Losses | None:
    """The mean losses of the reports from step ``since`` up to, but without, step ``before``; None if there are none."""
    rows = [r.losses for r in trial.reports if since <= r.step < before and r.losses is not None]
    # Rounding may put the mean of equal losses below them, and a tie would stop a trial.
    return tuple(max(sum(column) / len(rows), min(column)) for column in zip(*rows, strict=True)) if rows else None
