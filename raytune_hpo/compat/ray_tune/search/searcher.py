"""The base of searchers: each names the sampler of this package that implements it, with space, points and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.not_carried import StandIn


class Searcher:
    """The base of searchers. For one of your own, write a sampler: docs/how-to/own-sampler.md.

    Attributes:
        space: in which it searches; None: ``param_space``.
        points_to_evaluate: configurations to try first.
        evaluated_rewards: the metric's values at these points, which are then not run; empty if they are to be run.
        seed: the seed of all randomness; None: see TuneConfig.
        max_concurrent: how many trials may run at the same time; None: no limit by the searcher.
        constraints: functions that say whether a configuration is feasible.
        outcome_constraints: bounds on metrics of results.
    """

    metric: Any = None
    mode: Any = None
    space: Any = None
    points_to_evaluate: Sequence[Mapping[str, Any]] = ()
    evaluated_rewards: Sequence[float] = ()
    seed: int | None = None
    max_concurrent: int | None = None
    constraints: Sequence[Any] = ()
    outcome_constraints: Sequence[str] = ()

    def __init__(self, metric: Any = None, mode: Any = None) -> None:
        self.metric, self.mode = metric, mode

    suggest = on_trial_result = on_trial_complete = StandIn(
        "the loop that asks and tells a searcher", "hpo.Study asks and tells a sampler in a loop of your own"
    )
    save = restore = save_to_dir = restore_from_dir = get_state = set_state = StandIn(
        "the state of a searcher", "an experiment keeps all that its search has learned: Tuner.restore continues it"
    )
    add_evaluated_point = add_evaluated_trials = StandIn(
        "a searcher's list of results", "give points_to_evaluate with their evaluated_rewards, or earlier= to hpo.Tuner"
    )

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Limit the number of trials that run at the same time; True: this is supported."""
        self.max_concurrent = max_concurrent
        return True

    def _take(
        self,
        space: Any,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None,
        seed: int | None = None,
        evaluated_rewards: Sequence[float] | None = None,
    ) -> None:
        """Check and keep the options that most searchers share."""
        self.space, self.seed = space, seed
        self.points_to_evaluate = list(points_to_evaluate or ())
        self.evaluated_rewards = list(evaluated_rewards or ())
        if len(self.evaluated_rewards) > len(self.points_to_evaluate):
            raise ValueError(
                f"evaluated_rewards are of points_to_evaluate, got {len(self.evaluated_rewards)} rewards of "
                f"{len(self.points_to_evaluate)} points"
            )

    def sampler(self, num_goals: int) -> Any:
        """The sampler that implements it, as ``hpo.Tuner`` takes it.

        Raises:
            NotCarried: there is none.
        """
        raise NotCarried(
            f"{type(self).__name__} suggests in Ray Tune's own loop, which does not run here; write it as a sampler of "
            f"ours (docs/how-to/own-sampler.md) and give that as search_alg="
        )

    def set_search_properties(
        self, metric: Any = None, mode: Any = None, config: Mapping[str, Any] | None = None, **spec: Any
    ) -> bool:
        """Set the metric, the mode and the space if there are none. A time budget in the space belongs in TuneConfig."""
        self.metric, self.mode = self.metric or metric, self.mode or mode
        config = {name: part for name, part in (config or {}).items() if name != "time_budget_s"}
        if self.space is None and config:
            self.space = config
        return True


class ConcurrencyLimiter(Searcher):
    """A searcher with a limit on the number of its trials that run at the same time.

    Args:
        batch: accepted, without effect: samplers know the running trials, and need not wait for all of a batch.

    Raises:
        ValueError: it is no searcher of this package, or max_concurrent is below 1.
    """

    def __init__(self, searcher: Searcher, max_concurrent: int, batch: bool = False) -> None:
        if not isinstance(searcher, Searcher):
            raise ValueError(f"ConcurrencyLimiter limits a searcher of {__package__}, got {searcher!r}")
        if max_concurrent < 1:
            raise ValueError(f"max_concurrent is at least 1, got {max_concurrent}")
        self.searcher = searcher
        self.metric, self.mode, self.space, self.seed = searcher.metric, searcher.mode, searcher.space, searcher.seed
        self.points_to_evaluate = searcher.points_to_evaluate
        self.evaluated_rewards = searcher.evaluated_rewards
        self.constraints, self.outcome_constraints = searcher.constraints, searcher.outcome_constraints
        self.max_concurrent = max_concurrent

    def sampler(self, num_goals: int) -> Any:
        """The sampler of the wrapped searcher."""
        return self.searcher.sampler(num_goals)


class Repeater(Searcher):
    """Not supported: running each suggestion several times.

    Raises:
        NotCarried: always.
    """

    def __init__(self, searcher: Searcher, repeat: int = 1, set_index: bool = True) -> None:
        raise NotCarried(
            f"Repeater(repeat={repeat}) has no counterpart here; repeat inside the trainable and report the mean, or use "
            f"hpo.Tuner(instances={repeat}), which stops repeating what is not worth it"
        )


def innermost(searcher: Searcher) -> Searcher:
    """The searcher inside of all wrappers."""
    while isinstance(searcher, ConcurrencyLimiter):
        searcher = searcher.searcher
    return searcher
