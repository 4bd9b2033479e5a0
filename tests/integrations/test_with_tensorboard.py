"""What TensorBoard finds in the files of a study."""

from __future__ import annotations

import struct
from collections import defaultdict
from itertools import count

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

import raytune_hpo as hpo
from raytune_hpo.errors import SpecError
from raytune_hpo.integrations.checklist import folder_of
from raytune_hpo.integrations.tensorboard import Logger
from raytune_hpo.integrations.testing import logger_cases
from tests.integrations.neighbours import LOGGER_CASES, attempt_named, fit, tell


def events(folder):
    """The events of a folder's one file: records of 8 + 4 + n + 4 bytes, each a length, its check, and the data's."""
    (path,) = folder.iterdir()
    data, found = path.read_bytes(), []
    while data:
        (size,) = struct.unpack("Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + size]))
        data = data[12 + size + 4 :]
    return found


def scalars(folder):
    found = defaultdict(list)
    for event in events(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found[value.tag].append((event.step, value.simple_value, event.wall_time))
    return dict(found)


def hparams(folder):
    values = [value for event in events(folder) for value in event.summary.value]
    contents = {value.tag: value.metadata.plugin_data.content for value in values}
    return {tag: HParamsPluginData.FromString(content) for tag, content in contents.items() if content}


def assert_tells_the_story(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "raytune_hpo.txt",
        "trial-00000",
        "trial-00001",
        "trial-00001-attempt-2",
        "trial-00001-attempt-3",
        "trial-00002",
        "trial-00003",
        "trial-00004",
    ]
    assert scalars(folder / "trial-00000") == {
        "loss": [(1, 1.0, 20.0), (2, 0.5, 22.0), (2, 0.25, 23.0)],
        "size": [(2, 3.0, 23.0)],
    }
    assert scalars(folder / "trial-00001") == {"loss": [(1, 9.0, 21.0)]}
    assert scalars(folder / "trial-00001-attempt-2") == {"loss": [(1, 8.0, 26.0)]}
    assert scalars(folder / "trial-00002") == {}
    assert scalars(folder / "trial-00004") == {"loss": [(0, 0.75, 105.0)]}


def attempts_in(root):
    for folder in root.glob("*/trial-*"):
        yield attempt_named(folder.name), (scalars(folder), {k: str(v) for k, v in hparams(folder).items()})


@pytest.mark.parametrize("case", LOGGER_CASES)
def test_the_contract_of_loggers(tmp_path, case):
    places = count()
    logger_cases(lambda: tmp_path / str(next(places)), Logger, attempts_in)[case]()


def test_a_study_told_in_one_go(story, tmp_path):
    tell(Logger(tmp_path), story.facts)
    assert_tells_the_story(tmp_path / "digits")


@pytest.mark.parametrize("close", [True, False])
def test_a_study_that_is_taken_up_again_is_not_recorded_twice(story, tmp_path, close):
    tell(Logger(tmp_path), story.first if close else story.crashed, close=close)
    tell(Logger(tmp_path), story.facts)
    assert_tells_the_story(tmp_path / "digits")


def test_a_line_that_was_being_written_in_the_crash_does_not_count(story, tmp_path):
    tell(Logger(tmp_path), story.first)
    with (tmp_path / "digits" / "raytune_hpo.txt").open("a") as file:
        file.write("1")
    for _ in range(2):
        tell(Logger(tmp_path), story.facts)
        assert_tells_the_story(tmp_path / "digits")
    lines = (tmp_path / "digits" / "raytune_hpo.txt").read_text().splitlines()[1:]
    assert sorted(lines) == ["0 1", "1 1", "1 2", "1 3", "2 1", "3 1", "4 1"]


def test_parameters_are_hparams_of_the_goals(story, tmp_path):
    tell(Logger(tmp_path), story.facts)
    found = hparams(tmp_path / "digits" / "trial-00000")
    values = found["_hparams_/session_start_info"].session_start_info.hparams
    assert {"model", "batch"} <= set(values) and values["batch"].number_value % 16 == 0
    metrics = found["_hparams_/experiment"].experiment.metric_infos
    assert [info.name.tag for info in metrics] == ["loss"]
    assert "_hparams_/session_end_info" in found


def test_a_running_trial_can_be_looked_at(story, tmp_path):
    logger = Logger(tmp_path)
    tell(logger, story.crashed, close=False)
    assert scalars(tmp_path / "digits" / "trial-00001-attempt-2") == {"loss": [(1, 8.0, 26.0)]}


def test_a_real_study_with_a_logger_beside_it(tmp_path, storage):
    results = fit(storage=storage, callbacks=[Logger(tmp_path / "runs")])
    for trial in results:
        found = scalars(tmp_path / "runs" / "digits" / f"trial-{trial.number:05}")
        if trial.status == "completed":
            assert [step for step, _, _ in found["loss"]] == [1, 2, 2]
            assert found["loss"][-1][1] == pytest.approx(trial.metrics["loss"])
        else:
            assert found == {}


def test_another_study_of_the_same_name_has_a_folder_of_its_own(tmp_path):
    for _ in range(3):
        fit(storage="memory", num_trials=1, name="a study: no. 1/2", callbacks=Logger(tmp_path))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3 and names[0] == "a_study_no._1_2" and names[1].startswith("a_study_no._1_2-")


@pytest.mark.parametrize(("name", "folder"), [("..", "_"), (".", "_"), ("../v1.2", ".._v1.2")])
def test_no_name_of_a_study_leads_out_of_the_folder_of_all(tmp_path, name, folder):
    assert folder_of(tmp_path / "runs", name, 0.0)[0] == tmp_path / "runs" / folder


def test_tensorboard_itself_reads_them(story, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tell(Logger(tmp_path), story.facts)
    read = accumulator.EventAccumulator(str(tmp_path / "digits" / "trial-00000")).Reload()
    assert [(event.step, event.value) for event in read.Scalars("loss")] == [(1, 1.0), (2, 0.5), (2, 0.25)]
    assert "_hparams_/session_start_info" in read.PluginTagToContent("hparams")


def test_a_logger_of_a_study_that_runs_is_refused_before_another_begins(story, tmp_path):
    logger = Logger(tmp_path / "runs")
    logger.open(None)
    for fact in story.first:
        logger(fact)
    with pytest.raises(SpecError, match="this logger follows study 'digits'; make one logger for each study"):
        fit(lambda config: 1.0, {"x": 1}, num_trials=1, storage=f"{tmp_path}/s.db", callbacks=logger)
    assert not (tmp_path / "s.db").exists()
    logger.close()


def test_parameters_that_objectives_ask_for_are_in_the_record(tmp_path):
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        n = trial.suggest_int("n", 1, 3) if x > 0.5 else 1
        hpo.report(loss=x, step=1)
        return {"loss": x + n}

    points = [{"x": 0.25}, {"x": 0.75, "n": 2}]
    results = hpo.tune(
        objective, None, num_trials=2, points_to_evaluate=points, storage="memory", runtime="local", max_concurrent=1,
        callbacks=[Logger(tmp_path)], progress=False,
    )  # fmt: skip
    (folder,) = tmp_path.iterdir()
    for trial in results:
        written = hparams(folder / f"trial-{trial.number:05}")[
            "_hparams_/session_start_info"
        ].session_start_info.hparams
        assert {name: value.number_value for name, value in written.items()} == trial.config
        first, last = scalars(folder / f"trial-{trial.number:05}")["loss"]
        assert first[1] == trial.config["x"] and last[1] == trial.metrics["loss"]
