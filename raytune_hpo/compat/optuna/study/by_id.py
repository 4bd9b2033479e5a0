"""A study as samplers and callbacks see it that go around it: what Optuna's storages answer, by a trial's id.

Such scripts get what they need of the study itself, since ids of trials are their numbers here.
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
    """One study: whatever is named as ``study_id`` means this one, and ``trial_id`` is a trial's number.

    Attributes:
        place: where the study is kept, for whoever creates or opens another one there.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self.place = study._place

    # -------------------------------------------------------------------------------------------- the study

    def get_study_id_from_name(self, study_name: str) -> str:
        """Its id, which is its name."""
        return self._study._study_id

    def get_study_name_from_id(self, study_id: Any) -> str:
        """Its name."""
        return self._study.study_name

    def get_study_directions(self, study_id: Any) -> list[StudyDirection]:
        """Of each goal."""
        return self._study.directions

    def get_study_user_attrs(self, study_id: Any) -> dict[str, Any]:
        """What ``set_user_attr`` has noted."""
        return self._study.user_attrs

    def get_study_system_attrs(self, study_id: Any) -> dict[str, Any]:
        """What ``set_system_attr`` has noted."""
        return self._study.system_attrs

    def set_study_user_attr(self, study_id: Any, key: str, value: Any) -> None:
        """Note something about the study."""
        self._study.set_user_attr(key, value)

    def set_study_system_attr(self, study_id: Any, key: str, value: Any) -> None:
        """Note something about the study that is not for people."""
        self._study.set_system_attr(key, value)

    # -------------------------------------------------------------------------------------------- its trials

    def get_all_trials(
        self, study_id: Any, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials by number, those in these states only."""
        return self._study.get_trials(deepcopy=deepcopy, states=states)

    def get_n_trials(self, study_id: Any, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """How many trials there are in these states; None: in all."""
        states = (state,) if isinstance(state, TrialState) else state
        return len(self._study.get_trials(deepcopy=False, states=states))

    def get_best_trial(self, study_id: Any) -> FrozenTrial:
        """The best trial."""
        return self._study.best_trial

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial as it is now.

        Raises:
            KeyError: there is none of that number.
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
        """What was noted about one trial."""
        return self.get_trial(trial_id).user_attrs

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """What was noted about one trial that is not for people."""
        return self.get_trial(trial_id).system_attrs

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note something about one trial."""
        self._study._note(self.get_trial(trial_id).number, "user", key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note something about one trial that is not for people."""
        self._study._note(self.get_trial(trial_id).number, "system", key, value)
