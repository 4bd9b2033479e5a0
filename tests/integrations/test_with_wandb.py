"""What Weights & Biases would upload of a study: the files of its offline mode, read as its own client wrote them."""

from __future__ import annotations

import json
import struct
from itertools import count

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

import raytune_hpo as hpo
from raytune_hpo.errors import SpecError
from raytune_hpo.integrations.testing import logger_cases
from raytune_hpo.integrations.wandb import Logger
from tests.integrations.neighbours import LOGGER_CASES, attempt_named, fit, tell

BLOCK = 32_768  # of LevelDB's log format, in which records are kept


def records(path):
    data, offset, parts = path.read_bytes(), 7, b""
    while offset + 7 <= len(data):
        if BLOCK - offset % BLOCK < 7:
            offset += BLOCK - offset % BLOCK
            continue
        size, kind = struct.unpack("<HB", data[offset + 4 : offset + 7])
        parts += data[offset + 7 : offset + 7 + size]
        offset += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


class Found:
    """One run: its config, history, summary and exit code."""

    def __init__(self, folder):
        (path,) = folder.glob("run-*.wandb")
        self.config, self.history, self.summary, self.exit_code = {}, [], {}, None
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.name, self.group, self.id = record.run.display_name, record.run.run_group, record.run.run_id
                self.project = record.run.project
                self.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "history":
                row = {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}
                self.history.append(
                    {key: value for key, value in row.items() if not key.startswith("_") or key == "_step"}
                )
            elif kind == "summary":
                self.summary |= {
                    (item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.summary.update
                }
            elif kind == "exit":
                self.exit_code = record.exit.exit_code


def runs(folder):
    wandb.teardown()  # its service writes the last records a little after a run has finished
    found = [Found(path) for path in sorted((folder / "wandb").glob("offline-run-*"))]
    return {run.name: run for run in found}, found


def logger(folder):
    return Logger("vision", mode="offline", dir=folder)


def attempts_in(folder):
    """A run that was interrupted offline lies in several folders, which are uploaded under one id."""
    _, found = runs(folder)
    by_id = {}
    for run in found:
        _, config, history, summary = by_id.setdefault(run.id, (run.name, {}, {}, {}))
        config |= {key: value for key, value in run.config.items() if key != "_wandb"}
        history |= {row["_step"]: {**history.get(row["_step"], {}), **row} for row in run.history}
        summary |= {key: value for key, value in run.summary.items() if not key.startswith("_")}
    return [(attempt_named(name), held) for name, *held in by_id.values()]


@pytest.mark.slow
@pytest.mark.parametrize("case", LOGGER_CASES)
def test_the_contract_of_loggers(tmp_path, case):
    places, made = count(), []

    def open_at(folder):
        for earlier in made:
            earlier.release()  # as wandb does for a process that died
        made.append(logger(folder))
        return made[-1]

    logger_cases(lambda: tmp_path / str(next(places)), open_at, attempts_in)[case]()


def assert_tells_the_story(found):
    assert {name: run.exit_code for name, run in found.items()} == {
        "trial-00000": 0,
        "trial-00001": 1,
        "trial-00001-attempt-2": 1,
        "trial-00001-attempt-3": 0,
        "trial-00002": 1,
        "trial-00003": 0,
        "trial-00004": 0,
    }
    first = found["trial-00000"]
    assert first.group == "digits" and first.project == "vision"
    assert {"model", "batch", "act"} < set(first.config)
    assert first.history[0] == {"_step": 1, "loss": 1.0}
    assert first.history[-1] == {"_step": 2, "loss": 0.25, "note": "half way", "size": 3}
    assert first.summary["raytune_hpo/status"] == "completed" and first.summary["raytune_hpo/number"] == 0
    assert found["trial-00001"].history == [{"_step": 1, "loss": 9.0}]
    assert found["trial-00001"].summary["raytune_hpo/status"] == "waiting"
    assert "batch too small" in found["trial-00002"].summary["raytune_hpo/error"]
    assert found["trial-00003"].summary["raytune_hpo/status"] == "pruned"


@pytest.mark.slow
def test_a_study_that_is_taken_up_again_is_recorded_once(story, tmp_path):
    crashed = logger(tmp_path)
    tell(crashed, story.crashed, close=False)
    crashed.release()  # as wandb does for a process that died
    for _ in range(2):
        tell(logger(tmp_path), story.facts)
    found, all_of_them = runs(tmp_path)
    assert_tells_the_story(found)
    assert len(all_of_them) == 8, "the attempt that was open goes on in another folder"
    assert len({run.id for run in all_of_them}) == 7, "under its own id"


@pytest.mark.slow
def test_a_trial_that_pauses_and_goes_on_has_one_run(promoted, tmp_path):
    tell(logger(tmp_path), promoted.facts)
    _, all_of_them = runs(tmp_path)
    trial = promoted.longest
    parts = [run for run in all_of_them if run.name == f"trial-{trial.number:05}"]
    assert len(parts) == trial.attempt, "offline, what is uploaded under one id lies in a folder for each attempt"
    assert len({run.id for run in parts}) == 1
    steps = [row["_step"] for run in parts for row in run.history if "loss" in row]
    assert sorted(steps) == [report.step for report in trial.reports]


@pytest.mark.slow
def test_a_real_study_beside_a_run_of_the_users_own(tmp_path, storage):
    settings = wandb.Settings(silent=True, console="off")
    with wandb.init(project="mine", mode="offline", dir=tmp_path / "mine", settings=settings) as mine:
        results = fit(num_trials=3, storage=storage, callbacks=[logger(tmp_path)])
        mine.log({"mine": 1})
        assert wandb.run is mine
    found, _ = runs(tmp_path)
    for trial in results:
        run = found[f"trial-{trial.number:05}"]
        assert run.config["batch"] == trial.config["batch"] and run.summary["raytune_hpo/status"] == trial.status


def test_the_package_is_missed_before_a_study_begins(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="this needs the package wandb: pip install wandb"):
        Logger()


@pytest.mark.slow
def test_metrics_keep_their_names_beside_what_is_said_of_the_trial(tmp_path):
    def objective(config):
        hpo.report(loss=1.0, status=3.0, step=1, _step=50.0)
        return {"loss": 0.5, "status": 4.0, "attempt": 99}

    fit(objective, {"x": 1}, num_trials=1, storage="memory", callbacks=logger(tmp_path))
    found, _ = runs(tmp_path)
    run = found["trial-00000"]
    assert run.summary["status"] == 4.0 and run.summary["attempt"] == 99
    assert run.summary["raytune_hpo/status"] == "completed" and run.summary["raytune_hpo/attempt"] == 1
    assert run.history[0]["raytune_hpo/_step"] == 50.0 and run.history[0]["_step"] == 1


def test_modes_and_keywords_are_checked_before_a_study_begins():
    with pytest.raises(SpecError, match="wandb has no mode 'offlin'; did you mean 'offline'"):
        Logger(mode="offlin")
    with pytest.raises(SpecError, match=r"wandb.init has no keyword 'projet'; did you mean 'project'"):
        Logger(projet="vision")
