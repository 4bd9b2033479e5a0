"""Freeze-thaw: which curve goes on, when a new one begins, and how a study ends."""

from __future__ import annotations

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.core.asking import ask
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Paused, Status, Verdict
from raytune_hpo.protocols import Continue, Signal, Suggestion
from raytune_hpo.rng import derive
from raytune_hpo.samplers import FreezeThaw
from raytune_hpo.schedulers import Stretches
from raytune_hpo.space import Float, Space
from raytune_hpo.testing.trials import GOALS, SEED, finish, report, start
from raytune_hpo.trial import evolve

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1)})
LAST = 27


def loss(config, step):
    return (config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2 + 0.3 * step**-0.7


def trained(number, config, step, *, status=None):
    """A trial that has come to a step and paused there, or ended."""
    trial = start(number, config)
    for at in range(1, step + 1):
        trial = report(trial, at, loss(config, at))
    if status is not None:
        return finish(trial, {"loss": loss(config, step)} if status is Status.COMPLETED else None, status=status)
    return evolve(trial, Paused(number=number, attempt=1, step=step, at=0.0), GOALS)


def bound(**options):
    return FreezeThaw(max_steps=LAST, **options).bind(SPACE, testing.GOALS, SEED)


def study(num, step=3, **options):
    """A sampler that has heard of so many paused trials."""
    sampler = bound(**options)
    for number, config in enumerate(SPACE.sample(num, derive(0, "some"))):
        sampler.observe(trained(number, config, step))
    return sampler


def play(num_asks, seed=0, workers=1, **limits):
    """A study of one sampler by hand: who was asked for, and up to which step."""
    played = hpo.Study(
        SPACE, metric="loss", sampler={"name": "freeze_thaw", "max_steps": LAST}, storage="memory", seed=seed, **limits
    )
    stretches = []
    for _ in range(num_asks):
        try:
            trial = played.ask()
        except hpo.errors.StudyEnded:
            break
        begun = (trial.last_step or 0) + 1
        for step in range(begun, LAST + 1):
            if played.report(trial, step, {"loss": loss(trial.config, step)}) != "continue":
                break
        stretches.append((trial.number, begun, step))
    return played, stretches


def test_new_trials_run_their_first_stretch_and_those_that_go_on_half_as_far_again():
    _, stretches = play(60)
    firsts = [end for _, begun, end in stretches if begun == 1]
    assert set(firsts) == {1}
    later = {(begun - 1, end) for _, begun, end in stretches if begun > 1}
    assert later <= {(1, 2), (2, 3), (3, 5), (5, 8), (8, 12), (12, 18), (18, 27)}
    assert len(later) > 3


def test_a_configuration_near_the_optimum_is_among_the_few_that_are_trained_long():
    played, stretches = play(80)
    reached = {}
    for number, _, end in stretches:
        reached[number] = end
    ends = np.array([loss(played.results().trials[n].config, LAST) for n in reached])
    steps = np.array(list(reached.values()))
    assert (steps >= 8).sum() < 0.3 * len(steps)
    assert ends[steps >= 8].min() < 0.01 + 0.3 * LAST**-0.7


def test_the_best_curve_goes_on_where_only_old_ones_are_considered():
    sampler = study(12, old_share=0.999)
    answer = ask(sampler, 12, (), SEED)
    ends = [loss(config, LAST) for config in SPACE.sample(12, derive(0, "some"))]
    assert isinstance(answer, Continue)
    assert answer.number in np.argsort(ends)[:3] and answer.until == 5


def test_a_trial_that_runs_or_waits_is_not_continued_again():
    sampler = study(12, old_share=0.999)
    first = ask(sampler, 12, (), SEED)
    trial = trained(first.number, SPACE.sample(12, derive(0, "some"))[first.number], 3)
    second = ask(sampler, 12, (trial,), SEED)
    assert isinstance(second, Continue) and second.number != first.number


def test_at_the_limit_it_goes_on_until_a_trial_has_completed_and_no_paused_one_is_likely_to_beat_it():
    played, stretches = play(400, num_trials=12)
    counts = played.results().num_by_status
    assert counts["completed"] >= 1 and counts["paused"] >= 1
    assert max(number for number, _, _ in stretches) == 11
    finals = [loss(t.config, LAST) for t in played.results().trials]
    best = min(t.losses[0] for t in played.results().trials if t.status == "completed")
    assert best - min(finals) < 0.02, "what is left paused would not have been better by much"


def test_at_the_limit_what_only_equals_the_best_stays_paused():
    sampler = bound()
    for number, config in enumerate(SPACE.sample(12, derive(0, "some"))):
        trial = start(number, config)
        for step in range(1, 4):
            trial = report(trial, step, 1.0)
        if number:
            sampler.observe(evolve(trial, Paused(number=number, attempt=1, step=3, at=0.0), GOALS))
        else:
            sampler.tell(finish(report(trial, LAST, 1.0), {"loss": 1.0}))
    assert ask(sampler, None, (), SEED, turn=0) is Signal.EXHAUSTED


def test_with_nothing_that_may_go_on_it_waits_for_what_runs_or_is_exhausted():
    sampler = bound()
    assert ask(sampler, None, (), SEED, turn=0) is Signal.EXHAUSTED
    assert ask(sampler, None, (start(0, {"x": 0.5, "y": 0.5}),), SEED, turn=0) is Signal.WAIT
    sampler.tell(trained(0, {"x": 0.3, "y": 0.6}, LAST, status=Status.COMPLETED))
    sampler.observe(trained(1, {"x": 1.0, "y": 0.0}, 12))
    assert ask(sampler, None, (), SEED, turn=0) is Signal.EXHAUSTED, "a hopeless one stays paused"


def test_without_a_completed_trial_the_one_that_is_expected_to_end_lowest_goes_on():
    sampler = study(10, step=12)
    ends = [loss(config, LAST) for config in SPACE.sample(10, derive(0, "some"))]
    answer = ask(sampler, None, (), SEED, turn=0)
    assert answer == Continue(int(np.argmin(ends)), 18)


@pytest.mark.parametrize("acquisition", ["mfpi", "ei"])
def test_asked_twice_or_after_a_replay_it_says_the_same(acquisition):
    one, other = study(25, acquisition=acquisition), study(25, acquisition=acquisition)
    for turn in range(4):
        first = ask(one, 25, (), SEED, turn=turn)
        assert ask(one, 25, (), SEED, turn=turn) == first
    assert ask(other, 25, (), SEED, turn=3) == first, "one that was asked less often says the same"


@pytest.mark.parametrize("outliers", [(1.7e308, -1.7e308), (-1e300,), (1e308,)])
def test_losses_as_large_as_floats_are_taken(outliers):
    played = hpo.Study(
        SPACE, metric="loss", sampler={"name": "freeze_thaw", "max_steps": LAST}, storage="memory", seed=0
    )
    for i in range(16):
        trial = played.ask()
        for step in range((trial.last_step or 0) + 1, LAST + 1):
            # One stretch of a curve that then goes on as usual, so that all else is judged without it.
            if (
                played.report(trial, step, outliers[i % len(outliers)] if i in (5, 6) else loss(trial.config, step))
                != "continue"
            ):
                break
    assert len(played.results()) > 5


def test_failed_trials_are_kept_away_from_and_never_continued():
    sampler = study(12)
    for number in range(12, 24):
        failed = finish(start(number, {"x": 0.3, "y": 0.05 * (number - 12)}), status=Status.FAILED)
        sampler.tell(failed)
    for turn in range(10):
        answer = ask(sampler, 24, (), SEED, turn=turn)
        assert isinstance(answer, Suggestion) or answer.number < 12


def test_accidents_do_not_change_what_is_expected_of_curves():
    """The same trial is continued, although others that were nearly its twins have failed."""
    calm, unlucky = (study(12, acquisition="ei", old_share=0.99) for _ in range(2))
    chosen = ask(calm, 24, (), SEED)
    best = SPACE.sample(12, derive(0, "some"))[chosen.number]
    for number in range(12, 18):
        unlucky.tell(finish(start(number, {**best, "y": best["y"] + 0.01 * (number - 15)}), status=Status.FAILED))
    assert ask(unlucky, 24, (), SEED).number == chosen.number


def test_a_study_audits_and_recovers(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"

    def objective(config):
        for step in range(1, LAST + 1):
            hpo.report(loss=loss(config, step), step=step)

    results = hpo.tune(
        objective,
        SPACE,
        metric="loss",
        sampler={"name": "freeze_thaw", "max_steps": LAST},
        num_trials=8,
        seed=0,
        runtime="local",
        max_concurrent=1,
        storage=url,
        name="curves",
    )
    assert results.num_by_status["completed"] >= 1


def test_stretches_pause_at_the_step_that_was_said_and_nowhere_else():
    scheduler = Stretches(max_steps=LAST).bind(GOALS)
    free = report(start(0, {"x": 0.5, "y": 0.5}), 1, 1.0)
    assert scheduler.judge(free) is Verdict.CONTINUE and scheduler.next_step(free) is None
    _, stretches = play(5)
    assert stretches[0][2] == 1
    paused = trained(0, {"x": 0.5, "y": 0.5}, 3)
    assert scheduler.keeps(paused) and not scheduler.keeps(free)
    assert scheduler.promote(final=True) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_steps": None}, "freeze_thaw needs max_steps"),
        ({"stretch": 1.0}, "stretch"),
        ({"acquisition": "entropy"}, "acquisition"),
        ({"old_share": 1.0}, "old_share"),
        ({"n_initial": 0}, "n_initial"),
        ({"max_curves": 4}, "max_curves"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(SpecError, match=said):
        FreezeThaw(**{"max_steps": LAST, **options})
