"""MLflow: a run for the study with a child run for every attempt at a trial; a resumed attempt continues its run."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.display.text import cut
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status, StudyStopped
from raytune_hpo.integrations.checklist import digest
from raytune_hpo.integrations.recording import (
    AttemptKey,
    TrialRecorder,
    numbers_in,
    parameters_of,
    require,
    result_of,
    texts_in,
)
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Report, Trial

MAX_TAG_TEXT = 4_000  # characters of a tag or parameter
MAX_BATCH = 100  # entries of one call of log_batch
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # to which a client connects when it is made
MAX_NAME = 250  # characters of the name of a parameter, metric or tag
_WORDS = ("study", "created_at", "number", "attempt", "first_attempt", "status")
_STUDY, _CREATED, _NUMBER, _ATTEMPT, _FIRST, _STATUS = (f"raytune_hpo.{word}" for word in _WORDS)
# Trials with any other status were ended from outside: KILLED.
_LEFT = "left"  # the status in the tags of a run whose trial was still running when its logger was closed
_STATUSES = {Status.COMPLETED: "FINISHED", Status.PAUSED: "FINISHED", Status.FAILED: "FAILED"}


class Logger(TrialRecorder):
    """Logger for MLflow: parameters, metrics by step, statuses and errors, and the best trial so far in the study's run.

    ``mlflow-skinny`` is enough. Runs are created through a separate client, so your own active run is not affected.

    Args:
        experiment: name of the experiment; by default MLFLOW_EXPERIMENT_NAME, or "raytune_hpo".
        tracking_uri: where to record; by default the one that MLflow itself would use.
        tags: tags of the study's run.

    Raises:
        SpecError: ``experiment`` is not text, ``tags`` is not a dict, or MLflow cannot record at ``tracking_uri``.
    """

    def __init__(
        self, experiment: str | None = None, *, tracking_uri: str | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        require("mlflow", "mlflow-skinny")
        super().__init__()
        if not isinstance(experiment, (str, type(None))):
            raise SpecError(f"experiment is the name of an experiment of MLflow, got {experiment!r}")
        if not isinstance(tags, (Mapping, type(None))):
            raise SpecError(f'tags is a dict like {{"team": "vision"}}, got {tags!r}')
        _check_uri(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"))
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "raytune_hpo"
        self._uri, self._tags = tracking_uri, dict(tags or {})
        self._client: Any = None
        self._home, self._parent = "", ""  # the ids of the experiment and of the study's run
        self._runs: dict[AttemptKey, str] = {}  # runs that have not ended, or whose trials have paused
        self._running: set[str] = set()  # the ids of runs that have not ended
        self._names: dict[str, _Names] = {}  # by kind of entry

    def begin_study(self, spec: StudySpec, created_at: float) -> set[AttemptKey]:
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=self._uri)
        self._names = {kind: _Names() for kind in ("params", "metrics", "tags")}
        found = self._client.get_experiment_by_name(self._experiment)
        self._home = self._client.create_experiment(self._experiment) if found is None else found.experiment_id
        marks = {_STUDY: spec.name, _CREATED: repr(created_at)}
        parents = (run for run in self._search(_CREATED, marks[_CREATED]) if run.data.tags.get(_STUDY) == spec.name)
        parent = next(parents, None)
        if parent is None:
            parent = self._create(spec.name, created_at, {**marks, **self._tags})
            settings = {
                "sampler": spec.sampler,
                "scheduler": spec.scheduler,
                "seed": spec.seed,
                "metric": ", ".join(goal.metric for goal in spec.goals),
                "mode": ", ".join(goal.mode for goal in spec.goals),
            }
            self._log(parent.info.run_id, created_at, params=settings)
        self._parent = parent.info.run_id
        self._client.update_run(self._parent, status="RUNNING")
        self._running.add(self._parent)
        return self._find_attempts()

    def begin(self, trial: Trial) -> None:
        key, at = self.run_key(trial), trial.started_at or 0.0
        if key in self._runs:
            self._client.update_run(self._runs[key], status="RUNNING")  # first: an attempt whose run has ended is held
        else:
            tags = {"mlflow.parentRunId": self._parent, _NUMBER: str(key.number), _FIRST: str(key.attempt)}
            self._runs[key] = self._create(str(key), at, tags).info.run_id
        self._running.add(self._runs[key])
        params = parameters_of(self.spec, trial, MAX_TAG_TEXT)
        self._log(self._runs[key], at, params=params, tags={_ATTEMPT: str(trial.attempt)})

    def report(self, trial: Trial, report: Report) -> None:
        self._log(self._runs[self.run_key(trial)], report.at, step=report.step, metrics=report.metrics)

    def end(self, trial: Trial) -> None:
        run_id = self._runs[self.run_key(trial)]
        if trial.status is not Status.PAUSED:
            del self._runs[self.run_key(trial)]
        began = trial.started_at or 0.0
        # A millisecond after the last report, since for equal times MLflow takes the larger value as the newer one.
        at = max(trial.finished_at or began, trial.reports[-1].at + 0.001 if trial.reports else began)
        step, metrics = result_of(trial)
        tags = {_STATUS: trial.status.value, "raytune_hpo.worker": trial.worker or ""}
        if trial.error is not None:
            tags |= {
                "raytune_hpo.error": cut(trial.error, MAX_TAG_TEXT),
                "mlflow.note.content": reason_of_failure(trial),
            }
        self._log(run_id, at, step=step, metrics=metrics, tags=tags)
        self._client.set_terminated(run_id, _STATUSES.get(trial.status, "KILLED"), end_time=_ms(at))
        self._running.discard(run_id)
        if trial is self.best:
            metric = self.spec.goals[0].metric
            best = {f"best_{metric}": trial.metrics[metric]}
            self._log(self._parent, at, step=trial.number, metrics=best, tags={"raytune_hpo.best": str(trial.number)})

    def end_study(self, stop: StudyStopped) -> None:
        self._log(self._parent, stop.at, tags={"raytune_hpo.stopped": stop.reason})
        self._client.set_terminated(self._parent, "FINISHED", end_time=_ms(stop.at))
        self._running.discard(self._parent)

    def release(self) -> None:
        """End the runs that nobody records any more, since the study runs on without this process, or recording failed."""
        left, self._running, self._runs = self._running, set(), {}
        for run_id in left:
            if run_id != self._parent:
                self._client.set_tag(run_id, _STATUS, _LEFT)
            self._client.set_terminated(run_id, "KILLED")

    # -------------------------------------------------------------------------------------------- MLflow's side

    def _find_attempts(self) -> set[AttemptKey]:
        """The attempts that are recorded to their end. Runs that are open or paused are continued."""
        held = set()
        for run in self._search("mlflow.parentRunId", self._parent):
            tags = run.data.tags
            is_open = run.info.status == "RUNNING" or tags.get(_STATUS) == _LEFT
            number, newest = int(tags[_NUMBER]), int(tags.get(_ATTEMPT, tags.get(_FIRST, 1)))
            first = int(tags.get(_FIRST, newest))
            if is_open or tags.get(_STATUS) == Status.PAUSED.value:
                self._runs[AttemptKey(number, first)] = run.info.run_id
            held |= {AttemptKey(number, attempt) for attempt in range(first, newest + (not is_open))}
        return held

    def _search(self, tag: str, value: str) -> Iterator[Any]:
        token = None
        while True:
            query = f"tags.`{tag}` = '{value}'"
            page = self._client.search_runs([self._home], filter_string=query, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, name: str, at: float, tags: Mapping[str, str]) -> Any:
        return self._client.create_run(self._home, start_time=_ms(at), tags=dict(tags), run_name=name)

    def _log(
        self,
        run_id: str,
        at: float,
        *,
        step: int = 0,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log everything in as few calls as MLflow allows; metrics that are not numbers become tags."""
        from mlflow.entities import Metric, Param, RunTag

        given = metrics or {}
        texts = {**{name: cut(text, MAX_TAG_TEXT) for name, text in texts_in(given).items()}, **(tags or {})}
        entries: list[tuple[str, Any]] = [
            *(("params", Param(self._names["params"](name), str(value))) for name, value in (params or {}).items()),
            *(
                ("metrics", Metric(self._names["metrics"](name), value, _ms(at), step))
                for name, value in numbers_in(given).items()
            ),
            *(("tags", RunTag(self._names["tags"](name), text)) for name, text in texts.items()),
        ]
        for start in range(0, len(entries), MAX_BATCH):
            chunk = entries[start : start + MAX_BATCH]
            kinds = {kind: [entity for k, entity in chunk if k == kind] for kind in ("params", "metrics", "tags")}
            self._client.log_batch(run_id, **kinds)


class _Names:
    """Names that MLflow accepts, another one for each name of a study.

    Other characters become "_". Where that makes two names alike, and where a name is too long or no plain path, a digest
    of the name tells it from others.
    """

    def __init__(self) -> None:
        self._by_ours: dict[str, str] = {}
        self._taken: set[str] = set()

    def __call__(self, name: str) -> str:
        if name not in self._by_ours:
            accepted = re.sub(r"[^\w .:/-]", "_", name)
            if accepted in self._taken or len(accepted) > MAX_NAME or not _is_plain_path(accepted):
                suffix = f"-{digest(name)}"
                accepted = re.sub(r"^\.+|/", "_", accepted)[: MAX_NAME - len(suffix)] + suffix
            self._by_ours[name] = accepted
            self._taken.add(accepted)
        return self._by_ours[name]


def _is_plain_path(name: str) -> bool:
    """Whether a name is a relative path in its shortest form, as MLflow's names are."""
    return posixpath.normpath(name) == name and name != "." and not name.startswith(("..", "/"))


def _check_uri(uri: str | None) -> None:
    """Check that MLflow can record at a tracking URI, without connecting to a database or server.

    Raises:
        SpecError: it cannot.
    """
    if uri is None or str(uri).partition(":")[0].partition("+")[0] in _DATABASES:
        return
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        MlflowClient(tracking_uri=uri)
    except MlflowException as error:
        raise SpecError(f"MLflow cannot record at tracking_uri={uri!r}: {error}") from error


def _ms(at: float) -> int:
    return round(at * 1000)
