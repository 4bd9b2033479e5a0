"""The study, under Optuna's name and with its methods, on this package's optimizer."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.directions import StudyDirection, direction_of_mode
from raytune_hpo.compat.optuna.distributions import BaseDistribution, current, domain_and_form
from raytune_hpo.compat.optuna.exceptions import UpdateFinishedTrialError
from raytune_hpo.compat.optuna.logging import library_logger
from raytune_hpo.compat.optuna.pruners import BasePruner, MedianPruner
from raytune_hpo.compat.optuna.record import Record, note_of_report
from raytune_hpo.compat.optuna.samplers import BaseSampler
from raytune_hpo.compat.optuna.samplers.base import check_sampler
from raytune_hpo.compat.optuna.storages import BaseStorage
from raytune_hpo.compat.optuna.study.adding import add
from raytune_hpo.compat.optuna.study.by_id import StudyById
from raytune_hpo.compat.optuna.study.dataframe import ATTRS, table
from raytune_hpo.compat.optuna.study.distant import distant
from raytune_hpo.compat.optuna.study.frozen import STATES, SYSTEM, USER, FrozenTrials, split_notes
from raytune_hpo.compat.optuna.study.optimizing import (
    Callback,
    Objective,
    Optimizing,
    Settings,
    checked_values,
)
from raytune_hpo.compat.optuna.study.workers import call_of
from raytune_hpo.compat.optuna.trial._state import TrialState, state_of
from raytune_hpo.compat.optuna.trial.frozen import CONSTRAINTS, FIXED_PARAMS, FrozenTrial
from raytune_hpo.compat.optuna.trial.live import Trial, check_name
from raytune_hpo.facts import Status
from raytune_hpo.metrics import json_value
from raytune_hpo.numerics.pareto import pareto_front
from raytune_hpo.results import Results
from raytune_hpo.runtime.failing import failure_of, failure_of_text

if TYPE_CHECKING:
    import pandas as pd

_METRIC_NAMES = "metric_names"


class Study:
    """A study. Scripts get it from ``create_study`` or ``load_study``.

    Attributes:
        pruner: as the script gave it, or the default.
    """

    def __init__(self, record: Record, storage: BaseStorage, sampler: BaseSampler, pruner: BasePruner | None) -> None:
        self._record, self._place = record, storage
        self._sampler = sampler
        self.pruner: BasePruner = MedianPruner() if pruner is None else pruner
        self._stop_flag = False
        self._num_loops = 0
        self._frozen_trials = FrozenTrials(record)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return distant(self) if self._place.is_shared else super().__reduce_ex__(protocol)

    def __getstate__(self) -> dict[str, Any]:
        """The study's name and storage, with the parts that the script gave: all else is in the journal."""
        return {
            "name": self.study_name,
            "storage": self._place,
            "sampler": self._sampler,
            "pruner": self.pruner,
            "objects": self._frozen_trials.objects,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        storage = state["storage"]
        Study.__init__(self, storage.studies.record(state["name"]), storage, state["sampler"], state["pruner"])
        self._frozen_trials.objects.update(state["objects"])

    # -------------------------------------------------------------------------------------------- what it is

    @property
    def sampler(self) -> BaseSampler:
        """The sampler, as the script gave it, or the default."""
        return self._sampler

    @sampler.setter
    def sampler(self, sampler: BaseSampler) -> None:
        check_sampler(sampler)
        kept = self._record.spec.sampler.name
        if sampler.is_ours and sampler.part(len(self.directions))["name"] != kept:
            warnings.warn(
                f"study {self.study_name!r} keeps the sampler that it was created with, {kept!r}; "
                f"{type(sampler).__name__} is not used: give it to a new study",
                stacklevel=2,
            )
            return
        self._sampler = sampler

    @property
    def study_name(self) -> str:
        return self._record.name

    @property
    def _study_id(self) -> str:
        return self._record.name

    @property
    def directions(self) -> list[StudyDirection]:
        """The direction of each goal."""
        return [direction_of_mode(goal.mode) for goal in self._record.spec.goals]

    @property
    def direction(self) -> StudyDirection:
        """The direction of the single goal.

        Raises:
            RuntimeError: the study has several goals.
        """
        self._require_one_goal("direction")
        return self.directions[0]

    @property
    def user_attrs(self) -> dict[str, Any]:
        """A copy of the user attributes, set by ``set_user_attr``."""
        return self._notes()[0]

    @property
    def system_attrs(self) -> dict[str, Any]:
        """A copy of the system attributes, set by ``set_system_attr``."""
        return self._notes()[1]

    @property
    def metric_names(self) -> list[str] | None:
        """The names of the goals; None if they were not set."""
        return self.system_attrs.get(_METRIC_NAMES)

    @property
    def _storage(self) -> StudyById:
        return StudyById(self)

    def results(self) -> Results:
        """The study as ``hpo.Results``, with figures, tables and exports."""
        return Results.from_ledger(self._record.ledger, self._record.plan)

    # -------------------------------------------------------------------------------------------- trials

    @property
    def trials(self) -> list[FrozenTrial]:
        """Copies of all trials, by number."""
        return self.get_trials()

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """The trials in these states, by number."""
        trials = self._frozen_trials.all()
        if states is not None:
            trials = [trial for trial in trials if trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    @property
    def best_trial(self) -> FrozenTrial:
        """The completed trial with the best value, among those that keep their constraints.

        Raises:
            RuntimeError: the study has several goals.
            ValueError: no trial has completed, or none keeps its constraints.
        """
        self._require_one_goal("best_trial")
        completed = [trial for trial in self._completed() if trial.values is not None]
        if not completed:
            raise ValueError("no trial has completed yet, so there is no best one")
        feasible = [trial for trial in completed if _is_feasible(trial)]
        if not feasible:
            raise ValueError("no completed trial keeps its constraints, so there is no best one")
        sign = -1 if self.direction is StudyDirection.MAXIMIZE else 1
        return copy.deepcopy(min(feasible, key=lambda trial: sign * (trial.value or 0.0)))

    @property
    def best_value(self) -> float:
        """The value of the best trial."""
        value = self.best_trial.value
        assert value is not None
        return value

    @property
    def best_params(self) -> dict[str, Any]:
        """The parameters of the best trial."""
        return self.best_trial.params

    @property
    def best_trials(self) -> list[FrozenTrial]:
        """The Pareto-optimal trials, among those that keep their constraints."""
        completed = [trial for trial in self._completed() if trial.values is not None and _is_feasible(trial)]
        if not completed:
            return []
        import numpy as np

        signs = [-1.0 if direction is StudyDirection.MAXIMIZE else 1.0 for direction in self.directions]
        losses = np.array([trial.values for trial in completed]) * signs
        return [
            copy.deepcopy(trial) for trial, is_front in zip(completed, pareto_front(losses), strict=True) if is_front
        ]

    def trials_dataframe(self, attrs: Sequence[str] = ATTRS, multi_index: bool = False) -> pd.DataFrame:
        """A row for each trial."""
        return table(self, attrs, multi_index=multi_index)

    def frozen(self, number: int) -> FrozenTrial:
        """The current state of one trial."""
        return self._frozen_trials.of(self._record.ledger.trials[number])

    def _completed(self) -> list[FrozenTrial]:
        return self.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def _is_multi_objective(self) -> bool:
        return len(self._record.spec.goals) > 1

    def _require_one_goal(self, what: str) -> None:
        if self._is_multi_objective():
            raise RuntimeError(
                f"{what} is for studies with one goal; this one has several, see best_trials and directions"
            )

    # -------------------------------------------------------------------------------------------- running

    def optimize(
        self,
        func: Objective,
        n_trials: int | None = None,
        timeout: float | None = None,
        n_jobs: int = 1,
        catch: Iterable[type[BaseException]] | type[BaseException] = (),
        callbacks: Iterable[Callback] | None = None,
        gc_after_trial: bool = False,
        show_progress_bar: bool = False,
        *,
        runtime: str | None = None,
    ) -> None:
        """Run trials of an objective.

        Args:
            n_trials: how many more; None: until ``timeout``, ``stop``, or an interrupt.
            timeout: seconds after which no trial begins.
            n_jobs: how many trials run at the same time, in threads of this process or on Ray workers; -1: one for each
                processor.
            catch: exceptions that only fail their trial; others are raised by ``optimize``.
            callbacks: called with the study and each trial that has ended.
            runtime: "local" or "ray"; None: Ray if ``hpo.connect`` was called.
        """
        settings = Settings(n_trials, timeout, n_jobs, catch, callbacks, gc_after_trial, show_progress_bar)
        with call_of(self, func, runtime) as call:
            self._optimize_by(func if call is None else functools.partial(call, func), settings)

    def _optimize_by(self, call: Callable[[Trial], Any], settings: Settings) -> None:
        """Run trials by a function that calls the objective, here or elsewhere."""
        loop = Optimizing(self, call, settings)
        self._stop_flag = False
        self._num_loops += 1
        try:
            loop.run()
        finally:
            self._num_loops -= 1

    def stop(self) -> None:
        """Have ``optimize`` begin no further trial.

        Raises:
            RuntimeError: ``optimize`` is not running.
        """
        if self._num_loops == 0:
            raise RuntimeError("stop() ends optimize(), which does not run; call it in an objective or a callback")
        self._stop_flag = True

    def ask(self, fixed_distributions: Mapping[str, BaseDistribution] | None = None) -> Trial:
        """A trial to run in your own loop.

        Args:
            fixed_distributions: parameters that are suggested at once.

        Raises:
            TypeError: these are not distributions by the names of parameters; no trial begins.
        """
        fixed = _checked_distributions(fixed_distributions or {})
        is_ours = self.sampler.is_ours
        assignment = self._record.ask(empty=not is_ours)
        relative: dict[str, Any] | None = None
        if not is_ours:
            frozen = self.frozen(assignment.number)
            self.sampler.before_trial(self, frozen)
            space = self.sampler.infer_relative_search_space(self, frozen)
            relative = self.sampler.sample_relative(self, frozen, space)
        trial = Trial(self, assignment, relative)
        for name, distribution in fixed.items():
            trial._suggest(name, distribution)
        return trial

    def tell(
        self,
        trial: Trial | int,
        values: float | Sequence[float] | None = None,
        state: TrialState | None = None,
        skip_if_finished: bool = False,
    ) -> FrozenTrial:
        """Tell the study how a trial ended.

        Raises:
            ValueError: there is no such trial, it has ended already, or the values contradict the state.
        """
        number = self._number(trial)
        frozen = self.frozen(number)
        if frozen.state.is_finished():
            if skip_if_finished:
                return copy.deepcopy(frozen)
            raise ValueError(f"trial {number} has ended already, as {frozen.state.name}")
        state = None if state is None else state_of(state)
        if state is TrialState.PRUNED or state is TrialState.FAIL:
            if values is not None:
                raise ValueError(f"a trial that is told as {state.name} has no values, got {values}")
            return self._tell_pruned(number) if state is TrialState.PRUNED else self._tell_failed(number, None)
        if state is not None and state is not TrialState.COMPLETE:
            raise ValueError(f"a trial ends as COMPLETE, PRUNED or FAIL, got {state}")
        _, problem = checked_values(values, len(self.directions))
        if state is TrialState.COMPLETE and problem is not None:
            raise ValueError(problem)
        if problem is not None:
            warnings.warn(f"trial {number} has failed: {problem}", stacklevel=2)
        return self._tell_values(number, values)

    def enqueue_trial(
        self, params: Mapping[str, Any], user_attrs: Mapping[str, Any] | None = None, skip_if_exists: bool = False
    ) -> None:
        """Enqueue a trial with these parameters; the others are sampled.

        Raises:
            TypeError: params is not a dict.
        """
        if not isinstance(params, dict):
            raise TypeError(f"params is a dict, got {params!r}")
        if skip_if_exists and self._is_known(params):
            library_logger().info("Trial with params %s exists, and is not enqueued again.", params)
            return
        self._enqueue(params, user_attrs=user_attrs or {})

    def add_trial(self, trial: FrozenTrial) -> None:
        """Add a trial that was run elsewhere.

        Raises:
            ValueError: its data are not consistent.
        """
        trial._validate()
        if trial.values is not None and len(trial.values) != len(self.directions):
            raise ValueError(f"the study has {len(self.directions)} goals, the trial has {len(trial.values)} values")
        add(self, trial)

    def add_trials(self, trials: Iterable[FrozenTrial]) -> None:
        """Add several trials that were run elsewhere."""
        for trial in trials:
            self.add_trial(trial)

    # -------------------------------------------------------------------------------------------- notes

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute of the study."""
        self._note(None, "user", key, value)

    def set_system_attr(self, key: str, value: Any) -> None:
        """Set a system attribute of the study."""
        self._note(None, "system", key, value)

    def set_metric_names(self, metric_names: list[str]) -> None:
        """Set the names of the goals.

        Raises:
            ValueError: there are not as many names as goals.
        """
        if len(metric_names) != len(self.directions):
            raise ValueError(f"the study has {len(self.directions)} goals, got {len(metric_names)} names")
        self._note(None, "system", _METRIC_NAMES, list(metric_names))

    def _note(self, number: int | None, kind: str, key: str, value: Any) -> None:
        """Keep a note: in the journal if JSON can represent it, and otherwise with this object, if the study is in memory.

        Raises:
            TypeError: the study is stored, and JSON cannot represent the value.
        """
        try:
            plain = json_value(value)
        except TypeError as error:
            if self._place.url is not None:
                raise TypeError(
                    f"attribute {key!r} of a stored study is kept as JSON, got {value!r}; write a file, as an artifact"
                ) from error
            self._frozen_trials.objects[number, f"{kind}:{key}"] = value
        else:
            self._frozen_trials.objects.pop((number, f"{kind}:{key}"), None)
            self._record.annotate(number, f"{kind}:{key}", plain)

    def _notes(self) -> tuple[dict[str, Any], dict[str, Any]]:
        user, system = split_notes(self._record.ledger.notes)
        for (number, key), value in self._frozen_trials.objects.items():
            if number is None:
                (user if key.startswith(USER) else system)[key.partition(":")[2]] = value
        return user, system

    def _enqueue(
        self,
        params: Mapping[str, Any],
        *,
        user_attrs: Mapping[str, Any],
        system_attrs: Mapping[str, Any] | None = None,
        intermediate_values: Mapping[int, float] | None = None,
    ) -> None:
        fixed = json_value(params)
        notes = {USER + key: value for key, value in user_attrs.items()}
        notes |= {SYSTEM + key: value for key, value in {FIXED_PARAMS: fixed, **(system_attrs or {})}.items()}
        notes |= dict(note_of_report(step, value) for step, value in (intermediate_values or {}).items())
        self._record.enqueue(fixed, notes)

    def _is_known(self, params: Mapping[str, Any]) -> bool:
        for trial in self.get_trials(deepcopy=False):
            fixed = trial.system_attrs.get(FIXED_PARAMS, trial.params)
            if fixed == params:
                return True
        return False

    # -------------------------------------------------------------------------------------------- how trials end

    def _number(self, trial: Trial | int) -> int:
        number = trial.number if isinstance(trial, Trial) else trial
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"a trial is told by itself or by its number, got {trial!r}")
        if not 0 <= number < len(self._record.ledger.trials):
            raise ValueError(
                f"the study has asked for {len(self._record.ledger.trials)} trials, got number {number}; a trial that is "
                f"enqueued has begun, and can be told, after ask()"
            )
        return number

    def _tell_values(self, trial: Trial | int, given: Any) -> FrozenTrial:
        """Tell the return value of a trial: it has completed, or failed if the value is not a valid result."""
        number = self._number(trial)
        values, problem = checked_values(given, len(self.directions))
        if values is None:
            library_logger().warning("Trial %d failed: %s", number, problem)
            return self._ended(number, Status.FAILED, None, error=problem, reason=problem)
        return self._ended(number, Status.COMPLETED, values)

    def _tell_pruned(self, trial: Trial | int) -> FrozenTrial:
        """Tell that a trial was pruned: the newest report is its value."""
        number = self._number(trial)
        reported = self.frozen(number).intermediate_values
        value = reported[max(reported)] if reported else None
        values = None if value is None or value != value else [value]
        return self._ended(number, Status.PRUNED, values)

    def _tell_failed(self, trial: Trial | int, error: BaseException | None) -> FrozenTrial:
        failure = failure_of_text("told as failed") if error is None else failure_of(error)
        return self._ended(self._number(trial), Status.FAILED, None, **failure._asdict())

    def _ended(self, number: int, status: Status, values: list[float] | None, **error: Any) -> FrozenTrial:
        if self.frozen(number).state.is_finished():
            raise UpdateFinishedTrialError(f"trial {number} has ended already")
        constraints = None
        if self.sampler.is_constrained and status is not Status.FAILED:
            self._record.annotate(
                number, f"{SYSTEM}{CONSTRAINTS}", self.sampler.constraints_of(self, self.frozen(number))
            )
            constraints = list(self.frozen(number).constraints.values())
        if not self.sampler.is_ours:
            self.sampler.after_trial(self, self.frozen(number), STATES[status], values)
        self._record.end(number, status, values, constraints=constraints, **error)
        return copy.deepcopy(self.frozen(number))

    def _log_complete(self, frozen: FrozenTrial) -> None:
        logger = library_logger()
        if not logger.isEnabledFor(20):
            return
        if self._is_multi_objective():
            logger.info(
                "Trial %d finished with values: %s and parameters: %s.", frozen.number, frozen.values, frozen.params
            )
            return
        logger.info(
            "Trial %d finished with value: %s and parameters: %s.%s",
            frozen.number,
            frozen.value,
            frozen.params,
            self._best_in_words(),
        )

    def _best_in_words(self) -> str:
        """The best trial so far, as the end of a line; empty if there is none, or with several goals."""
        best = None if self._is_multi_objective() else self._record.ledger.best[0]
        return "" if best is None else f" Best is trial {best.number} with value: {self.frozen(best.number).value}."


def _is_feasible(trial: FrozenTrial) -> bool:
    return all(c <= 0 for c in trial.constraints.values())


def _checked_distributions(given: Any) -> dict[str, BaseDistribution]:
    """Fixed distributions under their current names, checked before their trial begins."""
    if not isinstance(given, Mapping):
        raise TypeError(f"fixed_distributions is a dict of distributions by the names of parameters, got {given!r}")
    for name, distribution in given.items():
        check_name(name)
        domain_and_form(distribution)  # refuses what is no distribution
    return {name: current(distribution) for name, distribution in given.items()}
