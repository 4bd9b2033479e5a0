"""The sampler for running systems: small safe steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raytune_hpo.core.asking import ask
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.rng import derive
from raytune_hpo.samplers import Live
from raytune_hpo.samplers.live import _expected_gain
from raytune_hpo.space import Choice, Float, Int, Space
from raytune_hpo.trial import Trial

DOMAINS = {"a": Float(0, 1), "b": Float(0, 1), "n": Int(1, 4), "kind": Choice(["x", "y"])}
SPACE = Space(DOMAINS)
HERE = {"a": 0.5, "b": 0.5, "n": 2, "kind": "x"}


def window(number, config, *, group="control", rps=100.0, noise=0.0, **more):
    loss = 10.0 - 4.0 * config["a"] + 2.0 * config["b"] + rps / 100.0 + noise
    p99 = 100.0 + 200.0 * max(0.0, config["a"] - 0.5)
    return Trial(
        number=number,
        config=config,
        status=Status.COMPLETED,
        metrics={"loss": loss, "p99": p99, "context/rps": rps},
        losses=(loss,),
        meta={"group": group, "context": {"rps": rps}, **more},
        finished_at=1_800_000_000.0 + 60.0 * number,
    )


def told(sampler, num=30, seed=0):
    rng = derive(seed, "noise")
    for number in range(num):
        sampler.tell(window(number, HERE, rps=80.0 + 2.0 * (number % 20), noise=0.05 * rng.standard_normal()))
    for number in range(num, num + 16):
        config = {**HERE, "a": 0.5 + 0.015 * (number % 2), "b": 0.5 - 0.04 * (number % 3 == 0)}
        sampler.tell(window(number, config, group="canary", role="canary", noise=0.05 * rng.standard_normal()))
    return sampler


def bound(**options):
    return Live(context=["rps"], **options).bind(SPACE, (Goal("loss"),), 0)


def test_a_candidate_is_within_a_step_of_what_runs_and_changes_no_category():
    sampler = told(bound())
    for number in range(50, 55):
        config = ask(sampler, number, (), 0).config
        assert abs(config["a"] - 0.5) <= 0.0501
        assert abs(config["b"] - 0.5) <= 0.0501
        assert abs(config["n"] - 2) <= 1
        assert config["kind"] == "x"


def test_it_goes_where_the_loss_falls():
    sampler = told(bound(beta=0.0))
    suggestion = ask(sampler, 50, (), 0)
    assert suggestion.config["a"] > 0.52
    mean, sd = suggestion.meta["gain"]
    assert mean > 0.0 < sd


def test_the_expected_gain_prefers_what_is_known_to_be_good_to_what_is_unknown():
    mean, sd = np.array([-2.5, -1.7, 0.0, 0.0]), np.array([0.7, 1.8, 0.3, 0.1])
    gain = _expected_gain(mean, sd)
    draws = np.random.default_rng(0).standard_normal((200_000, 1)) * sd + mean
    assert gain == pytest.approx(np.maximum(0.0, -draws).mean(axis=0), rel=0.02)
    assert (np.argsort(-gain) == [0, 1, 2, 3]).all()
    assert np.argmin(mean - sd) == 1  # the confidence bound would rather explore


def test_what_other_classes_run_is_aimed_at_and_what_they_tried_is_not_barred():
    by_class, by_none = (bound(by_class=has, beta=None) for has in (True, False))
    there = {**HERE, "a": 0.53, "b": 0.38}
    for sampler in (by_class, by_none):
        for number in range(30):
            sampler.tell(window(number, HERE, noise=0.05 * (number % 3), place="night"))
        for number in range(30, 40):
            sampler.tell(window(number, there, rps=200.0, place="day", role="canary"))
        for number in range(40, 44):
            sampler.tell(window(number, HERE, noise=0.05 * (number % 3), place="night"))
    x0 = by_class._incumbent
    rows = by_class._candidates(x0, derive(0, "draws"))
    aimed = SPACE.encode([{**HERE, "a": 0.53, "b": 0.45}])[0]
    assert any(np.allclose(row, aimed) for row in rows)
    near = SPACE.encode([{**there, "b": 0.385}])
    assert len(by_class._untried(near, x0)) == 1 and len(by_none._untried(near, x0)) == 0


def test_what_may_break_a_guard_is_not_suggested():
    free = ask(told(bound(beta=0.0)), 50, (), 0).config
    guarded = ask(told(bound(beta=0.0, guards=["p99 <= 104"])), 50, (), 0)
    assert free["a"] > 0.53
    assert guarded.config["a"] < 0.521
    if "safe" in guarded.meta:
        assert guarded.meta["safe"] >= 0.95


def test_where_the_space_forbids_all_that_is_safe_it_holds_what_runs():
    asked = []

    def forbids(config):
        asked.append(config["a"])
        return config == HERE

    space = Space(DOMAINS, constraints=[forbids])
    sampler = told(Live(context=["rps"], beta=0.0, guards=["p99 <= 104"]).bind(space, (Goal("loss"),), 0))
    asked.clear()
    suggestion = ask(sampler, 50, (), 0)
    assert suggestion.config == HERE and "nothing that is safe" in suggestion.meta["holds"]
    assert asked and max(asked) < 0.53  # what is not safe is not even asked about


@pytest.mark.parametrize("where", ["the same", "another class", "after a drift"])
def test_what_broke_a_guard_without_a_loss_is_not_proposed_again_where_it_was(where):
    def suggested(shun_broken):
        sampler = told(bound(beta=0.0, by_class=True, shun_broken=shun_broken))
        proposed = ask(sampler, 50, (), 0).config
        meta = {"group": "canary", "role": "canary", "place": "night" if where == "another class" else ""}
        failed = replace(window(50, proposed), status=Status.FAILED, metrics={"errors": 1.0}, meta=meta)
        sampler.tell(failed)
        sampler.tell(window(51, HERE, epoch=int(where == "after a drift")))
        rows = SPACE.encode(
            [proposed, {**proposed, "a": proposed["a"] - 0.01}, {**proposed, "a": proposed["a"] - 0.02}]
        )
        return sampler._untried(rows, sampler._incumbent)

    assert len(suggested(False)) == 3
    assert len(suggested(True)) == (1 if where == "the same" else 3)


def test_with_few_windows_it_holds_what_runs():
    sampler = bound()
    sampler.tell(window(0, HERE))
    suggestion = ask(sampler, 1, (), 0)
    assert suggestion.config == HERE
    assert "too few" in suggestion.meta["holds"]


def test_a_forecast_knows_the_load():
    sampler = told(bound(), num=60)
    at = 1_800_000_000.0 + 60.0 * 80
    (low, sd), (high, _) = (sampler.forecast(HERE, {"rps": rps}, at) for rps in (80.0, 118.0))
    assert high - low == pytest.approx(0.38, abs=0.12)
    assert 0.02 < sd < 0.3


def test_after_a_drift_what_was_before_is_mostly_forgotten():
    sampler = bound()
    for number in range(60):
        sampler.tell(window(number, HERE, epoch=0))
    for number in range(60, 90):
        sampler.tell(window(number, HERE, noise=3.0, epoch=1))
    mean, _ = sampler.forecast(HERE, {"rps": 100.0}, 1_800_000_000.0 + 60.0 * 91)
    assert mean > 11.0
    assert len(sampler._chosen(90, 500)) == 50


def test_the_history_is_capped():
    sampler = told(bound(history=40), num=300)
    chosen = sampler._chosen(len(sampler._windows), 40)
    assert len(chosen) <= 40
    assert sum(sampler._windows[i].is_try for i in chosen) == 16


def test_a_wild_loss_is_cut_back_to_five_deviations_and_a_guards_value_never():
    def run(wild):
        sampler = bound(guards=["p99 <= 150"])
        for number in range(41):
            trial = window(number, HERE, noise=0.1 * (number % 5 - 2))
            if number == 20 and wild:
                trial = replace(trial, metrics={**trial.metrics, "loss": 900.0, "p99": 900.0})
            sampler.tell(trial)
        return sampler

    wild, tame = run(True), run(False)
    losses, usual = wild._observed(0, 41)[1], tame._observed(0, 41)[1]
    spread = np.median(np.abs(losses - np.median(losses)))
    assert losses[20] == pytest.approx(np.median(losses) + 5 * spread) and losses.max() < 11
    assert np.array_equal(np.delete(losses, 20), np.delete(usual, 20))
    assert wild._observed(1, 41)[1][20] == 900.0
    at = 1_800_000_000.0 + 60.0 * 50
    (mean, sd), (usual_mean, _) = (s.forecast(HERE, {"rps": 100.0}, at) for s in (wild, tame))
    assert abs(mean - usual_mean) < 0.1 and sd < 0.5


def test_losses_that_are_all_the_same_are_not_cut_back():
    sampler = bound()
    for number in range(25):
        sampler.tell(window(number, HERE, noise=3.0 * (number == 7)))
    assert np.ptp(sampler._observed(0, 25)[1]) == pytest.approx(3.0)


def test_unusable_windows_are_not_learned_from():
    sampler = bound()
    trial = window(0, HERE)
    trial.metrics["loss"] = float("nan")
    sampler.tell(trial)
    assert not sampler._windows


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"step": 0.0}, "step"),
        ({"safe": 1.0}, "safe"),
        ({"history": 3}, "history"),
        ({"guards": ["p99 < 3"]}, "guard"),
    ],
)
def test_options_out_of_range_are_refused(options, says):
    with pytest.raises(SpecError, match=says):
        Live(**options)


def test_a_parameter_that_is_not_there_cannot_be_tuned():
    with pytest.raises(SpecError, match="tunable='c'"):
        Live(tunable=["c"]).bind(SPACE, (Goal("loss"),), 0)


def test_a_contrast_is_the_difference_of_two_predictions():
    sampler = told(bound())
    model = sampler._model(0, len(sampler._windows))
    rows = sampler._rows(np.array([[0.6, 0.5, 0.5, 0.25]]), (100.0,), 20_833.0)
    base = sampler._rows(np.array([[0.5, 0.5, 0.5, 0.25]]), (100.0,), 20_833.0)
    mean, sd = model.posterior.contrast(rows, base)
    expected = model.posterior.predict(rows)[0] - model.posterior.predict(base)[0]
    assert mean == pytest.approx(expected)
    assert 0 < sd[0] < model.posterior.predict(rows)[1][0] + model.posterior.predict(base)[1][0]
