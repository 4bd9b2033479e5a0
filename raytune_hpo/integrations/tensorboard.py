"""TensorBoard: a folder for every attempt at a trial, with its metrics as scalars and its parameters as hparams."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytune_hpo.facts import StudyStopped
from raytune_hpo.integrations.checklist import folder_of
from raytune_hpo.integrations.recording import (
    AttemptKey,
    TrialRecorder,
    attempt_key,
    numbers_in,
    parameters_of,
    require,
    result_of,
)
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Report, Trial

MAX_LAG_S = 1.0  # how long facts may stay unwritten, in the study's time


class Logger(TrialRecorder):
    """Logger for TensorBoard, below ``logdir/<name of the study>``; ``tensorboard --logdir runs`` shows it.

    Files are written with tensorboardX; neither TensorFlow, torch nor TensorBoard itself is needed.

    Args:
        logdir: the folder in which each study gets a folder.
    """

    def __init__(self, logdir: str | os.PathLike[str] = "runs") -> None:
        require("tensorboardX", "tensorboardX")
        super().__init__()
        self._root = Path(logdir)
        self._files: dict[AttemptKey, _EventFile] = {}

    def begin_study(self, spec: StudySpec, created_at: float) -> set[AttemptKey]:
        self._folder, self._checklist = folder_of(self._root, spec.name, created_at)
        return self._checklist.held()

    def begin(self, trial: Trial) -> None:
        from tensorboardX.summary import hparams

        key, at = attempt_key(trial), trial.started_at or 0.0
        file = self._files[key] = _EventFile(self._folder / str(key), at)
        metrics = dict.fromkeys((goal.metric for goal in self.spec.goals), 0.0)
        experiment, beginning, self._ending = hparams(parameters_of(self.spec, trial), metrics)
        file.write(at, summary=experiment)
        file.write(at, summary=beginning)

    def report(self, trial: Trial, report: Report) -> None:
        self._files[attempt_key(trial)].scalars(report.at, report.step, report.metrics)

    def end(self, trial: Trial) -> None:
        key = attempt_key(trial)
        file = self._files.pop(key)
        at = trial.finished_at or file.written_at
        file.scalars(at, *result_of(trial))
        file.write(at, summary=self._ending)
        file.close()
        self._checklist.add(key)

    def end_study(self, stop: StudyStopped) -> None:
        """Do nothing: TensorBoard knows only the folders of trials."""

    def release(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}


class _EventFile:
    """TensorBoard's event file of one attempt. A file that was cut off by a crash is rewritten."""

    def __init__(self, folder: Path, at: float) -> None:
        from tensorboardX import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._writer = RecordWriter(str(folder / "events.out.tfevents.raytune_hpo"))
        self.written_at, self._flushed_at = at, 0.0
        self.write(at, file_version="brain.Event:2")

    def scalars(self, at: float, step: int, metrics: Mapping[str, Any]) -> None:
        from tensorboardX.summary import scalar

        for name, value in numbers_in(metrics).items():
            self.write(at, step=step, summary=scalar(name, value))

    def write(self, at: float, **event: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write(Event(wall_time=at, **event).SerializeToString())
        self.written_at = at
        if at - self._flushed_at >= MAX_LAG_S:
            self._writer.flush()
            self._flushed_at = at

    def close(self) -> None:
        self._writer.flush()
        self._writer.close()
