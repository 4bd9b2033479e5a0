"""Population based bandits: settings from a model that forgets, inside every kind of space."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.core.audit import audit
from raytune_hpo.errors import SpecError
from raytune_hpo.journal import open_storage
from raytune_hpo.samplers import PB2
from raytune_hpo.space import Choice, Float, Space

DRIFT = {"lr": hpo.loguniform(1e-5, 1.0), "momentum": hpo.uniform(0, 1)}
STEPS = 60


def drift(config):
    """Each step adds the more, the nearer the settings are to where they are best now."""
    gained, done = 0.0, 0
    if (saved := hpo.checkpoint()) is not None:
        gained, done = json.loads((saved.path / "gained").read_text()), saved.step
    for step in range(done + 1, STEPS + 1):
        now = step / STEPS
        away = (math.log10(config["lr"]) + 1 + 3 * now) ** 2 + ((config["momentum"] - 0.2 - 0.6 * now) / 0.3) ** 2
        gained += math.exp(-away / 2) / STEPS
        text = json.dumps(gained)
        hpo.report(gained=gained, step=step, cost_s=float(step), save=lambda f, t=text: (f / "gained").write_text(t))


def trained(sampler, seed, **settings):
    sampler = {"name": sampler, "population": 4, "interval": 2, "max_steps": STEPS}
    return hpo.simulate(
        drift, DRIFT, metric="gained", mode="max", sampler=sampler, seed=seed, num_workers=4, **settings
    )


@pytest.mark.slow
def test_four_members_follow_a_drifting_optimum_better_than_with_random_changes():
    pbt, pb2 = ([trained(name, seed).best_value for seed in range(4)] for name in ("pbt", "pb2"))
    assert sum(a < b for a, b in zip(pbt, pb2, strict=True)) >= 3
    assert np.mean(pb2) > np.mean(pbt) + 0.05


def test_the_same_journal_is_the_same_population(tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    trained("pb2", 1, storage=url, name="study")
    report = audit(open_storage(url).read("study"))
    assert report.is_clean and report.num_suggestions == 4 * 30


def test_categories_are_learned_too():
    space = Space({"x": Float(0, 1), "c": Choice(["bad", "good", "worse"])})
    run = testing.Loop.of(lambda: PB2(max_steps=40, population=6), space)
    loss = {}
    for _ in range(150):
        trial = run.ask()
        gain = {"bad": 0.0, "good": 1.0, "worse": -1.0}[trial.config["c"]] + trial.config["x"]
        loss[trial.number] = loss.get(trial.parent, 0.0) - gain
        run.tell(trial, {"loss": loss[trial.number]})
    late = [trial.config for trial in run.finished[-30:]]
    assert sum(config["c"] == "good" for config in late) > 24
    assert np.mean([config["x"] for config in late]) > 0.7


def test_settings_for_several_workers_at_once_differ():
    run = testing.Loop.of(lambda: PB2(max_steps=40, population=12, quantile=0.5), Space({"x": Float(0, 1)}))
    for _ in range(24):
        run.tell(run.ask())
    asked = [run.ask() for _ in range(12)]
    explored = [trial.config["x"] for trial in asked if trial.config["x"] not in {t.config["x"] for t in run.finished}]
    assert len(explored) > 2 and len(set(explored)) == len(explored)


def test_losses_as_large_as_floats_are_taken():
    losses = [1.7e308, -1.7e308, 1e308, -1e300, 0.5]
    run = testing.Loop.of(lambda: PB2(max_steps=40, population=6), Space({"x": Float(0, 1), "c": Choice(["a", "b"])}))
    with np.errstate(over="raise", invalid="raise"):
        for i in range(60):
            run.tell(run.ask(), {"loss": losses[i % 5]})


def test_it_learns_from_one_metric_and_checks_its_options():
    with pytest.raises(SpecError, match="learns from one metric"):
        hpo.Tuner(drift, DRIFT, metric=["a", "b"], sampler={"name": "pb2", "max_steps": 5})
    with pytest.raises(SpecError, match="window >= 8"):
        PB2(max_steps=5, window=3)
