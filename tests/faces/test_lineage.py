"""What led to a trial of a population: its lineage, its schedule once more, and its figure."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import raytune_hpo as hpo
from raytune_hpo.analysis.lineage import schedule_of
from raytune_hpo.errors import SpecError
from raytune_hpo.results import Results

SPACE = {"h0": hpo.uniform(0, 1), "act": hpo.choice(["relu", "tanh"])}


def decay(config):
    w, done = 1.0, 0
    if (saved := hpo.checkpoint()) is not None:
        w, done = json.loads((saved.path / "w").read_text()), saved.step
    for step in range(done + 1, 31):
        w *= 1 - 0.1 * config["h0"]
        hpo.report(loss=w, step=step, cost_s=float(step), save=lambda f, t=str(w): (f / "w").write_text(t))


@pytest.fixture(scope="module")
def population() -> Results:
    sampler = {"name": "pbt", "population": 4, "interval": 5, "max_steps": 30}
    return hpo.simulate(decay, SPACE, sampler=sampler, seed=3, num_workers=2, name="decay")


def test_a_lineage_goes_back_to_a_founder(population):
    chain = population.lineage(population.best_trial.number)
    assert [t.meta["generation"] for t in chain] == list(range(6)) and chain[-1] is population.best_trial
    assert chain[0].parent is None and all(b.parent == a.number for a, b in zip(chain, chain[1:], strict=False))
    assert len({t.slot for t in chain}) > 1  # it copied somebody
    with pytest.raises(SpecError, match="trials 0 to 23, got 24"):
        population.lineage(24)
    for odd in ("a", 1.5, None):
        with pytest.raises(SpecError, match="this study has trials 0 to 23, got"):
            population.lineage(odd)


def test_a_schedule_leaves_out_what_was_lost(population):
    best = population.best_trial
    assert [step for _, step in schedule_of(population.trials, best.number)] == [5, 10, 15, 20, 25, 30]
    ancestor = population.lineage(best.number)[1].number
    course = replace(best.course, from_trial=ancestor, from_step=10)  # its donor's checkpoint was gone
    trials = [replace(t, course=course) if t is best else t for t in population]
    assert [step for _, step in schedule_of(trials, best.number)] == [5, 10, 30]


def test_a_replay_trains_by_the_same_schedule(population):
    best = population.best_trial
    again = population.replay(best.number, storage="memory", progress=False)
    assert [t.config for t in again] == [t.config for t in population.lineage(best.number)]
    assert [t.until for t in again] == [5, 10, 15, 20, 25, 30]
    assert again[-1].metrics == best.metrics and again.name == f"decay-replay-{best.number}"


def test_a_replay_gives_its_seed_to_an_objective_that_takes_one(population):
    seeds = []

    def seeded(config, seed=0):
        seeds.append(seed)
        decay(config)

    population.replay(0, objective=seeded, seed=7, storage="memory", progress=False)
    assert seeds == [7]


def test_a_replay_needs_an_objective_and_a_trial_that_has_reported(population):
    loaded = Results(population.spec, population.trials)
    with pytest.raises(SpecError, match="give it: results.replay"):
        loaded.replay(3)


def test_segments_are_no_repeats_of_a_configuration(population):
    assert population.noise is None


def test_the_figure_shows_every_segment_and_one_lineage():
    pytest.importorskip("plotly")
    sampler = {"name": "pbt", "population": 4, "interval": 5, "max_steps": 30}
    results = hpo.simulate(decay, SPACE, sampler=sampler, seed=3, num_workers=2)
    figure = results.plot.lineage()
    tree, lineage = figure.data[:2]
    assert sum(x is None for x in tree.x) == 24 and sum(x is None for x in lineage.x) == 6
    assert f"trial {results.best_trial.number}" in figure.layout.annotations[0].text
    assert {a.text for a in figure.layout.annotations[1:]} == {"h0", "act"}
    plain = hpo.simulate(lambda c: {"loss": c["h0"], "cost_s": 1.0}, SPACE, num_trials=3, sampler="random")
    assert "no sampler of populations" in plain.plot.lineage().layout.annotations[0].text
