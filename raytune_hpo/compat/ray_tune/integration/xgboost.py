"""``ray.tune.integration.xgboost``: a callback that reports boosting rounds, and saves the model. Needs xgboost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xgboost import Booster
from xgboost.callback import TrainingCallback

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.integration.callbacks import RoundReports

FILENAME = "model.ubj"


class TuneReportCheckpointCallback(TrainingCallback):  # type: ignore[misc]  # the library carries no types
    """Reports each round's metrics, called ``<data>-<metric>``, and saves the model.

    Args:
        metrics: which to report: all by default, a list of names, or {the script's name: XGBoost's name}.
        filename: of the model, in its checkpoint.
        frequency: the number of rounds after which the model is saved each time; 0: only at the end.
        checkpoint_at_end: whether the model is saved with the last round.
        results_postprocessing_fn: converts the values to be reported into metrics, such as means of folds.
    """

    CHECKPOINT_NAME = FILENAME

    def __init__(
        self,
        metrics: str | Sequence[str] | Mapping[str, str] | None = None,
        filename: str = FILENAME,
        frequency: int = 0,
        checkpoint_at_end: bool = True,
        results_postprocessing_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self._rounds = RoundReports(metrics, frequency, checkpoint_at_end)
        self._filename, self._postprocess = filename, results_postprocessing_fn
        self._at_end = checkpoint_at_end
        self._last: dict[str, Any] | None = None  # of a round whose report is delayed: it may be the last one
        self._is_saved = False

    @classmethod
    def get_model(cls, checkpoint: Checkpoint, filename: str = FILENAME) -> Any:
        """The model in a checkpoint."""
        booster = Booster()
        booster.load_model(str(Path(checkpoint.path) / filename))
        return booster

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
        """Report a round."""
        newest = {f"{data}-{metric}": values[-1] for data, log in evals_log.items() for metric, values in log.items()}
        values = {name: value[0] if isinstance(value, tuple) else value for name, value in newest.items()}
        self._last = values if self._postprocess is None else self._postprocess(values)
        self._is_saved = self._rounds.is_due(epoch + 1) and hasattr(model, "save_model")
        self._rounds.tell(self._last, getattr(model, "save_model", None), self._filename, saves=self._is_saved)
        return False  # training continues

    def after_training(self, model: Any) -> Any:
        """Save the model with the last round's metrics, if that has not been done."""
        if self._at_end and not self._is_saved and self._last is not None and hasattr(model, "save_model"):
            self._rounds.tell(self._last, model.save_model, self._filename, saves=True)
        return model


class TuneReportCallback(TuneReportCheckpointCallback):
    """Reports metrics, without saving the model."""

    def __init__(self, metrics: Any = None, results_postprocessing_fn: Any = None) -> None:
        super().__init__(metrics, checkpoint_at_end=False, results_postprocessing_fn=results_postprocessing_fn)
