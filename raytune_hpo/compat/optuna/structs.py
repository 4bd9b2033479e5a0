"""``optuna.structs``, where Optuna 1 had the records of trials and studies."""

from raytune_hpo.compat.optuna.exceptions import TrialPruned
from raytune_hpo.compat.optuna.study import StudyDirection, StudySummary
from raytune_hpo.compat.optuna.trial import FrozenTrial, TrialState

__all__ = ["FrozenTrial", "StudyDirection", "StudySummary", "TrialPruned", "TrialState"]
