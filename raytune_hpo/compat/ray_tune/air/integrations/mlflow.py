"""``ray.air.integrations.mlflow``: an MLflow run for each trial. Needs mlflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_hpo.compat.ray_tune.context import get_context
from raytune_hpo.compat.ray_tune.logger import LoggerCallback
from raytune_hpo.compat.ray_tune.trial_folder import flattened
from raytune_hpo.compat.ray_tune.trials import Trial

_SETTINGS = ("tracking_uri", "registry_uri", "experiment_id", "experiment_name", "tracking_token", "artifact_location")


class MLflowLoggerCallback(LoggerCallback):
    """Logs each trial as a run: its parameters, the numbers of each result and, with ``save_artifact``, its folder.

    Args:
        tracking_uri: where MLflow keeps its runs.
        experiment_name: of MLflow's experiment, which is created if it does not exist.
        tags: of each run.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        registry_uri: str | None = None,
        experiment_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        tracking_token: str | None = None,
        save_artifact: bool = False,
        log_params_on_trial_end: bool = False,
    ) -> None:
        self._uri, self._registry_uri = tracking_uri, registry_uri
        self._experiment_name, self._tags, self._saves = experiment_name, dict(tags or {}), save_artifact
        self._client: Any = None
        self._experiment_id: str | None = None
        self._runs: dict[str, str] = {}

    def setup(self, *args: Any, **info: Any) -> None:
        """Find or create the experiment."""
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(self._uri, self._registry_uri)
        name = self._experiment_name or "Default"
        found = self._client.get_experiment_by_name(name)
        self._experiment_id = found.experiment_id if found is not None else self._client.create_experiment(name)

    def log_trial_start(self, trial: Trial) -> None:
        """Begin a run."""
        if trial.trial_id in self._runs:
            return
        run = self._client.create_run(
            self._experiment_id, tags={**self._tags, "trial_name": str(trial)}, run_name=str(trial)
        )
        self._runs[trial.trial_id] = run.info.run_id
        for name, value in flattened(trial.config).items():
            self._client.log_param(run.info.run_id, name, value)

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Log its numbers."""
        step = result.get("timesteps_total") or result["training_iteration"]
        shown = {key: value for key, value in result.items() if key != "config"}
        for name, value in flattened(shown).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self._client.log_metric(self._runs[trial.trial_id], name, float(value), step=step)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """End the run."""
        run = self._runs[trial.trial_id]
        if self._saves:
            self._client.log_artifacts(run, trial.path)
        self._client.set_terminated(run, status="FAILED" if failed else "FINISHED")


def setup_mlflow(
    config: Mapping[str, Any] | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment_id: str | None = None,
    experiment_name: str | None = None,
    tracking_token: str | None = None,
    artifact_location: str | None = None,
    run_name: str | None = None,
    create_experiment_if_not_exists: bool = True,
    tags: Mapping[str, Any] | None = None,
    rank_zero_only: bool = True,
) -> Any:
    """Begin an MLflow run inside a trial, and return the module ``mlflow``.

    Args:
        config: the trial's configuration, logged as parameters; a dict under "mlflow" in it gives settings.
    """
    import mlflow

    given = dict(config or {})
    settings = dict(given.pop("mlflow", None) or {})
    named = dict(zip(_SETTINGS, (tracking_uri, registry_uri, experiment_id, experiment_name), strict=False))
    settings.update({key: value for key, value in named.items() if value is not None})
    if settings.get("tracking_uri"):
        mlflow.set_tracking_uri(settings["tracking_uri"])
    if settings.get("registry_uri"):
        mlflow.set_registry_uri(settings["registry_uri"])
    if settings.get("experiment_id") is not None:
        mlflow.set_experiment(experiment_id=settings["experiment_id"])
    elif settings.get("experiment_name"):
        mlflow.set_experiment(settings["experiment_name"])
    context = get_context()
    mlflow.start_run(run_name=run_name or context.get_trial_name(), tags=dict(tags or {}), nested=True)
    mlflow.log_params(flattened(given))
    return mlflow
