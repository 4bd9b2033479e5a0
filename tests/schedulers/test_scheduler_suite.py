"""The contract suite itself: each way to break the contract is caught by the check that is there for it."""

import pytest

from raytune_hpo import testing
from raytune_hpo.facts import Verdict
from raytune_hpo.schedulers import ASHA


class Judging(ASHA):
    def bind(self, goals):
        return type(self)()


class LearnsFromJudging(Judging):
    def judge(self, trial):
        verdict = super().judge(trial)
        self.observe(testing.report(testing.start(10_000 + len(self._rungs[1]._losses), {}), 1, 0.0))
        return verdict


class Backwards(Judging):
    def judge(self, trial):
        return Verdict.STOP if super().judge(trial) is Verdict.CONTINUE else Verdict.CONTINUE


class NamesNoStep(Judging):
    def next_step(self, trial):
        return None


class StopsEquals(Judging):
    def judge(self, trial):
        return Verdict.STOP if trial.number > 5 else Verdict.CONTINUE


class KeepsLostAttempts(Judging):
    def observe(self, trial):
        if trial.reports and len(trial.reports) == 1:
            self._rungs[1].put(trial.number * 10 + trial.attempt, trial.reports[-1].losses)


@pytest.mark.parametrize(
    ("scheduler", "check"),
    [
        (LearnsFromJudging, testing.check_judge_reads_only),
        (Backwards, testing.check_good_survive),
        (NamesNoStep, testing.check_next_step),
        (StopsEquals, testing.check_equals_survive),
        (KeepsLostAttempts, testing.check_repeat_replaces),
    ],
)
def test_a_broken_scheduler_is_caught(scheduler, check):
    check(Judging)
    with pytest.raises(AssertionError):
        check(scheduler)
