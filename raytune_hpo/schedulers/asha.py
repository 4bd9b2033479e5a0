"""ASHA: asynchronous successive halving, which stops trials at its rungs, or pauses and promotes them.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar: A System for Massively Parallel Hyperparameter
Tuning. MLSys 2020, section 3 and algorithm 2. The paper pauses trials at a rung and promotes the best 1/eta of them;
the stopping variant, which needs no checkpoints, stops a trial that is not among that share and lets the others run on.
Delayed promotion: Li, Shen, Jiang, Zhang, Yang, Liu, Zhang, Zhang, Cui: Hyper-Tune. VLDB 15(6), 2022, section 4.2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import budget_options, flag_option, integer_option
from raytune_hpo.protocols import Continue
from raytune_hpo.registry import shown
from raytune_hpo.schedulers.ladder import Ladder
from raytune_hpo.schedulers.promotion import Promotion
from raytune_hpo.schedulers.ranking import ONE_LOSS, Criteria, Ranking, ranking
from raytune_hpo.schedulers.rungs import Ended
from raytune_hpo.trial import Trial


class ASHA:
    """Stops a trial that is not in the best 1/eta at a rung, or pauses it there (asynchronous successive halving).

    The rungs are at the steps min_steps, min_steps * eta, min_steps * eta**2 ... A trial's first report at a rung's step
    or beyond enters that rung. A report that passes several rungs enters the highest, since in the lower ones the trial
    would be compared with trials that had fewer steps. The trial is stopped if, among the n entries of the rung (its own
    included), at least n // eta others are strictly better; with several metrics, in an earlier Pareto front. Trials that
    break an outcome constraint there are behind all others. With fewer than eta entries no trial is stopped, and a tie never
    stops one.

    With ``promote``, every trial pauses at every rung. A free worker resumes the best paused trial of the highest rung at
    which that trial is among the best n // eta of all that reached it; if no rung has such a trial, the worker begins a
    new one. A trial that would be promoted at once runs on. This costs fewer steps than stopping, where the first trials
    always run on, but it needs an objective that saves checkpoints: without them, a trial starts over each time.

    Args:
        eta: one trial in eta survives a rung.
        min_steps: the first rung: no trial is stopped or paused before.
        max_steps: the last step of a trial, which is completed there; there is no rung at this step or above. None: the
            rungs never end.
        promote: pause and promote trials instead of stopping them.
        delay: promote later: only while at most 1/eta of the trials that reached a rung have been promoted from it, and
            only after enough have reached it to fill all rungs above. It needs ``promote`` and ``max_steps``.

    Raises:
        SpecError: eta < 2, min_steps < 1, max_steps not above min_steps, or ``delay`` without what it needs.
    """

    version: ClassVar[int] = 1
    kept_as: ClassVar[Mapping[str, str]] = {"promote": "promotes"}
    __repr__ = shown

    def __init__(
        self,
        *,
        eta: int = 3,
        min_steps: int = 1,
        max_steps: int | None = None,
        promote: bool = False,
        delay: bool = False,
    ) -> None:
        self.eta = integer_option("asha", "eta", eta, least=2)
        self.min_steps = integer_option("asha", "min_steps", min_steps, least=1)
        self.max_steps = None
        if max_steps is not None:
            self.max_steps, self.min_steps, self.eta = budget_options("asha", max_steps, min_steps, eta)
        self.promotes = flag_option("asha", "promote", promote)
        self.delay = flag_option("asha", "delay", delay)
        if delay and (not promote or max_steps is None):
            raise SpecError(f"asha needs promote=True and max_steps for delay=True, got {promote=}, {max_steps=}")
        self._ladder = Ladder(self.eta, self.min_steps, self.max_steps)
        self._rungs: defaultdict[int, Ranking] = defaultdict(partial(ranking, ONE_LOSS))  # by the rung's step
        self._promotion: Promotion | None = None

    def bind(self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> ASHA:
        """A fresh ASHA for one study."""
        bound = ASHA(
            eta=self.eta,
            min_steps=self.min_steps,
            max_steps=self.max_steps,
            promote=self.promotes,
            delay=self.delay,
        )
        criteria = Criteria(len(goals), constraints)
        bound._ladder = replace(bound._ladder, criteria=criteria)
        bound._rungs = defaultdict(partial(ranking, criteria))
        if self.promotes:
            bound._promotion = Promotion(bound._ladder, delay=self.delay)
        return bound

    def as_bracket(self, ended: Ended) -> ASHA:
        """The same scheduler as one bracket of a study, given the trials of all brackets that have ended."""
        if self._promotion is not None:
            self._promotion.ended = ended
        return self

    def judge(self, trial: Trial) -> Verdict:
        """STOP if the newest report enters a rung and is not among its best 1/eta; with ``promote``, PAUSE there."""
        if self._promotion is not None:
            return self._promotion.judge(trial)
        entry = self._ladder.entry(trial)
        rung = None if entry is None else self._rungs.get(entry.step)
        if entry is None or rung is None:
            return Verdict.CONTINUE
        num_entries = rung.num_others(trial.number) + 1
        if num_entries < self.eta or rung.num_better(trial.number, entry.row) < num_entries // self.eta:
            return Verdict.CONTINUE
        return Verdict.STOP

    def observe(self, trial: Trial) -> None:
        """Enter the newest report into the rung that it reaches; a trial that starts over replaces its old entries."""
        if self._promotion is not None:
            self._promotion.observe(trial)
            return
        entry = self._ladder.entry(trial)
        if entry is not None:
            self._rungs[entry.step].put(trial.number, entry.row)

    def next_step(self, trial: Trial) -> int | None:
        """The first rung above the newest report; the next step if that report has no losses and so entered no rung."""
        return self._ladder.next_step(trial) if self._promotion is None else self._promotion.next_step(trial)

    def promote(self, *, final: bool) -> Continue | None:
        """The best paused trial of the highest rung that allows a promotion.

        At the end, the best paused trial of a rung resumes, from the highest rung on, if no better trial has been promoted
        from there or has completed.
        """
        return None if self._promotion is None else self._promotion.promote(final=final)

    def keeps(self, trial: Trial) -> bool:
        """Whether a paused trial is still close enough to the best 1/eta of its rung to become one of them."""
        return self._promotion is not None and self._promotion.keeps(trial)
