"""Ask and tell."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from random import random

import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import HpoError, ObjectiveError, SpecError, SpecMismatch, StudyEnded, StudyExists, StudyWaiting

SPACE = {"x": hpo.uniform(0, 1)}


def make_study(**settings):
    return hpo.Study(settings.pop("space", SPACE), **{"storage": "memory", "sampler": "random", "seed": 1, **settings})


def test_ask_run_tell():
    study = make_study()
    for _ in range(10):
        trial = study.ask()
        study.tell(trial, trial.config["x"])
    assert study.results().best_value == min(t.config["x"] for t in study.results())


def test_a_batch_is_diverse():
    study = make_study(sampler="hyperopt")
    for trial in study.ask_batch(25):
        study.tell(trial, {"loss": trial.config["x"]})
    batch = study.ask_batch(4)
    assert len({t.config["x"] for t in batch}) == 4


def test_it_says_where_a_trial_may_be_stopped_next():
    study = make_study(scheduler={"name": "asha", "eta": 2, "max_steps": 8})
    trial, steps = study.ask(), []
    while (step := study.next_step(trial)) is not None:
        steps.append(step)
        study.report(trial, step, 1.0)
    assert steps == [1, 2, 4]
    assert make_study().next_step(make_study().ask()) is None


def test_told_twice_the_first_result_stays():
    study = make_study()
    trial = study.ask()
    study.tell(trial, 1.0)
    assert study.tell(trial, 2.0).metrics == {"loss": 1.0}


def test_a_result_that_is_none_is_a_failed_trial():
    study = make_study()
    trial = study.tell(study.ask(), float("nan"))
    assert trial.status == "failed" and "finite" in trial.error


def test_a_failure_is_kept_with_its_traceback():
    study = make_study()
    try:
        1 / 0
    except ZeroDivisionError as error:
        trial = study.fail(study.ask(), error)
    assert trial.status == "failed" and "ZeroDivisionError" in trial.error and "Traceback" in trial.error


def test_a_failure_that_is_told_has_a_reason_in_one_line_however_long_it_is():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    study = make_study()
    reason = "ValueError: " + 400 * "x"
    trial = study.fail(study.ask(), f"Traceback (most recent call last):\n{3_000_000 * 'y'}\n{reason}\n")
    assert trial.reason == f"{reason[:297]}..."
    assert len(trial.error) < 9_000 and trial.error.endswith(f"{reason}\n") and "characters left out" in trial.error
    assert "message cannot be shown: RuntimeError" in study.fail(study.ask(), Broken()).reason
    assert study.fail(study.ask(), ValueError("first\nsecond")).reason == "ValueError: first"
    assert len(study.fail(study.ask(), ValueError(3_000_000 * "y")).error) < 9_000


def test_reports_are_judged():
    study = make_study(scheduler={"name": "asha", "eta": 2})
    good, bad = study.ask_batch(2)
    assert study.report(good, 1, 0.1) == "continue"
    assert study.report(bad, 1, {"loss": 0.9}) == "stop"
    assert study.tell(bad).status == "pruned"
    assert study.tell(good).metrics == {"loss": 0.1}
    with pytest.raises(ObjectiveError):
        study.report(study.ask(), 1, {"acc": 1.0})


@pytest.mark.parametrize("step", [1.5, -5, True, "2", None, 10**20])
def test_a_step_that_is_none_is_refused_and_changes_nothing(step):
    study = make_study()
    trial = study.ask()
    with pytest.raises(ObjectiveError, match="a step is an integer of at least 0"):
        study.report(trial, step, 0.5)
    assert study.tell(trial, 0.5).status == "completed" and not study.results()[0].reports

    def objective(config):
        hpo.report(loss=0.5, step=step)
        return 0.5

    (trial,) = hpo.tune(objective, SPACE, num_trials=1, runtime="local", storage="memory", progress=False)
    assert trial.status == ("completed" if step is None else "failed")  # by default, it is the next one


def test_a_batch_is_of_a_whole_number_of_trials():
    study = make_study()
    for n in (1.5, "a", -1):
        with pytest.raises(SpecError, match="n "):
            study.ask_batch(n)


def test_a_grid_ends():
    study = make_study(space={"x": hpo.grid_search([1, 2, 3])}, sampler="grid")
    for trial in study.ask_batch(10):
        study.tell(trial, 0.0)
    with pytest.raises(StudyEnded, match="exhausted"):
        study.ask()


def test_who_asks_too_early_or_too_late_is_told_which():
    study = make_study(num_trials=1)
    trial = study.ask()
    with pytest.raises(StudyWaiting, match="all are handed out already; report or tell one of them, and ask again"):
        study.ask()
    study.tell(trial, 0.5)
    with pytest.raises(StudyEnded, match=r"has ended \(num_trials\) and has no trial to hand out"):
        study.ask()


def test_a_report_at_an_earlier_step_changes_nothing():
    study = make_study()
    trial = study.ask()
    assert study.report(trial, 3, 0.7) == study.report(trial, 3, 0.1) == study.report(trial, 2, 0.1) == "continue"
    assert [(report.step, report.metrics["loss"]) for report in study.results()[0].reports] == [(3, 0.7)]


def test_an_unknown_trial_is_named():
    with pytest.raises(HpoError, match="got trial 7"):
        make_study().tell(7, 1.0)


def test_what_was_asked_and_never_told_is_asked_again(tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    with make_study(name="s", storage=storage) as study:
        study.tell(study.ask(), 1.0)
        lost = study.ask()
    with make_study(name="s", storage=storage) as study:
        again = study.ask()
        assert (again.number, again.config, again.attempt) == (lost.number, lost.config, 2)


def test_two_studies_of_one_name_are_refused(tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    with make_study(name="s", storage=storage), pytest.raises(StudyExists):
        make_study(name="s", storage=storage)


def test_another_spec_is_refused_by_name(tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    make_study(name="s", storage=storage, seed=3).close()
    with pytest.raises(hpo.errors.SpecMismatch, match="seed=3, this run says seed=4"):
        make_study(name="s", storage=storage, seed=4)
    with pytest.raises(hpo.errors.SpecMismatch, match="space"):
        make_study(name="s", storage=storage, seed=3, space={"x": hpo.uniform(0, 2)})
    with pytest.raises(StudyExists):
        make_study(name="s", storage=storage, seed=3, resume="never")
    make_study(name="s", storage=storage, seed=None).close()


def test_enqueued_points_come_first():
    study = make_study(points_to_evaluate=[{"x": 0.5}])
    study.enqueue({"x": 0.75})
    assert [study.ask().config["x"] for _ in range(2)] == [0.5, 0.75]


def test_points_that_a_study_has_not_had_come_first_when_it_is_continued(tmp_path):
    def at(points, num):
        space = {"x": hpo.uniform(0, 1), "k": hpo.choice([1, "1"]), "drawn": hpo.sample_from(lambda config: random())}
        with make_study(
            name="s", storage=f"sqlite:///{tmp_path}/s.db", space=space, points_to_evaluate=points
        ) as study:
            trials = [study.ask() for _ in range(num)]
            for trial in trials:
                study.tell(trial, 0.5)
        return [(trial.config["x"], trial.config["k"]) for trial in trials]

    first, second = {"x": 0.5, "k": 1}, {"x": 0.5, "k": "1"}
    assert at([first], 2)[0] == (0.5, 1)
    assert (0.5, 1) not in at([first], 3)
    assert at([second, first, second], 3)[:2] == [(0.5, "1"), (0.5, "1")]
    assert not {(0.5, 1), (0.5, "1")} & set(at([second, second], 3))


A, B, EVEN = hpo.Float(0, 1), hpo.Choice(["u", "v"], weights=[9, 1]), hpo.Choice(["u", "v"])


def fits(config):
    return True


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"space": {"b": B, "a": A}}, {"space": {"b": EVEN, "a": hpo.Float(0, 5)}}, "space[b/weights]=[9.0, 1.0]"),
        ({"space": {"b": B}}, {"space": {"b": EVEN}}, "says space[b/weights]=None"),
        ({"space": {"b": EVEN}}, {"space": {"b": B}}, "says space[b/weights]=[9.0, 1.0]"),
        ({"space": {"b": B}}, {"space": {"b": B}, "prior_weight": 0}, "None (or prior_weight=0)"),
        ({"space": {"b": B}}, {"space": {"b": B}, "prior_weight": 0.5}, "prior_weight=1.0, this run says prior_weight=0.5"),
        (
            {"space": {"a": hpo.Float(0, 1, prior=hpo.Normal(0.5, 0.25))}},
            {"space": {"a": A}},
            "space[a/prior]=Normal(0.5, 0.25), this run says space[a/prior]=None",
        ),
        ({"space": {"a": A, "c": A}}, {"space": {"a": A}}, "this run says space[c]=nothing"),
        (
            {"space": {"a": A}},
            {"space": {"a": A, "c": hpo.Int(1, 2)}},
            "was created without space[c], this run says space[c]=Int(lo=1, hi=2, log=False, step=None, prior=None); "
            "use another name, or leave it out",
        ),
        ({"space": {"a": A, "b": B}}, {"space": {"b": B, "a": A}}, "list(space)=['a', 'b'], this run says list(space)=['b'"),
        ({"space": {"a": A, "c": {"k": None}}}, {"space": {"a": A, "c": {}}}, "this run says space[c/k]=nothing"),
        (
            {"space": {"a": hpo.Choice(["x" * 200 + "y", "z"])}},
            {"space": {"a": hpo.Choice(["x" * 200 + "w", "z"])}},
            "xxxy', this run says",
        ),
        (
            {"space": {"m": hpo.Choice([{"k": 1, "a": A}, {"k": 2}])}},
            {"space": {"m": hpo.Choice([{"k": 1, "a": hpo.Float(0, 2)}, {"k": 2}])}},
            "space[m/options[0]/a/hi]=1.0, this run says space[m/options[0]/a/hi]=2.0",
        ),
        (
            {"space": hpo.Space(SPACE, constraints=[fits])},
            {"space": SPACE},
            "with constraints=[fits], this run says constraints=[]",
        ),
        (
            {"metric": ["f", "g"], "valid_range": {"f": (0, 1)}},
            {"metric": ["f", "g"]},
            "valid_range={'f': (0.0, 1.0)}, this run says valid_range=None",
        ),
        ({"valid_range": (0, 1)}, {"valid_range": (0, 2)}, "valid_range=(0.0, 1.0), this run says valid_range=(0.0, 2.0)"),
        ({"metric": "f"}, {"metric": "g"}, "metric='f', this run says metric='g'"),
        (
            {"outcome_constraints": ["n <= 1234567.5"]},
            {"outcome_constraints": ["n <= 1234567"]},
            "['n <= 1234567.5'], this run says outcome_constraints=['n <= 1234567.0']",
        ),
    ],
)  # fmt: skip
def test_whatever_differs_is_named_as_it_is_written(before, now, said, tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    make_study(name="s", storage=storage, **before).close()
    make_study(name="s", storage=storage, **before).close()
    with pytest.raises(hpo.errors.SpecMismatch) as caught:
        make_study(name="s", storage=storage, **now)
    assert said in str(caught.value)


def test_equal_weights_are_no_weights(tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    make_study(name="s", storage=storage, space={"b": hpo.Choice(["u", "v"], weights=[1, 1])}).close()
    make_study(name="s", storage=storage, space={"b": EVEN}).close()


@pytest.mark.parametrize("role", ["sampler", "scheduler"])
def test_another_version_of_a_part_is_refused_with_a_way_out(role):
    spec = make_study(scheduler="asha").results().spec
    older = replace(spec, **{role: replace(getattr(spec, role), version=99)})
    with pytest.raises(
        hpo.errors.SpecMismatch, match=rf"version 99 of the {role} .* or the release that it was created"
    ):
        spec.require_same(older)


def test_a_study_that_is_refused_leaves_its_database_as_it_is(tmp_path):
    def asked(sql):
        with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as connection, connection:
            return connection.execute(sql).fetchall()

    settings = {"storage": f"{tmp_path}/s.db", "name": "s", "num_trials": 3}
    make_study(**settings).close()
    asked("DROP TABLE raytune_digests")
    asked("UPDATE raytune_schema SET version = 1")  # which the release that made it can open
    with pytest.raises(SpecMismatch, match="sampler=random, this run says sampler=sobol"):
        make_study(**settings, sampler="sobol")
    with pytest.raises(StudyExists, match="use another name, or resume='auto'"):
        make_study(**settings, resume="never")
    assert asked("SELECT version FROM raytune_schema") == [(1,)]
    assert asked("SELECT count(*) FROM raytune_writers") == [(1,)]
    make_study(**settings).close()
    assert len(asked("SELECT version FROM raytune_schema")) == 2


@pytest.mark.parametrize("storage", ["memory", "sqlite"])
def test_what_a_loop_does_to_a_configuration_changes_neither_the_study_nor_what_its_sampler_learns(storage, tmp_path):
    where = "memory" if storage == "memory" else f"sqlite:///{tmp_path / 'studies.db'}"
    space = {"x": hpo.uniform(0, 1), "inner": {"y": hpo.uniform(0, 1)}}
    study = hpo.Study(space, metric="loss", sampler="tpe", seed=0, storage=where)
    asked = []
    for _ in range(12):
        trial = study.ask()
        asked.append((trial.config["x"], trial.config["inner"]["y"]))
        told = study.tell(trial, trial.config.pop("x") + trial.config["inner"].pop("y"))
        told.config.clear()
    results = study.results()
    assert [(trial.config["x"], trial.config["inner"]["y"]) for trial in results] == asked
    results.best_config.clear()
    assert results.best_config.keys() == {"x", "inner"}
