"""The contract suite itself: each way to break the contract is caught by the check that is there for it."""

from contextlib import suppress
from typing import ClassVar

import pytest

import raytune_hpo as hpo
from raytune_hpo import registry, testing
from raytune_hpo.core.messages import AskTrials, ReportMetrics
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.protocols import Continue
from raytune_hpo.schedulers import ASHA
from tests.support import Feed


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


class NamesHalfAStep(Judging):
    def next_step(self, trial):
        return 0.5


class Pauses(Judging):
    def judge(self, trial):
        return Verdict.PAUSE


class SharesItsMemory(Judging):
    seen: ClassVar[list[int]] = []

    def observe(self, trial):
        self.seen.append(trial.number)

    def judge(self, trial):
        return Verdict.STOP if len(self.seen) > 500 else Verdict.CONTINUE


class StopsEquals(Judging):
    def judge(self, trial):
        return Verdict.STOP if trial.number > 5 else Verdict.CONTINUE


class KeepsLostAttempts(Judging):
    def observe(self, trial):
        if trial.reports and len(trial.reports) == 1:
            self._rungs[1].put(trial.number * 10 + trial.attempt, trial.reports[-1].losses)


class ReadsMetrics(Judging):
    def __init__(self):
        super().__init__()
        self.first = {}

    def observe(self, trial):
        if trial.reports:
            self.first[trial.number] = trial.reports[0].metrics["loss"]

    def judge(self, trial):
        others = [loss for number, loss in self.first.items() if number != trial.number]
        return Verdict.STOP if others and trial.metrics["loss"] > 0.2 + min(others) else Verdict.CONTINUE


class CountsReports(Judging):
    def observe(self, trial):
        super().observe(trial)
        assert trial.last_step in (None, len(trial.reports))


class ForOneGoal(Judging):
    def observe(self, trial):
        pass

    def judge(self, trial):
        (loss,) = trial.reports[-1].losses
        return Verdict.STOP if loss > 1 else Verdict.CONTINUE


class DeafToConstraints(ASHA):
    def bind(self, goals, *, constraints=()):
        return type(self)()


@pytest.mark.parametrize(
    ("scheduler", "check"),
    [
        (LearnsFromJudging, testing.check_judge_reads_only),
        (Backwards, testing.check_good_survive),
        (NamesNoStep, testing.check_next_step),
        (NamesHalfAStep, testing.check_next_step),
        (Pauses, testing.check_pauses),
        (SharesItsMemory, testing.check_scheduler_bind_is_fresh),
        (StopsEquals, testing.check_equals_survive),
        (KeepsLostAttempts, testing.check_repeat_replaces),
        (CountsReports, testing.check_odd_trials),
        (DeafToConstraints, testing.check_heeds_constraints),
    ],
)
def test_a_broken_scheduler_is_caught(scheduler, check):
    check(Judging)
    with pytest.raises(AssertionError):
        check(scheduler)


def test_a_scheduler_that_reads_metrics_instead_of_losses_is_caught():
    with pytest.raises(AssertionError, match="with mode 'max': "):
        testing.check_good_survive(ReadsMetrics)


def test_a_scheduler_for_one_goal_says_so_when_it_is_bound():
    testing.check_judges_several_goals(ASHA)
    with pytest.raises(AssertionError, match="too many values to unpack"):
        testing.scheduler_cases(ForOneGoal)["judges_several_goals"]()


class Promoting(ASHA):
    def __init__(self):
        super().__init__(promote=True, max_steps=27)

    def bind(self, goals):
        bound = type(self)()
        bound._promotion = ASHA(promote=True, max_steps=27).bind(goals)._promotion
        return bound


class ForgetsWhomItNamed(Promoting):
    def promote(self, *, final):
        chosen = super().promote(final=final)
        if chosen is not None:
            rung = self._promotion._rungs[self._promotion._paused_at[chosen.number]]
            rung.leave(chosen.number, promoted=True)
        return chosen


class NamesTheFirst(Promoting):
    def promote(self, *, final):
        return Continue(0)


class LetsAllWait(Promoting):
    def promote(self, *, final):
        return super().promote(final=False)


class KeepsNobody(Promoting):
    def keeps(self, trial):
        return False


class KeepsPerhaps(Promoting):
    def keeps(self, trial):
        return super().keeps(trial) or None


class CountsQuestions(Promoting):
    asked = 0

    def promote(self, *, final):
        self.asked += 1
        return super().promote(final=final) if final or self.asked > 20 else None


class CountsEveryObservation(Promoting):
    count = 0

    def observe(self, trial):
        self.count += 1
        super().observe(trial)

    def promote(self, *, final):
        return super().promote(final=final) if final or self.count % 2 else None


@pytest.mark.parametrize(
    ("scheduler", "check"),
    [
        (ForgetsWhomItNamed, testing.check_promote_reads_only),
        (CountsQuestions, testing.check_promoter_replay),
        (NamesTheFirst, testing.check_promoter_replay),
        (LetsAllWait, testing.check_nobody_is_stranded),
        (KeepsNobody, testing.check_slow_trials),
        (KeepsPerhaps, testing.check_keeps),
        (CountsEveryObservation, testing.check_repeated_observations),
    ],
)
def test_a_broken_promoter_is_caught(scheduler, check):
    check(Promoting)
    with pytest.raises(AssertionError):
        check(scheduler)


def test_promoters_have_their_cases_and_others_do_not():
    assert "nobody_is_stranded" in testing.scheduler_cases(Promoting)
    assert "nobody_is_stranded" not in testing.scheduler_cases(Judging)
    assert "equals_survive" in testing.scheduler_cases(Judging)


def test_a_judge_that_returns_no_verdict_is_named():
    class SaysTrue(Judging):
        def judge(self, trial):
            return True

    feed = Feed(scheduler=SaysTrue(), metric="loss")
    lease = feed(AskTrials(worker="w", limit=1, at=1.0)).reply
    trial = lease.assignments[0]
    with pytest.raises(SpecError, match="judge of SaysTrue returns a Verdict, got True; return Verdict.CONTINUE"):
        feed(ReportMetrics(number=trial.number, attempt=trial.attempt, step=1, metrics={"loss": 1.0}, at=2.0))

    def objective(config):
        with suppress(Exception):  # the error is not the objective's, so no objective can hide it
            hpo.report({"loss": 1.0})
        return 1.0

    with pytest.raises(SpecError, match="judge of SaysTrue returns a Verdict, got True"):
        hpo.tune(
            objective, {"x": hpo.uniform(0.0, 1.0)}, num_trials=3, scheduler=SaysTrue(), runtime="local", storage="memory",
            progress=False,
        )  # fmt: skip


@pytest.mark.parametrize("member", ["bind", "judge", "observe", "next_step", "version"])
def test_an_object_that_is_no_whole_scheduler_is_told_what_it_lacks(member):
    lacking = type("Lacking", (Judging,), {member: None})
    with pytest.raises(SpecError, match="version = 1" if member == "version" else f"Lacking has no method '{member}'"):
        registry.make("scheduler", lacking())
    with pytest.raises(
        SpecError, match=r"bind, judge, observe and next_step; got the class Lacking: call it, Lacking\(\)"
    ):
        registry.make("scheduler", lacking)


def test_the_suite_of_what_is_no_scheduler_has_one_case_which_says_what_is_missing():
    cases = testing.scheduler_cases(type("Lacking", (Judging,), {"version": None}))
    assert list(cases) == ["is_a_scheduler"]
    with pytest.raises(AssertionError, match="version = 1"):
        cases["is_a_scheduler"]()
    assert next(iter(testing.scheduler_cases(Judging))) == "is_a_scheduler"
    testing.check_is_a_scheduler(Judging)


SPACE = {"x": hpo.uniform(0.0, 1.0)}


def run(scheduler, **settings):
    def objective(config):
        for step in range(1, 5):
            hpo.report(loss=config["x"], step=step, save=lambda folder: None)

    settings = {"storage": "memory", "runtime": "local", "max_concurrent": 1, "progress": False, **settings}
    return hpo.tune(objective, SPACE, metric="loss", num_trials=4, sampler="random", scheduler=scheduler, **settings)


@pytest.mark.parametrize("member", ["promote", "keeps"])
def test_a_promoter_has_promote_and_keeps(member):
    lacking = type("Lacking", (Promoting,), {member: None})
    with pytest.raises(SpecError, match=f"has promote and keeps; Lacking has no method '{member}': define it"):
        registry.make("scheduler", lacking())
    with pytest.raises(AssertionError, match=f"no method '{member}'"):
        testing.scheduler_cases(lacking)["is_a_scheduler"]()
    registry.make("scheduler", type("Neither", (Promoting,), {"promote": None, "keeps": None})())


def test_who_pauses_and_does_not_promote_ends_the_study_instead_of_leaving_trials_paused():
    with pytest.raises(SpecError, match="judge of Pauses returned Verdict.PAUSE, and it does not promote: give it"):
        run(Pauses())


@pytest.mark.parametrize("step", ["1", 1.5, True])
def test_a_next_step_that_is_no_whole_number_is_not_told_as_a_fault_of_the_objective(step):
    class NamesAnotherStep(Judging):
        def next_step(self, trial):
            return step

    with pytest.raises(SpecError, match=f"next_step of NamesAnotherStep returns a whole number or None, got {step!r}"):
        run(NamesAnotherStep())


def test_a_promotion_that_is_no_continue_is_named():
    class NamesANumber(Promoting):
        def promote(self, *, final):
            chosen = super().promote(final=final)
            return chosen and chosen.number

    with pytest.raises(SpecError, match="promote of NamesANumber returns None or a Continue .* got [0-9]; paused are"):
        run(NamesANumber())


class Line(Judging):
    """A rule with an option.

    Args:
        k: an option.
    """

    def __init__(self, *, k=1):
        super().__init__()
        self.k = k


def test_a_bind_that_drops_an_option_is_refused():
    with pytest.raises(SpecError, match=r"bind of Line drops its option k \(7 became 1\): pass it on"):
        run(Line(k=7))
    run(Line())
    with pytest.raises(AssertionError, match=r"bind of Line drops its option k \(7 became 1\)"):
        testing.scheduler_cases(lambda: Line(k=7))["scheduler_bind_is_fresh"]()


def test_a_bind_that_raises_is_told_by_its_case_and_not_while_the_cases_are_made():
    class Raises(Judging):
        def bind(self, goals):
            return 1 / 0

    with pytest.raises(AssertionError, match="bind returns a fresh scheduler, got ZeroDivisionError"):
        testing.scheduler_cases(Raises)["is_a_scheduler"]()
