"""The base of all samplers: of those that represent this package's samplers, and of the user's own."""

from __future__ import annotations

import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    domain_and_form,
    from_stored,
)
from raytune_hpo.compat.optuna.exceptions import not_ours
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial
from raytune_hpo.rng import derive, fresh_seed

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

Constraints = Callable[[FrozenTrial], Sequence[float]]


class BaseSampler(ABC):
    """The base of samplers. A user's own sampler overrides the methods that it needs; its choices are recorded as given.

    Attributes:
        is_ours: whether a sampler of this package makes the suggestions, so that the methods below are not called.
        seed: of the first study; None draws one.
        fixed_params: parameters with fixed values.
    """

    seed: int | None = None
    fixed_params: Mapping[str, Any] = {}
    _constraints_func: Constraints | None = None
    _num_studies = 0

    def __str__(self) -> str:
        return type(self).__name__

    # -------------------------------------------------------------------------------------------- for the user's own

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that ``sample_relative`` will choose jointly."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of these parameters."""
        return {}

    @abstractmethod
    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value of a parameter that ``sample_relative`` has not chosen."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Called when a trial has been handed out."""
        return

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Called when a trial is about to end."""
        return

    def reseed_rng(self) -> None:
        """Called when several threads share the sampler."""
        return

    # -------------------------------------------------------------------------------------------- for the study

    @property
    def is_ours(self) -> bool:
        return False

    @property
    def is_constrained(self) -> bool:
        """Whether trials have constraints."""
        return self._constraints_func is not None

    def part(self, num_goals: int) -> dict[str, Any]:
        """The name and options of the sampler in the study's spec."""
        return {"name": "random"}

    def first_points(self, directions: Sequence[StudyDirection]) -> list[dict[str, Any]]:
        """The parameters that a new study with these directions tries first."""
        return []

    def next_seed(self) -> int | None:
        """The seed of another study: first the sampler's own, then others, as Optuna's generator goes on; None draws one."""
        number, self._num_studies = self._num_studies, self._num_studies + 1
        if self.seed is None or number == 0:
            return self.seed
        return int(derive(self.seed, "study", number).integers(2**31))

    def constraints_of(self, study: Study, trial: FrozenTrial) -> list[float]:
        """The constraints of a trial that is about to end; it is feasible if none is above 0."""
        assert self._constraints_func is not None, "asked only where there are constraints"
        return [float(c) for c in self._constraints_func(trial)]


class OurSampler(BaseSampler):
    """A sampler, under Optuna's name, that represents one of this package.

    A subclass that a script defines counts as the user's own: its methods are called, as Optuna calls them.
    """

    name: ClassVar[str]

    def __init__(self, seed: int | None = None, *, constraints_func: Constraints | None = None) -> None:
        self.seed = seed
        self._constraints_func = constraints_func
        self._draws = 0

    @property
    def is_ours(self) -> bool:
        return "name" in vars(type(self))

    def part(self, num_goals: int) -> dict[str, Any]:
        return {"name": self.name, **self.options()} if self.is_ours else super().part(num_goals)

    def options(self) -> dict[str, Any]:
        """The options of the sampler in the study's spec."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random draw, for a user's own sampler that falls back on this one."""
        return self._drawn(param_distribution)

    def _drawn(self, distribution: BaseDistribution) -> Any:
        self._draws += 1
        domain, _ = domain_and_form(distribution)
        stored = domain.decode(derive(self._own_seed, "independent", self._draws).random(1))[0]
        return from_stored(distribution, stored)

    @functools.cached_property
    def _own_seed(self) -> int:
        return fresh_seed() if self.seed is None else self.seed


def check_sampler(sampler: Any) -> None:
    """Check that a sampler derives from this layer's.

    Raises:
        OptunaError: it does not.
    """
    if not isinstance(sampler, BaseSampler):
        raise not_ours(
            "a sampler is an object of raytune_hpo.compat.optuna.samplers, or derives from BaseSampler", sampler
        )


def not_carried(sampler: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Warn of arguments that have no effect on this package's sampler, by their names."""
    named = [name for name, value in given.items() if not np.array_equal(value, defaults[name])]  # some are arrays
    if named:
        warnings.warn(
            f"{sampler}: no effect of {', '.join(named)} on the sampler of raytune_hpo that stands for it",
            stacklevel=4,
        )


def grid_values(distribution: BaseDistribution) -> list[Any]:
    """All values of a distribution that has finitely many.

    Raises:
        ValueError: it has infinitely many.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    domain, _ = domain_and_form(distribution)
    if domain.size is None:
        raise ValueError(f"only finite distributions can be walked through, got {distribution}; give it a step")
    return [domain.nth(index) for index in range(domain.size)]


def shuffled(values: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    """The values in another order."""
    return [values[i] for i in rng.permutation(len(values))]
