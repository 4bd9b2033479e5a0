"""Scores by which models are judged, with the sign and the units that people know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score.

    Attributes:
        name: the metric's name in the study.
        scoring: scikit-learn's name of the score; there, larger is better.
        mode: the direction of the study's goal; if it is "min", scikit-learn's score is the negative.
        task: "classification" or "regression".
        is_binary: whether it needs exactly two classes; ``is_of_probabilities``: whether it needs their probabilities.
    """

    name: str
    scoring: str
    mode: str
    task: str
    is_binary: bool = False
    is_of_probabilities: bool = False

    @property
    def sign(self) -> int:
        """The factor by which scikit-learn's value is multiplied."""
        return -1 if self.scoring.startswith("neg_") else 1


_ALL = (
    Score(name="accuracy", scoring="accuracy", mode="max", task="classification"),
    Score(name="balanced_accuracy", scoring="balanced_accuracy", mode="max", task="classification"),
    Score(name="f1_macro", scoring="f1_macro", mode="max", task="classification"),
    Score(name="roc_auc", scoring="roc_auc", mode="max", task="classification", is_binary=True),
    Score(name="log_loss", scoring="neg_log_loss", mode="min", task="classification", is_of_probabilities=True),
    Score(name="r2", scoring="r2", mode="max", task="regression"),
    Score(name="rmse", scoring="neg_root_mean_squared_error", mode="min", task="regression"),
    Score(name="mae", scoring="neg_mean_absolute_error", mode="min", task="regression"),
)
SCORES: Mapping[str, Score] = {score.name: score for score in _ALL}


def scores_of(task: str) -> list[Score]:
    """The scores of a task, the default first."""
    return [score for score in _ALL if score.task == task]
