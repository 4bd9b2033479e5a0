"""Trials that pause and go on, as every face shows them."""

from __future__ import annotations

import csv
import json
import sqlite3
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import raytune_hpo as hpo
from raytune_hpo.analysis.best import by_value
from raytune_hpo.analysis.learning_curves import learning_curves
from raytune_hpo.analysis.timeline import timeline_of
from raytune_hpo.cli import main
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.snapshot import snapshot_of
from raytune_hpo.display.text import size
from raytune_hpo.errors import NoCompletedTrial
from raytune_hpo.facts import Saved, Status
from raytune_hpo.integrations.optuna import to_optuna
from raytune_hpo.integrations.recording import AttemptKey, TrialRecorder, record
from raytune_hpo.journal import open_storage
from raytune_hpo.progress.card import card
from raytune_hpo.progress.words import line_of, progress, share
from raytune_hpo.results import Results

PROMOTING = {"name": "asha", "max_steps": 9, "promote": True}
SPACE = {"floor": hpo.uniform(0, 1)}


def objective(config):
    saved = hpo.checkpoint()
    done = 0 if saved is None else int((saved.path / "step").read_text())
    for step in range(done + 1, 10):
        loss = config["floor"] + 1 / step
        hpo.report(loss=loss, step=step, save=lambda folder, step=step: (folder / "step").write_text(f"{step:04}"))
    return loss


def run(storage, name="promoted", num_trials=18, **settings):
    settings = {"sampler": "random", "scheduler": PROMOTING, "max_concurrent": 1, "seed": 3, **settings}
    return hpo.tune(
        objective, SPACE, num_trials=num_trials, runtime="local", name=name, storage=storage, progress=False, **settings
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study that has set aside most of its trials, and its storage."""
    storage = f"sqlite:///{tmp_path_factory.mktemp('paused')}/studies.db"
    return SimpleNamespace(results=run(storage), storage=storage)


def facts_of(study):
    return list(open_storage(study.storage).read("promoted"))


def cli(study, *words):
    done = CliRunner().invoke(main, [*words, "--storage", study.storage])
    return done.exit_code, done.output


def paused(study):
    return [trial for trial in study.results if trial.status is Status.PAUSED]


def test_the_line_and_the_card_of_a_study_that_has_set_trials_aside_are_at_their_end(study):
    ledger = Ledger.fold(facts_of(study))
    snapshot = snapshot_of(ledger, now=0.0)
    num_paused = len(paused(study))
    assert num_paused > 9 and snapshot.status.num_paused == num_paused
    assert snapshot.status.num_at_rest == 18 and snapshot.status.num_finished == 18 - num_paused
    assert progress(snapshot.status) == "18/18" and share(snapshot.status) == 1.0
    assert f"{num_paused} paused" in line_of(snapshot, None)
    shown = card(snapshot, None)
    assert f"{num_paused} paused" in shown and "finished or paused" in shown and "failure" not in shown


def test_the_picture_has_each_trial_once_as_it_stands(study):
    (history,) = snapshot_of(Ledger.fold(facts_of(study)), now=0.0).histories
    assert len(history.points) == 18  # though some have paused before they were completed
    assert sum(point.is_completed for point in history.points) == 18 - len(paused(study))
    num_pauses = sum(len(trial.stretches) for trial in study.results)
    assert history.length == 18 - len(paused(study)) + num_pauses > 18
    assert history.best[-1][1] == study.results.best_value and history.best[-1][0] <= history.length


def test_a_study_without_a_completed_trial_says_where_the_reports_of_paused_ones_are(study):
    at_rest = Results(study.results.spec, paused(study))
    with pytest.raises(NoCompletedTrial, match=r"results\.best_so_far"):
        _ = at_rest.best_trial
    best = at_rest.best_so_far
    assert best.status is Status.PAUSED and best.last_step == max(trial.last_step for trial in paused(study))
    assert "best_so_far" in str(at_rest)


def test_tables_list_completed_trials_then_paused_ones_by_their_values(study, tmp_path):
    ordered = by_value(study.results.trials)
    assert sorted(trial.number for trial in ordered) == list(range(18))
    statuses = [trial.status for trial in ordered]
    assert statuses == sorted(statuses, key=[Status.COMPLETED, Status.PAUSED].index)
    values = [trial.metrics["loss"] for trial in ordered if trial.status is Status.PAUSED]
    assert values == sorted(values)
    study.results.to_csv(tmp_path / "t.csv")
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [row["status"] for row in rows] == [str(trial.status) for trial in study.results]
    assert all(row["metrics/loss"] for row in rows)


def test_what_pausing_saved_is_told(study):
    saved = study.results.savings
    assert saved.num_paused == len(paused(study)) and saved.num_pruned == 0 and saved.saved_s > 0
    assert f"pausing {saved.num_paused} trials early saved about" in str(study.results)


def test_a_timeline_has_a_bar_for_each_time_that_a_trial_ran(study):
    found = timeline_of(study.results.trials)
    often = {trial.number: len(trial.stretches) + trial.status.is_finished for trial in study.results}
    assert len(found.trials) == sum(often.values()) > 18
    assert {n: sum(trial.number == n for trial in found.trials) for n in often} == often
    assert found.utilisation <= 1.0
    for number in often:
        own = [i for i, trial in enumerate(found.trials) if trial.number == number]
        assert sum(found.end[own] - found.begin[own]) == pytest.approx(study.results[number].duration_s, abs=1e-3)


def test_curves_go_over_all_attempts_and_mark_where_trials_paused(study):
    curves = learning_curves(study.results.trials, "loss")
    for curve in curves:
        assert curve.steps.tolist() == list(range(1, curve.trial.last_step + 1))
        assert {step for step, _ in curve.pauses} <= {1, 3}  # one that would go on at once did not pause
        assert len(curve.pauses) == len(curve.trial.stretches)
    figure = study.results.plot.curves()
    (marks,) = [
        trace for trace in figure.data if trace.name == "paused" and trace.mode == "markers" and trace.marker.size
    ]
    assert len(marks.x) == sum(len(curve.pauses) for curve in curves)


def test_every_figure_is_drawn_with_paused_trials(study, tmp_path):
    study.results.plot.page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<dt>paused</dt>" in text and "pausing" in text
    history = study.results.plot.history()
    assert {trace.name for trace in history.data} >= {"paused", "completed"}
    slices = study.results.plot.slice()
    assert sum(len(trace.x) for trace in slices.data if trace.name == "paused") == len(paused(study))


# ------------------------------------------------------------------------------------------------ the command line


def test_trials_can_be_listed_by_the_status_paused_with_their_steps(study):
    code, text = cli(study, "trials", "promoted", "--status", "paused")
    assert code == 0 and len(text.splitlines()) == 1 + len(paused(study))
    assert " step" in text.splitlines()[0]
    code, text = cli(study, "trials", "promoted", "--json")
    assert code == 0 and sum(row["status"] == "paused" for row in json.loads(text)) == len(paused(study))


def test_a_trial_is_shown_with_its_attempts_and_checkpoints(study):
    best = study.results.best_trial
    code, text = cli(study, "show", "promoted", "--trial", str(best.number))
    assert code == 0 and "checkpoints: step 9 (4 B)" in text
    again = next(trial for trial in study.results if len(trial.stretches) > 1)
    code, text = cli(study, "show", "promoted", "--trial", str(again.number))
    assert code == 0 and "paused at step 1" in text and "after step 1: paused at step 3" in text


def test_the_best_trials_checkpoint_is_copied(study, tmp_path):
    code, text = cli(study, "checkpoint", "promoted", str(tmp_path / "model"))
    assert code == 0 and f"trial {study.results.best_trial.number} at step 9 (4 B)" in text
    assert (tmp_path / "model" / "step").read_text() == "0009"
    assert study.results.best_trial.checkpoint.path.is_dir()
    code, text = cli(study, "checkpoint", "promoted", str(tmp_path / "model"))
    assert code == 2 and "name another one" in text


def test_what_was_never_saved_is_no_checkpoint_to_copy(tmp_path):
    """In a study that is driven by hand, a paused trial resumes after its last report, whoever keeps its state."""
    storage = f"sqlite:///{tmp_path / 's.db'}"
    with hpo.Study(
        {"x": hpo.uniform(0, 1)}, name="by hand", storage=storage, scheduler={"name": "asha", "promote": True}
    ) as by_hand:
        trial = by_hand.ask()
        assert by_hand.report(trial, 1, 1.0) == "pause"
    found = CliRunner().invoke(
        main, ["checkpoint", "by hand", "--trial", "0", str(tmp_path / "x"), "--storage", storage]
    )
    assert found.exit_code == 2 and "no trial of this study has one" in found.output
    found = CliRunner().invoke(main, ["show", "by hand", "--storage", storage])
    assert "raytune-hpo show 'by hand' --trial N" in found.output


def test_a_checkpoint_that_cannot_be_copied_is_told_by_name(study, tmp_path):
    without = next(trial.number for trial in study.results if trial.checkpoint is None)
    code, text = cli(study, "checkpoint", "promoted", str(tmp_path / "x"), "--trial", str(without))
    assert code == 2 and f"trial {without} of study 'promoted' has no checkpoint here; some that have:" in text
    code, text = cli(study, "checkpoint", "promoted", str(tmp_path / "x"), "--trial", "99")
    assert code == 2 and "has no trial 99" in text
    assert not (tmp_path / "x").exists()


def test_studies_tells_how_much_room_checkpoints_take(study):
    kept = sum(c["bytes"] for trial in study.results for c in trial.checkpoints.values())
    assert kept >= 4
    code, text = cli(study, "studies")
    assert code == 0 and "checkpoints" in text and size(kept) in text
    code, text = cli(study, "studies", "--long", "--json")
    assert json.loads(text)[0]["checkpoint_bytes"] == kept


@pytest.mark.parametrize("own_folder", [True, False], ids=["beside", "elsewhere"])
def test_deleting_a_study_deletes_its_checkpoints_and_nothing_else(tmp_path, own_folder):
    storage = f"sqlite:///{tmp_path}/studies.db"
    checkpoints = {} if own_folder else {"checkpoints": str(tmp_path / "kept")}
    root = tmp_path / ("studies.db.checkpoints" if own_folder else "kept")
    run(storage, num_trials=4, **checkpoints)
    run(storage, "another", num_trials=4, **checkpoints)
    (root / "notes.txt").write_text("mine")
    assert len(list(root.iterdir())) == 3
    done = CliRunner().invoke(main, ["delete", "promoted", "--yes", "--storage", storage])
    assert done.exit_code == 0
    left = sorted(path.name for path in root.iterdir())
    assert len(left) == 2 and left[0].startswith("another") and left[1] == "notes.txt"
    assert hpo.load("another", storage).best_trial.checkpoint.path.is_dir()


def test_a_record_that_names_something_else_deletes_nothing(tmp_path):
    """A journal may have been tampered with."""
    precious = tmp_path / "precious"
    precious.mkdir()
    storage = open_storage(f"sqlite:///{tmp_path}/studies.db")
    run(storage.url, num_trials=1)
    facts = list(storage.read("promoted"))
    journal = storage.journal("promoted", create=False, owner="me")
    for url in (str(precious), f"{precious}/..", "", "/"):
        fact = Saved(number=0, attempt=1, step=9, checkpoint={"url": url}, at=0.0)
        journal.append([fact], expect=len(facts))
        facts.append(fact)
    journal.close()
    storage.delete("promoted")
    assert precious.is_dir() and not (tmp_path / "studies.db.checkpoints" / "promoted").exists()


# ------------------------------------------------------------------------------------------------ elsewhere


class Told(TrialRecorder):
    """A logger that takes down what it is told."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def begin_study(self, spec, created_at):
        return set()

    def begin(self, trial):
        self.calls.append(("begin", trial.number, trial.attempt))

    def report(self, trial, report):
        self.calls.append(("report", trial.number, report.step))

    def end(self, trial):
        self.calls.append(("end", trial.number, trial.attempt, str(trial.status)))

    def end_study(self, stop):
        self.calls.append(("over",))

    def release(self):
        pass


def test_loggers_hear_of_each_attempt_and_nothing_of_checkpoints(study):
    told = Told()
    record("promoted", told, study.storage)
    begun = [call[1:] for call in told.calls if call[0] == "begin"]
    ended = [call[1:3] for call in told.calls if call[0] == "end"]
    assert sorted(begun) == sorted(ended) and len(set(begun)) == len(begun)
    for trial in study.results:
        own = [call for call in told.calls if len(call) > 1 and call[1] == trial.number]
        assert [call[3] for call in own if call[0] == "end"][:-1] == ["paused"] * (trial.attempt - 1)
        assert own[-1][3] == trial.status
        assert [call[2] for call in own if call[0] == "report"] == list(range(1, trial.last_step + 1))
    assert AttemptKey(*begun[0]) == (0, 1) and told.best.number == study.results.best_trial.number


def test_callbacks_hear_every_fact(tmp_path):
    heard = []
    run(f"sqlite:///{tmp_path}/studies.db", num_trials=6, callbacks=heard.append)
    kinds = {type(fact).__name__ for fact in heard}
    assert {"Started", "Reported", "Saved", "Paused", "Released", "Finished"} <= kinds


def test_optuna_gets_paused_trials_as_pruned_ones_with_their_last_value(study):
    optuna = pytest.importorskip("optuna")
    exported = to_optuna(study.results)
    pruned = exported.get_trials(states=[optuna.trial.TrialState.PRUNED])
    assert [trial.number for trial in pruned] == [trial.number for trial in paused(study)]
    assert [trial.value for trial in pruned] == [trial.metrics["loss"] for trial in paused(study)]
    assert all(trial.user_attrs["raytune_hpo:status"] == "paused" and trial.datetime_complete for trial in pruned)


def test_a_search_of_scikit_learn_sets_candidates_aside_and_goes_on_with_the_best():
    from sklearn.datasets import make_classification
    from sklearn.linear_model import SGDClassifier

    X, y = make_classification(120, random_state=0)
    search = hpo.sklearn.TunedSearchCV(
        SGDClassifier(random_state=0), {"alpha": hpo.loguniform(1e-6, 1)}, n_iter=12, cv=9, scheduler=PROMOTING,
        random_state=0, runtime="local",
    )  # fmt: skip
    search.fit(X, y)
    table = search.cv_results_
    assert set(table["status"]) == {"paused", "completed"} and table["status"][search.best_index_] == "completed"
    finished = zip(table["status"], table["n_steps"], strict=True)
    assert all((status == "completed") == (steps == 9) for status, steps in finished)


def test_a_size_is_told_in_its_unit():
    assert [size(n) for n in (0, 4, 999, 1000, 1_234_567, 999_999, 5e9, 7e15)] == [
        "0 B", "4 B", "999 B", "1 kB", "1.23 MB", "1 MB", "5 GB", "7e+03 TB",
    ]  # fmt: skip


def test_a_damaged_record_of_a_checkpoint_keeps_nobody_from_deleting_the_study(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/studies.db")
    run(storage.url, num_trials=2)
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE raytune_facts SET body = '{' WHERE kind = 'Saved' AND number = 0")
    connection.close()
    storage.delete("promoted")
    assert storage.studies() == [] and not (tmp_path / "studies.db.checkpoints" / "promoted").exists()
