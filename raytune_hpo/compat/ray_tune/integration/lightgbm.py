"""``ray.tune.integration.lightgbm``: a callback that reports boosting rounds, and saves the model. Needs lightgbm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.integration.callbacks import RoundReports

FILENAME = "model.txt"


class TuneReportCheckpointCallback:
    """Reports each round's metrics, called ``<data>-<metric>``, and saves the model.

    Args:
        metrics: which to report: all by default, a list of names, or {the script's name: LightGBM's name}. Those of ``cv``
            end in ``-mean`` and ``-stdv``.
        filename: of the model, in its checkpoint.
        frequency: the number of rounds after which the model is saved each time; 0: only at the end.
        checkpoint_at_end: whether the model is saved with the last round.
        results_postprocessing_fn: converts the values to be reported into metrics.
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
        self._filename, self._postprocess, self._at_end = filename, results_postprocessing_fn, checkpoint_at_end

    @classmethod
    def get_model(cls, checkpoint: Checkpoint, filename: str = FILENAME) -> Any:
        """The model in a checkpoint."""
        from lightgbm import Booster

        return Booster(model_file=str(Path(checkpoint.path) / filename))

    def __call__(self, env: Any) -> None:
        """Report a round."""
        values: dict[str, Any] = {}
        for data, metric, value, _, *deviation in env.evaluation_result_list or ():
            name = metric.replace(" ", "-") if " " in metric else f"{data}-{metric}"
            if deviation:
                values.update({f"{name}-mean": value, f"{name}-stdv": deviation[0]})
            else:
                values[name] = value
        values = values if self._postprocess is None else self._postprocess(values)
        round_ = env.iteration - env.begin_iteration + 1
        is_last = self._at_end and env.iteration == env.end_iteration - 1
        save = getattr(env.model, "save_model", None)
        self._rounds.tell(values, save, self._filename, saves=self._rounds.is_due(round_) or is_last)


class TuneReportCallback(TuneReportCheckpointCallback):
    """Reports metrics, without saving the model."""

    def __init__(self, metrics: Any = None, results_postprocessing_fn: Any = None) -> None:
        super().__init__(metrics, checkpoint_at_end=False, results_postprocessing_fn=results_postprocessing_fn)
