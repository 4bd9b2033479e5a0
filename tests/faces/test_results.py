"""Results of every kind of study: the best, tables, files, and what is printed."""

from __future__ import annotations

import csv
import json
import math
import time

import pandas as pd
import pytest

import raytune_hpo as hpo
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Status
from raytune_hpo.results import Results
from tests.faces.studies import NASTY, done, failed, pruned, results_of, running
from tests.support import Feed


def test_the_best_trial_of_a_maximised_metric():
    results = results_of(done({"acc": 0.5}), done({"acc": 0.9}), failed(), metric="acc", mode="max")
    assert results.best_value == 0.9
    assert results.best_trial.number == 1
    assert results.best_config == {"x": 0.5, "n": 1}
    assert results.num_by_status == {
        "waiting": 0,
        "running": 0,
        "paused": 0,
        "completed": 2,
        "pruned": 0,
        "failed": 1,
    }


def test_results_are_a_sequence_of_trials():
    results = results_of(done(0.5), failed(), pruned(0.7))
    assert len(results) == 3
    assert [t.number for t in results] == [0, 1, 2]
    assert results[1].status is Status.FAILED
    assert results[-1] in results
    assert [t.number for t in results[1:]] == [1, 2]


def test_of_equals_the_first_is_best_and_all_are_in_best_trials():
    results = results_of(done(0.5), done(0.2), done(0.2))
    assert results.best_trial.number == 1
    assert [t.number for t in results.best_trials] == [1, 2]


def test_several_metrics_have_a_front():
    results = results_of(
        *[done({"loss": a, "size": b}) for a, b in [(1, 9), (2, 1), (3, 9), (0, 2)]],
        metric=["loss", "size"],
        mode=["min", "max"],
    )
    assert [t.number for t in results.best_trials] == [0, 3]
    assert results.best_value == 0
    assert "Pareto front: 2 trials" in str(results)


def test_without_a_completed_trial_the_error_says_why():
    results = results_of(failed("RuntimeError: CUDA out of memory"), pruned(0.5), running())
    with pytest.raises(HpoError, match=r"1 running, 1 pruned, 1 failed; trial 0 failed with: RuntimeError: CUDA"):
        _ = results.best_config
    assert "CUDA out of memory" in str(results)
    assert results.best_trials == ()


def test_an_empty_study_is_shown_and_has_no_best():
    results = results_of()
    with pytest.raises(HpoError, match="no trials"):
        _ = results.best_value
    assert "0 trials" in str(results)
    assert "0 trials" in results._repr_html_()
    assert list(results.to_dataframe()["number"]) == []
    assert "metrics/loss" in results.to_dataframe()


def test_the_dataframe_has_the_promised_columns():
    frame = results_of(done(0.5), failed()).to_dataframe()
    assert list(frame.columns) == [
        *["number", "status", "config/x", "config/n", "metrics/loss"],
        *["started_at", "duration_s", "worker", "attempt", "error"],
    ]
    assert frame.loc[0, "status"] == "completed"
    assert math.isnan(frame.loc[1, "metrics/loss"])
    assert "boom" in frame.loc[1, "error"]


def test_a_table_has_a_column_for_every_value_of_the_space_before_any_trial_has_it(tmp_path):
    svm, tree = {"kind": "svm", "C": hpo.uniform(0, 1)}, {"kind": "tree", "depth": hpo.randint(1, 9)}
    space = {
        "model": hpo.choice([svm, tree, None]),
        "lr": hpo.loguniform(1e-3, 1),
        "sd": hpo.randn(),
        "size": hpo.choice([16, 32]),
        "share": hpo.choice([1, 0.5]),
        "layers": [hpo.randint(1, 9), 3],
        "nested": {"flag": hpo.choice([True, False]), "fixed": 1},
    }
    names = ["model/kind", "model/C", "model/depth", "model", "lr", "sd", "size", "share", "layers"]
    names += ["nested/flag", "nested/fixed"]
    empty = results_of(space=space)
    frame = empty.to_dataframe()
    assert [name for name in frame if name.startswith("config/")] == [f"config/{name}" for name in names]
    kinds = [str(frame[f"config/{name}"].dtype) for name in names]
    assert kinds[:5] == ["object", "float64", "int64", "object", "float64"]
    assert kinds[5:] == ["float64", "int64", "float64", "object", "object", "int64"]
    empty.to_csv(tmp_path / "empty.csv")
    assert list(pd.read_csv(tmp_path / "empty.csv")) == list(frame)

    config = {"lr": 0.1, "sd": 0.0, "size": 16, "share": 1, "layers": [2, 3], "nested": {"flag": True, "fixed": 1}}
    one = results_of(done(0.5, {"model": {"kind": "tree", "depth": 3}, **config}), space=space).to_dataframe()
    assert list(one) == list(frame) and one["config/model/depth"].tolist() == [3]
    assert one["config/model/C"].isna().all() and one["config/model/C"].dtype == "float64"


def test_arms_are_named_wherever_trials_are_shown_if_a_portfolio_has_suggested_them(tmp_path):
    results = results_of(done(0.5), done(0.4, arm="gp-ei"), done(0.2, arm="rf-pi"), failed(), done(0.3, arm="rf-pi"))
    assert results.arms == {"gp-ei": 1, "rf-pi": 2}
    assert [trial.arm for trial in results] == [None, "gp-ei", "rf-pi", None, "rf-pi"]
    frame = results.to_dataframe()
    assert list(frame.columns)[-2:] == ["error", "arm"]
    assert frame["arm"].dropna().tolist() == ["gp-ei", "rf-pi", "rf-pi"]
    text = str(results)
    assert "suggested by: gp-ei 1, rf-pi 2 (the best)" in text
    assert "arm " in text.splitlines()[5] and text.splitlines()[6].split()[-2] == "rf-pi"
    assert "rf-pi" in results._repr_html_()
    results.to_json(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["arms"] == results.arms and data["best"]["arm"] == "rf-pi"
    assert "arm" not in data["trials"][0]


def test_without_arms_nothing_speaks_of_them():
    results = results_of(done(0.5), failed())
    assert results.arms == {} and "arm" not in results.to_dataframe() and "arm" not in results.summary()
    assert "arm" not in str(results)


def test_the_arms_of_a_real_portfolio_are_those_of_its_trials():
    sampler = hpo.samplers.Portfolio(arms=["random", "tpe"], strategy="SEQ", n_initial=2)
    results = hpo.simulate(
        lambda c: {"loss": c["x"], "cost_s": 1}, {"x": hpo.uniform(0, 1)}, num_trials=10, sampler=sampler, seed=0
    )
    assert sum(results.arms.values()) == 10 and "tpe" in results.arms


def test_parameters_of_other_branches_are_missing_in_the_dataframe():
    svm, tree = {"model": {"kind": "svm", "C": 0.1}}, {"model": {"kind": "tree", "depth": 3}}
    frame = results_of(done(0.5, svm), done(0.4, tree)).to_dataframe()
    assert list(frame["config/model/kind"]) == ["svm", "tree"]
    assert frame["config/model/C"].isna().tolist() == [False, True]
    assert frame["config/model/depth"].isna().tolist() == [True, False]


def test_a_hundred_thousand_trials_become_a_dataframe_in_under_two_seconds():
    spec = results_of().spec
    one = results_of(done(0.5, {"lr": 0.1, "depth": 3, "opt": "adam", "model": {"kind": "svm", "C": 1.0}}))[0]
    took_s = []
    for _ in range(
        3
    ):  # a core that others share takes longer for the same work: the quickest of three says what it takes
        results = Results(spec, [one] * 100_000)
        begin = time.process_time()
        frame = results.to_dataframe()
        took_s.append(time.process_time() - begin)
        assert len(frame) == 100_000
        if took_s[-1] < 2:
            break
    assert min(took_s) < 2


def test_files_hold_every_trial(tmp_path):
    results = results_of(done({"loss": 0.5, "extra": math.nan}), failed("ValueError: a, \"b\"\n'c'"))
    results.to_csv(tmp_path / "r.csv")
    frame = pd.read_csv(tmp_path / "r.csv")
    assert list(frame.columns) == list(results.to_dataframe().columns)
    assert frame.loc[1, "error"].endswith("'c'")
    results.to_json(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    assert data["trials"][0]["metrics"] == {"loss": 0.5, "extra": None}
    assert data["best"]["number"] == 0


def test_a_printed_table_is_short_whatever_the_study():
    wide = {f"parameter_{i}": float(i) for i in range(300)} | {"text": "long " * 1000, "dict": {"a": NASTY}}
    text = str(results_of(*[done(1.0 / (i + 1), {**wide, "parameter_7": i}) for i in range(30)]))
    assert len(text.splitlines()) < 15
    assert max(map(len, text.splitlines())) < 420
    assert "parameter_7" in text
    assert "results.to_dataframe()" in text


def test_what_a_notebook_shows_is_escaped():
    results = results_of(done(0.5, {"x": NASTY, NASTY: 1}), failed(NASTY), name="a<b>")
    html = results._repr_html_()
    assert "<script" not in html
    assert "<b>" not in html
    assert "<script" not in results_of(failed(NASTY))._repr_html_()


def test_results_of_a_study_are_a_fold_of_its_facts():
    feed = Feed(num_trials=3)
    ledger = Ledger.fold(feed.facts)
    assert len(Results.from_ledger(ledger)) == 0
    assert Results.from_ledger(ledger).name == "study"


def test_a_tuned_study_ends_in_results():
    results = hpo.Tuner(
        lambda config: config["x"] ** 2,
        {"x": hpo.uniform(-1, 1)},
        num_trials=5,
        sampler="random",
        seed=1,
        runtime="local",
        storage="memory",
        progress=False,
    ).fit()
    assert len(results) == 5
    assert results.best_value == min(t.metrics["loss"] for t in results)


def test_tables_say_which_completed_trials_are_feasible(tmp_path):
    study = hpo.Study({"x": hpo.uniform(0, 1)}, storage="memory", outcome_constraints=["mb <= 1"], sampler="random")
    for mb in (2.0, 1.0):
        study.tell(study.ask(), {"loss": mb, "mb": mb})
    study.ask()
    frame = study.results().to_dataframe()
    assert frame["feasible"].tolist() == [False, True, None]
    study.results().to_csv(tmp_path / "t.csv")
    assert [row["feasible"] for row in csv.DictReader((tmp_path / "t.csv").open())] == ["False", "True", ""]
    assert "feasible" not in results_of(done(0.5)).to_dataframe()


def test_a_table_for_people_cuts_long_names_and_keeps_them_apart():
    names = [f"a_rather_long_name_of_a_parameter_that_says_everything_{i}" for i in range(3)]
    space = {name: hpo.uniform(0, 1) for name in names}
    results = results_of(*[done(float(i), dict.fromkeys(names, i / 9)) for i in range(4)], space=space)
    header = next(line for line in str(results).splitlines() if line.startswith("  trial"))
    shown = header.split()[2:-1]
    assert len(set(shown)) == 3 and max(map(len, shown)) <= 30


def test_results_without_trials_and_of_thousands_are_counted_once():
    assert str(results_of()) == "study 'study': 0 trials"
    assert "1,200 trials (1,200 completed)" in str(results_of(*[done(0.5)] * 1200))


def test_columns_of_a_frame_are_numbers_even_if_no_trial_has_a_value():
    for results in (results_of(), results_of(failed(), failed()), results_of(running()), results_of(done(0.5))):
        kinds = results.to_dataframe().dtypes
        numbers = ["metrics/loss", "started_at", "duration_s"]
        assert [str(kinds[name]) for name in ("number", "attempt", *numbers)] == ["int64"] * 2 + ["float64"] * 3
    assert results_of().to_dataframe()["status"].str.upper().empty


@pytest.mark.parametrize(("columns", "hidden"), [(60, 7), (100, 5), (300, 2)])
def test_the_table_of_a_terminal_is_no_wider_than_it(columns, hidden, monkeypatch):
    space = {f"parameter_number_{i}": hpo.uniform(0, 1) for i in range(8)}
    results = hpo.tune(
        lambda config: config["parameter_number_0"], space, num_trials=3, seed=0, runtime="local", storage="memory",
        progress=False,
    )  # fmt: skip
    assert "+2 more" in str(results)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [line for line in str(results).splitlines() if line.startswith("  ")]
    assert f"+{hidden} more" in rows[0] and max(map(len, rows)) <= columns


def test_a_scheduler_without_reports_is_said_to_have_stopped_nothing():
    def reporting(config):
        hpo.report(loss=config["x"], step=1)

    settings = dict(num_trials=2, scheduler="asha", runtime="local", storage="memory", progress=False)
    said = "scheduler 'asha' stopped nothing: no trial has reported; call hpo.report(..., step=...) on the way"
    space = {"x": hpo.uniform(0, 1)}
    assert said in str(hpo.tune(lambda config: config["x"], space, **settings))
    assert "stopped nothing" not in str(hpo.tune(reporting, space, **settings))
    assert "stopped nothing" not in str(hpo.tune(lambda config: config["x"], space, **{**settings, "scheduler": None}))
