"""A study that learns from earlier ones, as a user asks for it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.core.audit import audit
from raytune_hpo.errors import SpecError, StudyNotFound
from raytune_hpo.facts import Recalled
from raytune_hpo.journal import open_storage
from raytune_hpo.samplers.gp import GP
from raytune_hpo.testing.trials import GOALS, finish, start

SPACE = {"x": hpo.Float(0, 1), "y": hpo.Float(0, 1), "c": hpo.Choice(["a", "b"])}


def valley(config, at=0.7):
    return (config["x"] - at) ** 2 + (config["y"] - 0.2) ** 2 + (config["c"] == "b")


def play(storage, name, loss=valley, *, num=12, space=SPACE, metric="loss", **settings):
    study = hpo.Study(space, name=name, storage=storage, seed=1, metric=metric, **settings)
    for _ in range(num):
        trial = study.ask()
        study.tell(trial, {metric: loss(trial.config)})
    losses = [loss(trial.config) for trial in study.results()]
    study.close()
    return losses


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def taught(storage):
    """A storage with an earlier study."""
    play(storage, "before", num=30, sampler="random")
    return storage


def recalled(storage, name):
    return [fact for fact in open_storage(storage).read(name) if isinstance(fact, Recalled)]


def test_it_begins_where_the_earlier_study_was_good(taught):
    before = sorted(valley(trial.config) for trial in hpo.load("before", taught))
    losses = play(taught, "after", num=3, earlier=["before"])
    assert losses[0] == before[0]
    assert losses[1] not in before, "one of the even design, to compare with"
    assert losses[2] in before[:10]


def test_it_leaves_an_earlier_study_that_misleads_after_one_trial(taught):
    before = sorted(valley(trial.config) for trial in hpo.load("before", taught))
    losses = play(taught, "after", lambda c: -valley(c), num=4, earlier=["before"])
    assert -losses[0] == before[0]
    assert not {-loss for loss in losses[1:]} & set(before)


def test_workers_that_begin_together_share_the_two_openings(taught):
    """While nothing is known of either, only the second trial of the first four is of the even design."""
    before = sorted(valley(trial.config) for trial in hpo.load("before", taught))
    with hpo.Study(SPACE, name="after", storage=taught, seed=1, metric="loss", earlier=["before"]) as study:
        losses = [valley(study.ask().config) for _ in range(5)]
    assert [loss in before for loss in losses] == [True, False, True, True, False]


def test_what_is_recalled_stands_in_the_journal_after_the_spec(taught):
    play(taught, "after", num=1, earlier=["before"])
    facts = list(open_storage(taught).read("after"))
    (fact,) = recalled(taught, "after")
    assert facts[1] == fact and fact.source == "before" and len(fact.rows) == 30
    row, score = fact.rows[0]
    assert len(row) == 3 and -3 < score < 3
    json.dumps(fact.rows)


@pytest.mark.parametrize("sampler", ["gp", "auto"])
def test_an_audit_needs_no_earlier_study(taught, sampler):
    play(taught, "after", num=12, earlier=["before"], sampler=sampler)
    storage = open_storage(taught)
    storage.delete("before")
    report = audit(storage.read("after"))
    assert report.is_clean and report.num_suggestions == 12


def test_it_goes_on_after_the_earlier_study_has_gone(taught):
    whole = play(taught, "whole", num=8, earlier=["before"])
    play(taught, "halves", num=4, earlier=["before"])
    open_storage(taught).delete("before")
    assert play(taught, "halves", num=4, earlier=["before"]) == whole


def test_parameters_are_known_by_their_names(storage):
    wider = {"y": hpo.Float(-1, 2), "x": hpo.Float(0, 1), "other": hpo.Int(1, 5), "c": hpo.Choice(["b", "a", "z"])}
    play(storage, "before", lambda c: (c["x"] - 0.7) ** 2 + (c["y"] - 0.2) ** 2, num=40, space=wider, sampler="random")
    play(storage, "after", num=1, earlier=["before"])
    (fact,) = recalled(storage, "after")
    X = np.array([[np.nan if x is None else x for x in row] for row, _ in fact.rows])
    before = {trial.number: trial.config for trial in hpo.load("before", storage)}
    assert len(X) == sum(-0.5 <= config["y"] <= 1.5 for config in before.values())  # others are too far outside
    assert X[:, 1].min() == 0 and X[:, 1].max() == 1  # what is slightly outside counts as the end
    assert np.isnan(X[:, 2]).any() and not np.isnan(X[:, 2]).all()  # "z" is no option here


def test_an_optimum_that_has_moved_is_found_all_the_same(taught):
    losses = play(taught, "after", lambda c: valley(c, 0.1), num=25, earlier=["before"])
    assert min(losses) < 0.01


def test_earlier_studies_that_say_nothing_are_left_out_of_the_model(taught, storage):
    """A model predicts as one that never had them: these depend on another parameter."""
    rng = np.random.default_rng(3)
    space = hpo.Space(SPACE)
    trials = [finish(start(i, c), {"loss": (c["x"] - 0.1) ** 2}) for i, c in enumerate(space.sample(30, rng))]
    rows = space.encode([trial.config for trial in trials])
    other = Recalled(at=0.0, source="other", rows=[(x, 4 * x[1] - 2) for x in rows.tolist()])
    plain, told = (GP().bind(space, GOALS, 0) for _ in range(2))
    told.recall(other)
    for trial in trials:
        plain.tell(trial)
        told.tell(trial)
    new = [finish(start(100 + i, c), {"loss": 0.0}) for i, c in enumerate(space.sample(20, rng))]
    assert np.allclose(plain.expected_of(new), told.expected_of(new), atol=1e-6)


def test_a_ranking_that_is_turned_upside_down_is_got_over(taught):
    losses = play(taught, "after", lambda c: -valley(c), num=16, earlier=["before"])
    assert min(losses) < -1.9  # the worst corner is -2.13


def test_a_study_that_is_not_there_is_named(storage):
    with pytest.raises(StudyNotFound, match="nothing"):
        play(storage, "after", earlier=["nothing"])


def test_a_study_of_another_metric_is_refused_by_name(taught):
    with pytest.raises(SpecError, match="metric 'score' within reach of the space, study 'before' has 0"):
        play(taught, "after", metric="score", earlier=["before"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"earlier": "before"}, "earlier is a list of names"),
        ({"earlier": ["before"], "sampler": "random"}, "only samplers gp and auto learn.*got sampler='random'"),
    ],
)
def test_settings_are_checked(taught, settings, message):
    with pytest.raises(SpecError, match=message):
        play(taught, "after", **settings)


def test_other_earlier_studies_are_another_study(taught):
    play(taught, "after", num=1, earlier=["before"])
    with pytest.raises(hpo.errors.SpecMismatch, match="earlier"):
        play(taught, "after", num=1)


def play_bounded(storage, name, num=30, **settings):
    """A study whose loss is best where a megabyte is exceeded; its configurations."""
    study = hpo.Study({"x": hpo.Float(0, 1)}, name=name, storage=storage, seed=1, **settings)
    for _ in range(num):
        trial = study.ask()
        study.tell(trial, {"loss": 1 - trial.config["x"], "mb": 2 * trial.config["x"]})
    told = [trial.config["x"] for trial in study.results()]
    study.close()
    return told


@pytest.mark.parametrize(
    ("before", "after"),
    [([], ["mb <= 1"]), (["mb <= 1"], []), (["mb <= 1"], ["mb <= 1"]), (["mb <= 2"], ["mb <= 1", "other >= 0"])],
)
def test_it_does_not_begin_where_the_earlier_study_broke_constraints(storage, before, after):
    play_bounded(storage, "before", sampler="random", outcome_constraints=before)
    study = hpo.Study(
        {"x": hpo.Float(0, 1)}, name="after", storage=storage, seed=1, earlier=["before"], outcome_constraints=after
    )
    first = [study.ask().config["x"] for _ in range(3)]
    study.close()
    assert max(first) <= 0.55 and first[0] > 0.3
    (fact,) = recalled(storage, "after")
    scores = sorted((row[0] <= 0.5, score) for row, score in fact.rows)
    broken, kept = ([score for fits, score in scores if fits is wanted] for wanted in (False, True))
    assert len(broken) > 5 and len(kept) > 5 and max(kept) < min(broken)
    by_excess = [score for row, score in sorted(fact.rows) if row[0] > 0.5]
    assert by_excess == sorted(by_excess)  # what is farthest from its bound is the worst


def test_a_bound_of_the_new_study_takes_the_place_of_the_earlier_one(storage):
    play_bounded(storage, "before", sampler="random", outcome_constraints=["mb <= 1"])
    play_bounded(storage, "after", num=1, earlier=["before"], outcome_constraints=["mb <= 4"])
    (fact,) = recalled(storage, "after")
    scores = [score for _, score in sorted(fact.rows)]
    assert scores == sorted(scores, reverse=True)  # nothing is infeasible now


def test_a_study_with_constraints_that_learns_from_others_is_audited(storage):
    play_bounded(storage, "before", sampler="random", outcome_constraints=["mb <= 1"])
    play_bounded(storage, "after", num=8, earlier=["before"], outcome_constraints=["mb <= 1"])
    assert audit(open_storage(storage).read("after")).is_clean


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"earlier": ["after"]}, "names 'after' itself"),
        ({"earlier": ["nothing"]}, "nothing"),
        ({"earlier": ["before", "short"]}, "study 'short' has 4"),
        ({"earlier": ["before"], "metric": "score"}, "study 'before' has 0"),
    ],
)
def test_what_is_refused_leaves_no_study_behind(taught, settings, error):
    play(taught, "short", num=4, sampler="random")
    with pytest.raises(hpo.errors.HpoError, match=error):
        play(taught, "after", num=1, **settings)
    assert {row.name for row in open_storage(taught).studies()} == {"before", "short"}
    play(taught, "after", num=1, sampler="random")


def test_what_is_refused_creates_no_file(tmp_path):
    with pytest.raises(StudyNotFound):
        play(f"sqlite:///{tmp_path}/new.db", "after", earlier=["nothing"])
    assert not list(tmp_path.iterdir())
