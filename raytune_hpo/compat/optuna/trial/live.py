"""The trial that an objective is called with."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    check_distribution_compatibility,
    domain_and_form,
    from_stored,
    to_stored,
)
from raytune_hpo.compat.optuna.exceptions import ForOneGoal, UpdateFinishedTrialError
from raytune_hpo.compat.optuna.trial.frozen import BaseTrial, FrozenTrial, checked_step, set_once
from raytune_hpo.core.messages import Assignment
from raytune_hpo.space.values import fresh

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.by_id import StudyById
    from raytune_hpo.compat.optuna.study.study import Study


class Trial(BaseTrial):
    """A running trial.

    Args:
        assignment: the trial's assignment by the optimizer.
        relative: the suggestion of the user's own sampler; None: the sampler is one of this package.
    """

    def __init__(self, study: Study, assignment: Assignment, relative: Mapping[str, Any] | None = None) -> None:
        self.study = study
        self._assignment, self._known = assignment, assignment.domains or {}
        self._relative = relative
        self._is_users = study._record.is_users(assignment.number)
        self._asked: dict[str, Any] = {}
        self._distributions: dict[str, BaseDistribution] = {}
        self._reported: dict[int, float] = {}

    @property
    def number(self) -> int:
        """The number of the trial in its study, from 0."""
        return self._assignment.number

    @property
    def _trial_id(self) -> int:
        return self._assignment.number

    @property
    def storage(self) -> StudyById:
        """The study, with the methods of Optuna's storages."""
        return self.study._storage

    @property
    def params(self) -> dict[str, Any]:
        return dict(self._asked)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distribution of each parameter."""
        return dict(self._distributions)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """A copy of the user attributes, set by ``set_user_attr``."""
        return dict(fresh(self._frozen().user_attrs))

    @property
    def system_attrs(self) -> dict[str, Any]:
        """A copy of the system attributes, set by ``set_system_attr``."""
        return dict(fresh(self._frozen().system_attrs))

    @property
    def relative_params(self) -> dict[str, Any]:
        """The parameters that the user's own sampler has suggested jointly."""
        return dict(self._relative or {})

    @property
    def datetime_start(self) -> datetime.datetime | None:
        """The time at which the trial was handed out."""
        return self._frozen().datetime_start

    def _frozen(self) -> FrozenTrial:
        return self.study.frozen(self.number)

    # -------------------------------------------------------------------------------------------- parameters

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        check_name(name)
        if name in self._distributions:
            self._check_again(name, distribution)
            return self._asked[name]
        stored = self._stored(name, distribution)
        value = from_stored(distribution, stored)
        self._asked[name], self._distributions[name] = value, distribution
        self.study._record.note_asked(self.number, name, stored, distribution)
        return value

    def _stored(self, name: str, distribution: BaseDistribution) -> Any:
        """The value in its stored form: the user's, the sampler's, or one drawn now."""
        config, fixed = self._assignment.config, self.study.sampler.fixed_params
        _, form = domain_and_form(distribution)
        known = self._known.get(name, form)
        if isinstance(distribution, CategoricalDistribution) and known != form:
            raise ValueError(
                f"a categorical parameter keeps its choices, {name!r} was {known} and is {distribution} now"
            )
        if name in config:
            is_known = self._known.get(name) == form
            if not self._is_users and name not in fixed:
                return config[name] if is_known else self._drawn(name, distribution)
            stored = to_stored(distribution, config[name] if self._is_users else fixed[name])
            self._warn_if_outside(name, distribution, stored)
            is_same = type(stored) is type(config[name]) and stored == config[name]
            if is_known and is_same:
                return stored
            return self._drawn(name, distribution, given=stored, is_given=not is_same)
        if name in fixed:
            return self._drawn(name, distribution, given=to_stored(distribution, fixed[name]), is_given=True)
        if self._relative is None or distribution.single():
            return self._drawn(name, distribution)
        return self._drawn(name, distribution, given=self._chosen(name, distribution), is_given=True)

    def _chosen(self, name: str, distribution: BaseDistribution) -> Any:
        """The value that the user's own sampler chooses for a parameter."""
        relative, study = self._relative or {}, self.study
        if name in relative and distribution._contains(distribution.to_internal_repr(relative[name])):
            return to_stored(distribution, relative[name])
        return to_stored(distribution, study.sampler.sample_independent(study, self._frozen(), name, distribution))

    def _drawn(self, name: str, distribution: BaseDistribution, *, given: Any = None, is_given: bool = False) -> Any:
        parameter = self.study._record.draw(self.number, name, distribution, given=given, is_given=is_given)
        if not parameter.is_held:
            raise UpdateFinishedTrialError(f"trial {self.number} has ended; ask for another one")
        if parameter.problem is not None:
            raise ValueError(parameter.problem)
        return parameter.value

    def _warn_if_outside(self, name: str, distribution: BaseDistribution, stored: Any) -> None:
        domain, _ = domain_and_form(distribution)
        if domain.problem(stored) is not None:
            warnings.warn(
                f"parameter {name!r} was given as {stored!r}, which lies outside {distribution}", stacklevel=5
            )

    def _check_again(self, name: str, distribution: BaseDistribution) -> None:
        before = self._distributions[name]
        if before is distribution or before == distribution:
            return
        check_distribution_compatibility(before, distribution)
        warnings.warn(
            f"parameter {name!r} of trial {self.number} was asked for with two ranges, {before} and {distribution}; "
            f"its value is what it was at first",
            stacklevel=4,
        )

    # -------------------------------------------------------------------------------------------- reports and notes

    def report(self, value: float, step: int) -> None:
        """Report the value at a step; a second report of a step is ignored, with a warning.

        Raises:
            ForOneGoal: the study has several goals.
            TypeError: the value is not a number, or the step is not a whole number.
            ValueError: the step is below 0.
        """
        if self.study._is_multi_objective():
            raise ForOneGoal("report is for studies with one goal; this one has several")
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"a value that is reported is a number, got {value!r}") from error
        step = checked_step(step)
        if step in self._reported:
            warnings.warn(
                f"step {step} of trial {self.number} has been reported already; this is left out", stacklevel=2
            )
            return
        self._reported[step] = number
        self.study._record.report(self.number, step, number)

    def should_prune(self) -> bool:
        """Whether the study's pruner would end the trial at its newest report.

        Raises:
            ForOneGoal: the study has several goals.
        """
        if self.study._is_multi_objective():
            raise ForOneGoal("should_prune is for studies with one goal; this one has several")
        return bool(self.study.pruner.prune(self.study, self._frozen()))

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute; one that JSON cannot represent lasts only as long as the study's object."""
        self.study._note(self.number, "user", key, value)

    def set_system_attr(self, key: str, value: Any) -> None:
        """Set a system attribute of the trial."""
        self.study._note(self.number, "system", key, value)

    @property
    def constraints(self) -> dict[str, float]:
        """The constraints by name; the trial is feasible if none is above 0."""
        return self._frozen().constraints

    def set_constraint(self, key: str, value: float) -> None:
        """Set a constraint: if it is above 0, the trial is never the best.

        The sampler uses it only if it has a ``constraints_func``; otherwise there is a warning.

        Raises:
            TypeError: the value is not a number.
            ValueError: it is NaN.
        """
        if not self.study.sampler.is_constrained:
            warnings.warn(
                "the sampler does not learn from constraints that are set by set_constraint; give it a constraints_func",
                stacklevel=2,
            )
        set_once(self, key, value)


def check_name(name: Any) -> None:
    """Refuse a parameter's name that is no text."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a parameter is a text, got {name!r}; write str({name!r})")
