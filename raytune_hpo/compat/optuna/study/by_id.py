"""The methods of Optuna's storages for one study, for samplers and callbacks that call the storage by a trial's id.

They are answered by the study itself; the id of a trial is its number here.
"""

from __future__ import annotations

import copy
from collections.abc import Container
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study


class StudyById:
    """One study by ids: any ``study_id`` means this study, and ``trial_id`` is a trial's number.

    Attributes:
        place: the storage of the study, for scripts that create or open another one there.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self.place = study._place

    # -------------------------------------------------------------------------------------------- the study

    def get_study_id_from_name(self, study_name: str) -> str:
        """The study's id, which is its name."""
        return self._study._study_id

    def get_study_name_from_id(self, study_id: Any) -> str:
        """The study's name."""
        return self._study.study_name

    def get_study_directions(self, study_id: Any) -> list[StudyDirection]:
        """The direction of each goal."""
        return self._study.directions

    def get_study_user_attrs(self, study_id: Any) -> dict[str, Any]:
        """The study's user attributes."""
        return self._study.user_attrs

    def get_study_system_attrs(self, study_id: Any) -> dict[str, Any]:
        """The study's system attributes."""
        return self._study.system_attrs

    def set_study_user_attr(self, study_id: Any, key: str, value: Any) -> None:
        """Set a user attribute of the study."""
        self._study.set_user_attr(key, value)

    def set_study_system_attr(self, study_id: Any, key: str, value: Any) -> None:
        """Set a system attribute of the study."""
        self._study.set_system_attr(key, value)

    # -------------------------------------------------------------------------------------------- trials

    def get_all_trials(
        self, study_id: Any, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials in these states, by number."""
        return self._study.get_trials(deepcopy=deepcopy, states=states)

    def get_n_trials(self, study_id: Any, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """The number of trials in these states; None: in any."""
        states = (state,) if isinstance(state, TrialState) else state
        return len(self._study.get_trials(deepcopy=False, states=states))

    def get_best_trial(self, study_id: Any) -> FrozenTrial:
        """The best trial."""
        return self._study.best_trial

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The current state of one trial.

        Raises:
            KeyError: there is no trial of that number.
        """
        for trial in self._study.get_trials(deepcopy=False)[trial_id : trial_id + 1]:
            return copy.deepcopy(trial)
        raise KeyError(f"study {self._study.study_name!r} has no trial {trial_id}")

    def get_trial_id_from_study_id_trial_number(self, study_id: Any, trial_number: int) -> int:
        """The number: ids are numbers."""
        return self.get_trial(trial_number).number

    def get_trial_number_from_id(self, trial_id: int) -> int:
        """The number: ids are numbers."""
        return self.get_trial(trial_id).number

    def get_trial_params(self, trial_id: int) -> dict[str, Any]:
        """The parameters of one trial."""
        return self.get_trial(trial_id).params

    def get_trial_user_attrs(self, trial_id: int) -> dict[str, Any]:
        """The user attributes of one trial."""
        return self.get_trial(trial_id).user_attrs

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """The system attributes of one trial."""
        return self.get_trial(trial_id).system_attrs

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of one trial."""
        self._study._note(self.get_trial(trial_id).number, "user", key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a system attribute of one trial."""
        self._study._note(self.get_trial(trial_id).number, "system", key, value)
