"""Weights & Biases: a run for every attempt at a trial, grouped by study; a resumed attempt continues its run."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytune_hpo.display.text import cut
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.facts import Status, StudyStopped
from raytune_hpo.integrations.checklist import Checklist, digest, identity
from raytune_hpo.integrations.recording import (
    AttemptKey,
    TrialRecorder,
    attempt_key,
    parameters_of,
    require,
    result_of,
)
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Report, Trial

OWN = "raytune_hpo/"  # prefix of what is not a metric of the objective, and of metrics with a name that W&B uses itself
_MODES = ("online", "offline", "disabled", "shared")
_OF_WANDB = ("_step", "_timestamp", "_runtime", "_wandb")


class Logger(TrialRecorder):
    """Logger for Weights & Biases: configurations, metrics by step, results and statuses.

    Run ids are derived from the study, so a resumed study continues its own runs. What a run's summary says of the trial has
    the prefix ``raytune_hpo/``: ``status``, ``number``, ``attempt`` and ``error``. All else there are metrics.

    Args:
        project: name of the project; by default WANDB_PROJECT, or "raytune_hpo".
        mode: "online", or "offline", which writes below ``dir`` for a later ``wandb sync``; by default WANDB_MODE.
        dir: folder in which runs are kept; by default WANDB_DIR, or the current folder.
        settings: more keywords for ``wandb.init``, such as ``entity`` or ``tags``.

    Raises:
        SpecError: wandb has no such mode or keyword.
    """

    def __init__(
        self,
        project: str | None = None,
        *,
        mode: str | None = None,
        dir: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        require("wandb", "wandb")
        super().__init__()
        _check_keywords(mode, settings)
        self._dir = Path(dir or os.environ.get("WANDB_DIR") or ".")
        self._settings = {
            "project": project or os.environ.get("WANDB_PROJECT") or "raytune_hpo",
            "mode": mode,
            **settings,
        }
        self._runs: dict[AttemptKey, Any] = {}

    def begin_study(self, spec: StudySpec, created_at: float) -> set[AttemptKey]:
        study = identity(spec.name, created_at)
        self._study = digest(study)
        self._checklist = Checklist(self._dir / "wandb" / f"raytune_hpo-{self._study}.txt", study)
        return self._checklist.held()

    def begin(self, trial: Trial) -> None:
        import wandb

        key = self.run_key(trial)
        self._runs[key] = wandb.init(
            **{
                "group": self.spec.name,
                "name": str(key),
                "id": f"{self._study}-{key.number}-{key.attempt}",
                "config": parameters_of(self.spec, trial),
                "dir": str(self._dir),
                "resume": "allow",
                "reinit": "create_new",  # other runs of this process, including the user's own, stay active
                "settings": wandb.Settings(silent=True, console="off", x_disable_stats=True),
                **self._settings,
            }
        )

    def report(self, trial: Trial, report: Report) -> None:
        self._runs[self.run_key(trial)].log(_named(report.metrics), step=report.step)

    def end(self, trial: Trial) -> None:
        run = self._runs.pop(self.run_key(trial))
        step, metrics = result_of(trial)
        if metrics:
            run.log(_named(metrics), step=step)
        about = {"status": trial.status.value, "number": trial.number, "attempt": trial.attempt}
        if trial.error is not None:
            about["error"] = cut(trial.error, 4_000)
        run.summary.update({OWN + name: value for name, value in about.items()})
        run.finish(exit_code=0 if trial.status in (Status.COMPLETED, Status.PRUNED, Status.PAUSED) else 1)
        self._checklist.add(attempt_key(trial))

    def end_study(self, stop: StudyStopped) -> None:
        """Do nothing: a group of runs is never closed."""

    def release(self) -> None:
        for run in self._runs.values():
            run.finish(exit_code=1)
        self._runs = {}


def _named(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics by names that W&B does not use itself; it would drop their values."""
    return {OWN + name if name in _OF_WANDB else name: value for name, value in metrics.items()}


def _check_keywords(mode: str | None, settings: Mapping[str, Any]) -> None:
    """Check the keywords for ``wandb.init``.

    Raises:
        SpecError: wandb has no such mode or keyword.
    """
    if mode is not None and mode not in _MODES:
        raise SpecError(f"wandb has no mode {mode!r}; {nearest(str(mode), _MODES)}")
    if settings:
        import wandb

        known = list(inspect.signature(wandb.init).parameters)
        for name in settings:
            if name not in known:
                raise SpecError(f"wandb.init has no keyword {name!r}; {nearest(name, known)}")
