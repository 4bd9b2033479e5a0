"""What MLflow holds of a study, asked of MLflow itself, with its own database as the tracking store."""

from __future__ import annotations

from itertools import count

import pytest
from mlflow import MlflowClient

import raytune_hpo as hpo
from raytune_hpo import integrations
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Started
from raytune_hpo.integrations.mlflow import Logger
from raytune_hpo.integrations.testing import logger_cases
from tests.integrations.neighbours import LOGGER_CASES, attempt_named, fit, tell

EXPERIMENT = "digits"


@pytest.fixture(scope="module")
def _template(tmp_path_factory):
    """MLflow's database is slow to make: one is made, and copied."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def uri(_template, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(_template.read_bytes())
    return f"sqlite:///{tmp_path}/mlflow.db"


class Found:
    """The runs of the experiment: the studies', and by name the attempts' below them."""

    def __init__(self, uri, experiment=EXPERIMENT):
        self.client = MlflowClient(tracking_uri=uri)
        home = self.client.get_experiment_by_name(experiment).experiment_id
        runs = self.client.search_runs([home], max_results=1000)
        self.studies = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
        self.trials = {run.info.run_name: run for run in children}
        self.num_trials = len(children)

    def history(self, run, metric):
        points = self.client.get_metric_history(run.info.run_id, metric)
        return [(point.step, point.value, point.timestamp) for point in points]


def attempts_at(uri, experiment=EXPERIMENT):
    client = MlflowClient(tracking_uri=uri)
    home = client.get_experiment_by_name(experiment)
    for run in [] if home is None else client.search_runs([home.experiment_id], max_results=1000):
        if "mlflow.parentRunId" in run.data.tags:
            info, data = run.info, run.data
            history = {
                name: sorted(map(str, client.get_metric_history(info.run_id, name))) for name in sorted(data.metrics)
            }
            tags = {name: text for name, text in data.tags.items() if name.startswith("raytune_hpo.")}
            held = info.status, info.start_time, info.end_time, data.params, history, tags
            yield attempt_named(info.run_name), held


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if c in ("told_again", "odd_values") else pytest.mark.slow) for c in LOGGER_CASES]
)
def test_the_contract_of_loggers(uri, tmp_path, case):
    places = count()

    def make_uri():
        path = tmp_path / f"{next(places)}.db"
        path.write_bytes((tmp_path / "mlflow.db").read_bytes())
        return f"sqlite:///{path}"

    def open_at(uri):
        return Logger(EXPERIMENT, tracking_uri=uri)

    logger_cases(make_uri, open_at, attempts_at)[case]()


def assert_tells_the_story(found):
    (study,) = found.studies
    assert found.num_trials == len(found.trials)
    assert study.info.run_name == "digits" and study.info.status == "FINISHED"
    assert study.data.params["sampler"] == "random" and study.data.params["metric"] == "loss"
    assert study.data.tags["raytune_hpo.best"] == "1" and study.data.tags["raytune_hpo.stopped"] == "num_trials"
    assert found.history(study, "best_loss") == [(0, 0.25, 23_000), (1, 0.125, 103_000)]
    assert {name: run.info.status for name, run in found.trials.items()} == {
        "trial-00000": "FINISHED",
        "trial-00001": "KILLED",
        "trial-00001-attempt-2": "KILLED",
        "trial-00001-attempt-3": "FINISHED",
        "trial-00002": "FAILED",
        "trial-00003": "KILLED",
        "trial-00004": "FINISHED",
    }
    first = found.trials["trial-00000"]
    assert found.history(first, "loss") == [(1, 1.0, 20_000), (2, 0.5, 22_000), (2, 0.25, 23_000)]
    assert found.history(first, "size") == [(2, 3.0, 23_000)]
    assert first.data.tags["note"] == "half way" and first.info.end_time == 23_000
    assert found.history(found.trials["trial-00001"], "loss") == [(1, 9.0, 21_000)]
    assert found.history(found.trials["trial-00001-attempt-2"], "loss") == [(1, 8.0, 26_000)]
    assert found.trials["trial-00002"].data.tags["mlflow.note.content"] == "ValueError: batch too small"
    assert found.trials["trial-00003"].data.tags["raytune_hpo.status"] == "pruned"
    assert found.history(found.trials["trial-00004"], "loss") == [(0, 0.75, 105_000)]
    assert {run.data.tags["mlflow.parentRunId"] for run in found.trials.values()} == {study.info.run_id}
    branches = {"model", "model/svm/C", "batch", "act"}, {"model", "model/forest/depth", "batch", "act"}
    assert all(set(run.data.params) in branches for run in found.trials.values())


def test_a_study_told_in_one_go(story, uri):
    tell(Logger(EXPERIMENT, tracking_uri=uri), story.facts)
    assert_tells_the_story(Found(uri))


def test_a_study_that_is_taken_up_again_is_not_recorded_twice(story, uri):
    tell(Logger(EXPERIMENT, tracking_uri=uri), story.first)
    assert Found(uri).studies[0].data.tags["raytune_hpo.stopped"] == "interrupted"
    tell(Logger(EXPERIMENT, tracking_uri=uri), story.facts)
    assert_tells_the_story(Found(uri))


def test_a_trial_that_pauses_and_goes_on_has_one_run(promoted, uri):
    middle = next(i for i, fact in enumerate(promoted.facts) if isinstance(fact, Started) and fact.attempt == 2) + 2
    for end in (middle, len(promoted.facts)):  # the second time from the middle of an attempt that goes on
        tell(Logger(EXPERIMENT, tracking_uri=uri), promoted.facts[:end])
    found = Found(uri)
    assert found.num_trials == len(found.trials) == len(promoted.results)
    trial = promoted.longest
    run = found.trials[f"trial-{trial.number:05}"]
    assert sorted({step for step, _, _ in found.history(run, "loss")}) == [report.step for report in trial.reports]
    assert run.data.tags["raytune_hpo.status"] == trial.status
    assert run.data.tags["raytune_hpo.attempt"] == str(trial.attempt)
    paused = [run for run in found.trials.values() if run.data.tags["raytune_hpo.status"] == "paused"]
    assert len(paused) == promoted.results.num_by_status["paused"]
    assert {run.info.status for run in paused} == {"FINISHED"}


@pytest.mark.slow
def test_a_crash_in_between_leaves_nothing_behind(story, uri):
    tell(Logger(EXPERIMENT, tracking_uri=uri), story.crashed, close=False)
    running = [name for name, run in Found(uri).trials.items() if run.info.status == "RUNNING"]
    assert running == ["trial-00001-attempt-2"]
    tell(Logger(EXPERIMENT, tracking_uri=uri), story.facts)
    assert_tells_the_story(Found(uri))


@pytest.mark.slow
def test_a_real_study_with_a_logger_beside_it(uri, storage):
    results = fit(storage=storage, callbacks=[Logger(EXPERIMENT, tracking_uri=uri, tags={"team": "vision"})])
    found = Found(uri)
    assert found.studies[0].data.tags["team"] == "vision"
    states = {"completed": "FINISHED", "failed": "FAILED"}
    assert {run.info.status for run in found.trials.values()} == {"FINISHED", "FAILED"}
    for trial in results:
        run = found.trials[f"trial-{trial.number:05}"]
        assert run.info.status == states[trial.status]
        assert run.data.metrics.get("loss") == trial.metrics.get("loss")
        assert run.data.params["batch"] == str(trial.config["batch"])


@pytest.mark.slow
def test_the_record_of_a_stored_study_is_made_or_brought_up_to_date(uri, storage):
    results = fit(storage=storage, num_trials=3, seed=None)
    logger = Logger(EXPERIMENT, tracking_uri=uri)
    fit(storage=storage, num_trials=4, seed=None, callbacks=logger)
    assert Found(uri).num_trials == 4
    fit(storage=storage, num_trials=5, seed=None)
    integrations.record("digits", logger, storage)
    assert Found(uri).studies[0].data.params["seed"] == str(results.spec.seed)
    assert Found(uri).num_trials == len(Found(uri).trials) == 5 and len(Found(uri).studies) == 1


@pytest.mark.slow
def test_another_study_of_the_same_name_has_a_run_of_its_own_in_the_experiment_of_the_environment(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "vision")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for _ in range(2):
        fit(storage="memory", num_trials=1, callbacks=Logger())
    found = Found(uri, "vision")
    assert len(found.studies) == found.num_trials == 2


def test_names_that_mlflow_refuses_are_replaced(uri):
    def objective(config):
        return {"loss": config["rate (%)"], "f1@k": 0.5, "weights": float("nan")}

    fit(
        objective,
        {"rate (%)": hpo.uniform(0, 1)},
        num_trials=1,
        storage="memory",
        callbacks=Logger(EXPERIMENT, tracking_uri=uri),
    )
    run = Found(uri).trials["trial-00000"]
    assert set(run.data.params) == {"rate ___"} and run.data.metrics["f1_k"] == 0.5
    assert run.data.tags["weights"] == "nan"


def test_every_name_has_a_name_of_its_own_in_mlflow(uri):
    names = ["x(1)", "x[1]", "..", "../x", "/x", "a//b", "long" * 80, "long" * 81]
    result = {name: float(place) for place, name in enumerate(names)}
    space = {"x(1)": hpo.uniform(0, 1), "x[1]": hpo.uniform(1, 2)}
    for num_trials in (1, 2):  # the second time as another session does
        logger = Logger(EXPERIMENT, tracking_uri=uri)
        storage = uri.replace("mlflow.db", "studies.db")
        fit(lambda config: {"loss": 1.0, **result}, space, num_trials=num_trials, storage=storage, callbacks=logger)
    runs = Found(uri).trials.values()
    assert len(runs) == 2
    for run in runs:
        metrics = {name: value for name, value in run.data.metrics.items() if name != "loss"}
        assert sorted(metrics.values()) == sorted(result.values())
        assert metrics["x_1_"] == 0.0 and max(map(len, metrics)) == 250
        first, second = sorted(run.data.params)
        assert first == "x_1_" and float(run.data.params[first]) < 1 < float(run.data.params[second])
    assert len({tuple(sorted(run.data.metrics)) for run in runs}) == 1, "the same in every session"


def test_a_logger_that_fails_leaves_no_run_open_and_its_record_is_completed_later(story, uri):
    logger = Logger(EXPERIMENT, tracking_uri=uri)
    logger.open(None)
    for fact in story.crashed:
        logger(fact)
    logger.close()  # as the thread does that called it, once it has raised
    found = Found(uri)
    assert found.studies[0].info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in found.trials.values()}
    tell(Logger(EXPERIMENT, tracking_uri=uri), story.facts)
    assert_tells_the_story(Found(uri))


def test_mistakes_are_named_before_a_study_begins(tmp_path):
    with pytest.raises(SpecError, match="MLflow cannot record at tracking_uri='ftq://x'"):
        Logger(tracking_uri="ftq://x")
    with pytest.raises(SpecError, match="experiment is the name of an experiment of MLflow, got 3"):
        Logger(3)
    with pytest.raises(SpecError, match="tags is a dict"):
        Logger(tags="vision")


def test_one_logger_follows_one_study_at_a_time(story, uri):
    logger = Logger(EXPERIMENT, tracking_uri=uri)
    logger.open(None)
    for fact in story.first:
        logger(fact)
    with pytest.raises(SpecError, match="this logger follows study 'digits'; make one logger for each study"):
        logger.open(None)
    logger.close()
    tell(logger, story.facts)
    assert_tells_the_story(Found(uri))


def test_a_record_is_asked_for_with_a_name_and_a_logger(storage, uri):
    logger = Logger(EXPERIMENT, tracking_uri=uri)
    results = fit(lambda config: 1.0, {"x": 1}, num_trials=1, storage=storage)
    for wrong, match in [
        ((results, logger), "record takes the name of a stored study"),
        (("digits", Logger), r"Logger is a class; write Logger\(...\)"),
        (("digits", print), "record takes a logger"),
    ]:
        with pytest.raises(SpecError, match=match):
            integrations.record(*wrong, storage)
