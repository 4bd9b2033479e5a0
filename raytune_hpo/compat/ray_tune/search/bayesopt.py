"""BayesOptSearch, by the sampler ``gp``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class BayesOptSearch(Searcher):
    """Bayesian optimisation with a Gaussian process, in spaces of every kind.

    Args:
        space: a dict of ``(low, high)`` pairs, or a Ray Tune space; None: ``param_space``.
        metric, mode: of the experiment, if TuneConfig has none.
        points_to_evaluate: configurations to try first.
        utility_kwargs, random_search_steps, verbose, patience, skip_duplicate, repeat_float_precision: have no effect, with
            a warning: the sampler chooses its acquisition function itself, and repeats no configuration.
        random_state: the seed.
        analysis: accepted, if it is None.
    """

    def __init__(
        self,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        utility_kwargs: Mapping[str, Any] | None = None,
        random_state: int = 42,
        random_search_steps: int = 10,
        verbose: int = 0,
        patience: int = 5,
        skip_duplicate: bool = True,
        analysis: Any = None,
        repeat_float_precision: int = 5,
    ) -> None:
        super().__init__(metric, mode)
        if analysis is not None:
            raise ValueError("BayesOptSearch(analysis=) is not read here; give what is known as points_to_evaluate")
        self._take(_ranges(space), points_to_evaluate, random_state)
        warn_of_idle(
            "BayesOptSearch",
            utility_kwargs=(utility_kwargs, None),
            random_search_steps=(random_search_steps, 10),
            patience=(patience, 5),
            skip_duplicate=(skip_duplicate, True),
            repeat_float_precision=(repeat_float_precision, 5),
        )

    def sampler(self, num_goals: int) -> Any:
        """``gp``."""
        return "gp"


def _ranges(space: Any) -> Any:
    """The space with pairs of numbers as ranges."""
    from raytune_hpo.space import Float

    if not isinstance(space, Mapping):
        return space
    return {
        name: Float(*bounds) if isinstance(bounds, (tuple, list)) and len(bounds) == 2 else bounds
        for name, bounds in space.items()
    }
