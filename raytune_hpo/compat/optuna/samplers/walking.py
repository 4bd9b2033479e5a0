"""Samplers that enumerate finite spaces, and one that fixes parameters."""

from __future__ import annotations

import hashlib
import itertools
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.distributions import BaseDistribution
from raytune_hpo.compat.optuna.samplers.base import BaseSampler, check_sampler, grid_values, shuffled
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FIXED_PARAMS, FrozenTrial
from raytune_hpo.rng import derive, fresh_seed
from raytune_hpo.space.values import stable_repr

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

_POINT = "point of grid "  # prefix of the note of a trial's point


class GridSampler(BaseSampler):
    """All combinations of the given values, each once, in shuffled order; the study stops after the last.

    Args:
        search_space: the values of each parameter.
    """

    def __init__(self, search_space: Mapping[str, Sequence[Any]], seed: int | None = None) -> None:
        for name, values in search_space.items():
            if len(values) == 0:
                raise ValueError(f"a grid has values for each parameter, got none for {name!r}")
        self._names = sorted(search_space)
        values = [list(search_space[name]) for name in self._names]
        self._points = list(itertools.product(*values))
        grid = stable_repr(list(zip(self._names, values, strict=True)))
        self._note = _POINT + hashlib.blake2b(grid.encode(), digest_size=8).hexdigest()
        self.seed = self._seed = fresh_seed() if seed is None else seed
        # Only the order is this object's: a study may be continued by a sampler with another seed, or by several at once.
        self._order = shuffled(range(len(self._points)), derive(self._seed, "grid", 0))
        self._lock = threading.Lock()
        self._taken: set[int] = set()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Take the next point that no trial of the study has."""
        if FIXED_PARAMS in trial.system_attrs:
            return
        with self._lock:
            self._taken |= self._visited(study)
            left = [point for point in self._order if point not in self._taken]
            point = left[0] if left else trial.number % len(self._points)
            self._taken.add(point)
        study._note(trial.number, "system", self._note, point)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        point = study.frozen(trial.number).system_attrs.get(self._note)
        return {} if point is None else dict(zip(self._names, self._points[point], strict=True))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The grid's value of a parameter that may not have it, with a warning.

        Raises:
            ValueError: the grid has no such parameter, or is not used, since the trial was enqueued.
        """
        point = study.frozen(trial.number).system_attrs.get(self._note)
        if param_name not in self._names or point is None:
            raise ValueError(
                f"a grid has values for each parameter, and an enqueued trial all of its own; there is none for "
                f"{param_name!r}, the grid has {', '.join(self._names)}"
            )
        value = self._points[point][self._names.index(param_name)]
        warnings.warn(f"the grid has {param_name}={value!r}, which lies outside {param_distribution}", stacklevel=2)
        return value

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Stop the study after the last point."""
        if self.is_exhausted(study):
            study.stop()

    def is_exhausted(self, study: Study) -> bool:
        """Whether each point has its trial."""
        return len(self._visited(study)) >= len(self._points)

    def _visited(self, study: Study) -> set[int]:
        attrs = [trial.system_attrs for trial in study.get_trials(deepcopy=False)]
        return {attr[self._note] for attr in attrs if self._note in attr}


class BruteForceSampler(BaseSampler):
    """All configurations of a finite space that the objective defines, conditional ones included, each once.

    A parameter gets a value after which, given the values chosen before it, some configuration is still untried. The
    study stops when none is left.
    """

    def __init__(self, seed: int | None = None, avoid_premature_stop: bool = False) -> None:
        self.seed = self._seed = fresh_seed() if seed is None else seed
        self._lock = threading.RLock()

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        values = grid_values(param_distribution)
        with self._lock:
            tree = _Tree.of([t for t in study.get_trials(deepcopy=False) if t.number != trial.number])
            node = tree.at(list(trial.params.items()))
            left = [value for value in values if node is None or node.is_open(value)]
        rng = derive(self._seed, f"brute force/{param_name}", trial.number)
        return shuffled(left or values, rng)[0]

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Stop the study when every configuration has been tried."""
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        if _Tree.of([*others, trial], has_ended={trial.number}).is_done:
            study.stop()


class _Tree:
    """The tree of tried configurations: at each node, the values of a parameter, given those before it."""

    def __init__(self) -> None:
        self.values: tuple[Any, ...] | None = None  # the possible values of the parameter here; None where a trial ends
        self.children: dict[Any, _Tree] = {}
        self.has_ended = False

    @classmethod
    def of(cls, trials: Sequence[FrozenTrial], has_ended: set[int] | None = None) -> _Tree:
        tree = cls()
        for trial in trials:
            node = tree
            for name, value in trial.params.items():
                node.values = tuple(grid_values(trial.distributions[name]))
                node = node.children.setdefault(_key(value), cls())
            node.has_ended |= trial.state.is_finished() or trial.number in (has_ended or ())
        return tree

    def at(self, params: Sequence[tuple[str, Any]]) -> _Tree | None:
        node: _Tree | None = self
        for _, value in params:
            node = None if node is None else node.children.get(_key(value))
        return node

    def is_open(self, value: Any) -> bool:
        child = self.children.get(_key(value))
        return child is None or not child.is_done

    @property
    def is_done(self) -> bool:
        if self.values is None:
            return self.has_ended
        return all(not self.is_open(value) for value in self.values)


def _key(value: Any) -> Any:
    return type(value).__name__, repr(value)


class PartialFixedSampler(BaseSampler):
    """Another sampler, with some parameters fixed.

    Args:
        fixed_params: their values by name.
    """

    def __init__(self, fixed_params: Mapping[str, Any], base_sampler: BaseSampler) -> None:
        check_sampler(base_sampler)
        self.fixed_params = dict(fixed_params)
        self._base = base_sampler
        self.seed = base_sampler.seed
        self._constraints_func = base_sampler._constraints_func

    @property
    def is_ours(self) -> bool:
        return self._base.is_ours

    def part(self, num_goals: int) -> dict[str, Any]:
        return self._base.part(num_goals)

    def first_points(self, directions: Sequence[StudyDirection]) -> list[dict[str, Any]]:
        return [{**point, **self.fixed_params} for point in self._base.first_points(directions)]

    def next_seed(self) -> int | None:
        return self._base.next_seed()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._base.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        space = self._base.infer_relative_search_space(study, trial)
        return {name: distribution for name, distribution in space.items() if name not in self.fixed_params}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._base.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._base.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._base.after_trial(study, trial, state, values)
