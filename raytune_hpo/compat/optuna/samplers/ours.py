"""Samplers, under Optuna's names, that represent this package's samplers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.exceptions import NotCarried
from raytune_hpo.compat.optuna.samplers.base import BaseSampler, Constraints, OurSampler, not_carried
from raytune_hpo.compat.optuna.samplers.nsgaii import BaseCrossover, BaseMutation
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial
from raytune_hpo.errors import SpecError
from raytune_hpo.options import integer_option, named_option, number_option

_CANDIDATES = 24  # Optuna's default; ``tpe`` has another, which suits its kernels


class RandomSampler(OurSampler):
    """Independent draws (``random``)."""

    name: ClassVar[str] = "random"


class TPESampler(OurSampler):
    """The tree-structured Parzen estimator (``tpe``), over all parameters jointly, for one goal and for several.

    Args:
        n_startup_trials: trials of an even design before the first estimate.
        n_ei_candidates: how many candidates are drawn for a suggestion; by default as in ``tpe``.
        constraints_func: returns the constraints of a trial that has ended; it is feasible if none is above 0.
    """

    name: ClassVar[str] = "tpe"

    def __init__(
        self,
        consider_prior: bool = True,
        prior_weight: float = 1.0,
        consider_magic_clip: bool = True,
        consider_endpoints: bool = False,
        n_startup_trials: int = 10,
        n_ei_candidates: int = _CANDIDATES,
        gamma: Callable[[int], int] | None = None,
        weights: Callable[[int], Any] | None = None,
        seed: int | None = None,
        *,
        multivariate: bool | None = None,
        group: bool = False,
        warn_independent_sampling: bool = True,
        constant_liar: bool = True,
        constraints_func: Constraints | None = None,
        categorical_distance_func: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(seed, constraints_func=constraints_func)
        self._options = {"n_initial": max(1, n_startup_trials), "prior_weight": prior_weight}
        if n_ei_candidates != _CANDIDATES:
            self._options["n_candidates"] = n_ei_candidates
        defaults = {"consider_prior": True, "consider_magic_clip": True, "consider_endpoints": False}
        given = {
            "consider_prior": consider_prior,
            "consider_magic_clip": consider_magic_clip,
            "consider_endpoints": consider_endpoints,
            "gamma": gamma,
            "weights": weights,
            "categorical_distance_func": categorical_distance_func,
        }
        not_carried("TPESampler", given, {**dict.fromkeys(given), **defaults})

    def options(self) -> dict[str, Any]:
        return self._options

    @staticmethod
    def hyperopt_parameters() -> dict[str, Any]:
        """The defaults of hyperopt's TPE."""
        return {"consider_prior": True, "prior_weight": 1.0, "n_startup_trials": 20, "n_ei_candidates": _CANDIDATES}


class GPSampler(OurSampler):
    """A Gaussian process (``gp``)."""

    name: ClassVar[str] = "gp"

    def __init__(
        self,
        *,
        seed: int | None = None,
        independent_sampler: BaseSampler | None = None,
        n_startup_trials: int = 10,
        deterministic_objective: bool = False,
        constraints_func: Constraints | None = None,
        warn_independent_sampling: bool = True,
    ) -> None:
        super().__init__(seed, constraints_func=constraints_func)
        self._n_startup_trials = max(1, n_startup_trials)

    def options(self) -> dict[str, Any]:
        return {"n_initial": self._n_startup_trials}


class AutoSampler(OurSampler):
    """The default sampler of this package (``auto``): a Gaussian process, and a Parzen estimator when progress stalls."""

    name: ClassVar[str] = "auto"


class CmaEsSampler(OurSampler):
    """Covariance matrix adaptation (``cmaes``); the package ``cmaes`` is not needed.

    Args:
        x0: parameters that are tried first.
        sigma0: the first step, as a share of the range.
        source_trials: trials of an earlier study: the best is tried first, and the first step is a third of the usual.
    """

    name: ClassVar[str] = "cmaes"

    def __init__(
        self,
        x0: Mapping[str, Any] | None = None,
        sigma0: float | None = None,
        n_startup_trials: int = 1,
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
        seed: int | None = None,
        *,
        consider_pruned_trials: bool = False,
        restart_strategy: str | None = None,
        popsize: int | None = None,
        inc_popsize: int = 2,
        use_separable_cma: bool = False,
        with_margin: bool = False,
        lr_adapt: bool = False,
        source_trials: Sequence[FrozenTrial] | None = None,
    ) -> None:
        super().__init__(seed)
        self._options: dict[str, Any] = {"n_initial": max(1, n_startup_trials)}
        if popsize is not None:
            self._options["population"] = popsize
        if sigma0 is not None:
            self._options["sigma"] = min(1.0, float(sigma0))
        if source_trials is not None and (x0 is not None or sigma0 is not None):
            raise ValueError("source_trials takes the place of x0 and sigma0; leave them out")
        self._x0 = x0
        self._source = [t for t in source_trials or () if t.state is TrialState.COMPLETE and t.value is not None]
        if self._source:
            self._options["sigma"] = 0.1
        given = {"use_separable_cma": use_separable_cma, "with_margin": with_margin, "lr_adapt": lr_adapt}
        not_carried("CmaEsSampler", given, dict.fromkeys(given, False))

    def options(self) -> dict[str, Any]:
        return self._options

    def first_points(self, directions: Sequence[StudyDirection]) -> list[dict[str, Any]]:
        if self._source:
            best = max if directions[0] is StudyDirection.MAXIMIZE else min
            return [dict(best(self._source, key=lambda trial: trial.value or 0.0).params)]
        return [] if self._x0 is None else [dict(self._x0)]


class BaseGASampler(BaseSampler):
    """Not supported."""

    def __new__(cls, *args: Any, **options: Any) -> NoReturn:
        raise NotCarried(
            "BaseGASampler is not supported here; derive from BaseSampler, and look for parents in study.trials"
        )


class MOTPESampler(BaseSampler):
    """Not supported; Optuna has it no more."""

    def __new__(cls, *args: Any, **options: Any) -> NoReturn:
        raise NotCarried("MOTPESampler is not supported here; TPESampler searches for several goals too")


class NSGAIISampler(OurSampler):
    """The genetic algorithm NSGA-II (``nsga2``)."""

    name: ClassVar[str] = "nsga2"

    def __init__(
        self,
        *,
        population_size: int = 50,
        mutation: BaseMutation | None = None,
        mutation_prob: float | None = None,
        crossover: BaseCrossover | None = None,
        crossover_prob: float = 0.9,
        swapping_prob: float = 0.5,
        seed: int | None = None,
        constraints_func: Constraints | None = None,
        elite_population_selection_strategy: Any = None,
        child_generation_strategy: Any = None,
        after_trial_strategy: Any = None,
    ) -> None:
        super().__init__(seed, constraints_func=constraints_func)
        kind = type(self).__name__
        for what, operator, base in (("crossover", crossover, BaseCrossover), ("mutation", mutation, BaseMutation)):
            if operator is not None and not isinstance(operator, base):
                raise SpecError(f"{kind} takes a {base.__name__} of samplers.nsgaii as its {what}, got {operator!r}")
        least = 2 if crossover is None else crossover.n_parents
        self._population = integer_option(kind, "population_size", population_size, least=least)
        if mutation_prob is not None:
            number_option(kind, "mutation_prob", mutation_prob, least=0, most=1)
        number_option(kind, "crossover_prob", crossover_prob, least=0, most=1)
        number_option(kind, "swapping_prob", swapping_prob, least=0, most=1)
        given = {
            "crossover": crossover,
            "crossover_prob": crossover_prob,
            "mutation": mutation,
            "mutation_prob": mutation_prob,
            "swapping_prob": swapping_prob,
            "elite_population_selection_strategy": elite_population_selection_strategy,
            "child_generation_strategy": child_generation_strategy,
            "after_trial_strategy": after_trial_strategy,
        }
        not_carried(kind, given, {**dict.fromkeys(given), "crossover_prob": 0.9, "swapping_prob": 0.5})

    def options(self) -> dict[str, Any]:
        return {"population": max(4, self._population)}


class NSGAIIISampler(NSGAIISampler):
    """The genetic algorithm NSGA-III (``nsga3``)."""

    name: ClassVar[str] = "nsga3"

    def __init__(self, *, reference_points: Any = None, dividing_parameter: int = 3, **options: Any) -> None:
        super().__init__(**options)
        given = {"reference_points": reference_points, "dividing_parameter": dividing_parameter}
        not_carried("NSGAIIISampler", given, {"reference_points": None, "dividing_parameter": 3})


class QMCSampler(OurSampler):
    """A quasi-random sequence (``sobol``)."""

    name: ClassVar[str] = "sobol"

    def __init__(
        self,
        *,
        qmc_type: str = "sobol",
        scramble: bool = False,
        seed: int | None = None,
        independent_sampler: BaseSampler | None = None,
        warn_asynchronous_seeding: bool = True,
        warn_independent_sampling: bool = True,
    ) -> None:
        super().__init__(seed)
        named_option("QMCSampler", "qmc_type", qmc_type, ("sobol", "halton"))
        self._scramble = scramble
        not_carried("QMCSampler", {"qmc_type": qmc_type}, {"qmc_type": "sobol"})

    def options(self) -> dict[str, Any]:
        return {"scramble": self._scramble}


OURS: dict[str, type[OurSampler]] = {
    kind.name: kind
    for kind in (
        RandomSampler,
        TPESampler,
        GPSampler,
        AutoSampler,
        CmaEsSampler,
        NSGAIISampler,
        NSGAIIISampler,
        QMCSampler,
    )
}
