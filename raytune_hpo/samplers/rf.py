"""Bayesian optimisation with a random forest, after SMAC.

Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration. LION 2011.
Lindauer et al.: SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter Optimization. JMLR 23(54), 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics import acquisition as scores
from raytune_hpo.numerics import transforms
from raytune_hpo.numerics.forest import Forest, grow
from raytune_hpo.numerics.neighbours import Neighbourhoods, crowded, neighbours
from raytune_hpo.numerics.scalarisation import chebyshev, scaled, simplex_weights
from raytune_hpo.numerics.violations import by_feasibility, total_violations
from raytune_hpo.options import integer_option, named_option, number_option, renamed_options
from raytune_hpo.protocols import Traits
from raytune_hpo.rng import derive
from raytune_hpo.samplers.history import Memo, Observed, Training, representatives
from raytune_hpo.samplers.model_based import ModelBased, Ranked

_DRAWN = 1000  # candidates from the prior
_STARTS = 10  # local searches begin at this many of the best trials, and of the best candidates
_STEPS = 6
_MOST_COLUMNS = 40  # in which a step is tried at a time
_MOST_ASKED = 100  # draws for which the constraints are checked
_RETURNED = 64

_ACQUISITIONS: Mapping[str, Callable[..., Array]] = {
    "log_ei": scores.log_expected_improvement,
    "ei": scores.expected_improvement,
    "pi": scores.log_probability_of_improvement,
    "ucb": scores.upper_confidence_bound,
}


_TRANSFORMS: Mapping[str, Callable[[Array], Array]] = {
    "auto": transforms.normal_scores,
    "none": lambda y: y,
    "log_error": transforms.log_error,
    "hybrid_log_error": transforms.hybrid_log_error,
}


@dataclass(frozen=True)
class _Fits:
    """Memos of fits.

    Attributes:
        forest: the newest one, with its training data.
        predictions: means and variances of all listed rows.
    """

    forest: Memo[tuple[Training, Forest]] = field(default_factory=Memo)
    predictions: Memo[tuple[Array, Array]] = field(default_factory=Memo)


@renamed_options(num_trees="n_trees")
class RF(ModelBased):
    """Bayesian optimisation with a random forest: quick, at home in conditional and categorical spaces.

    For every suggestion a forest of randomised trees is grown from the results so far, and the acquisition function is
    maximised over draws from the space and by local search from the best trials and draws. Pending trials count as if
    they had ended one standard deviation worse than expected, and failed ones as the worst so far.

    Several goals are combined by weights that change from trial to trial and cover all trade-offs (ParEGO). Trials that
    break an outcome constraint rank behind all that keep them, by how much they break them.

    Args:
        n_initial: trials of the even design before the forest is used.
        n_trees: trees in a forest.
        acquisition: the acquisition function: "log_ei", "ei", "pi" or "ucb".
        kappa: the weight of the standard deviation in "ucb".
        transform: the transform of losses before they are modelled. "auto" replaces them by normal scores of their
            ranks, so that neither scale nor outliers matter; "log_error" and "hybrid_log_error" are for error rates in
            [0, 1]; "none".
        random_share: share of suggestions that are drawn from the space, without the forest.
        max_points: trials that a forest is grown from: the best, the newest, and some from all over the study.

    Raises:
        SpecError: an unknown acquisition or transform; n_initial < 1, n_trees < 2, max_points < 16; kappa < 0;
            random_share outside [0, 1).
    """

    traits: ClassVar[Traits] = replace(ModelBased.traits, multi_goal=True, constraints=True, version=7)

    def __init__(
        self,
        *,
        n_initial: int = 10,
        n_trees: int = 50,
        acquisition: str = "log_ei",
        kappa: float = 1.0,
        transform: str = "auto",
        random_share: float = 0.1,
        max_points: int = 500,
    ) -> None:
        self.n_initial = integer_option("rf", "n_initial", n_initial, least=1)
        self.n_trees = integer_option("rf", "n_trees", n_trees, least=2)
        self.acquisition = named_option("rf", "acquisition", acquisition, _ACQUISITIONS)
        self.kappa = number_option("rf", "kappa", kappa, least=0)
        self.transform = named_option("rf", "transform", transform, _TRANSFORMS)
        self.random_share = number_option(
            "rf", "random_share", random_share, least=0, below=1, way_out="use sampler='random' to draw all of them"
        )
        self.max_points = integer_option("rf", "max_points", max_points, least=16)
        self.fits: _Fits = _Fits()

    @property
    def model_key(self) -> Hashable:
        """The options that determine the model: all but the acquisition function and the even design."""
        return RF, self.n_trees, self.transform, self.max_points

    def initial(self) -> int:
        """How many trials the even design has."""
        return self.n_initial

    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """The rows with the best values of the acquisition function; now and then a draw from the space."""
        if rng.random() < self.random_share:
            return Ranked(self._cube.draw(1, rng), np.zeros(1))
        observed = self._as_one_goal(observed, len(observed) + len(running))
        X, y, forest = self._with_running(observed, running)
        best = float(y.min())
        if (listed := self._cube.listed) is not None:
            mean, variance = self.fits.predictions.of(Observed(X, y[:, None]), partial(forest.predict, listed))
            untried = self._cube.untried(np.concatenate([observed.X, running]))
            rows, values = listed[untried], self._acquired(mean[untried], variance[untried], best)
        else:
            rows, values = self._searched(forest, best, X[np.argsort(y, kind="stable")], rng)
            if len(running):  # rows too close to a running trial are not taken
                values[crowded(self._cube.axes, rows, Neighbourhoods(running))] = -np.inf
        mixed = rng.permutation(len(rows))  # so that ties are broken at random: forests are piecewise constant
        # Constraints are checked row by row, from the best on; all rows are kept for that, since few may meet them.
        most = None if self._cube.space.has_constraints else _RETURNED
        order = mixed[np.argsort(-values[mixed], kind="stable")[:most]]
        return Ranked(rows[order], values[order])

    def expect(self, observed: Observed, rows: Array) -> Array:
        """The losses (k,) that the forest expects at rows (k, d), in their own units."""
        training, forest = self._trained(observed)
        return transforms.undone(forest.predict(rows)[0], training.y, training.losses)

    def estimate(self, observed: Observed, rows: Array) -> tuple[Array, Array]:
        """Means and variances (k,) across the trees at rows (k, d), standardised."""
        return self._trained(observed)[1].predict(rows)

    def _as_one_goal(self, observed: Observed, turn: int) -> Observed:
        """Several goals combined by the weights of this turn; infeasible trials rank behind all others. (Knowles 2006)"""
        if len(self._goals) == 1 and observed.C is None:
            return observed
        Y = np.apply_along_axis(_ranks, 0, observed.Y)
        y = Y[:, 0] if Y.shape[1] == 1 else chebyshev(scaled(Y), simplex_weights(turn, Y.shape[1], self._seed))
        if observed.C is not None:
            y = y + (1 + np.nanmax(y)) * by_feasibility(total_violations(observed.C))
        return Observed(observed.X, y[:, None])

    def _trained(self, observed: Observed) -> tuple[Training, Forest]:
        """The forest of these results, and its training data; failed trials count as the worst."""

        def fitted() -> tuple[Training, Forest]:
            y = observed.Y[:, 0]
            told = ~np.isnan(y)
            y = np.where(told, y, y[told].max())
            kept = representatives(y, self.max_points)
            warped = transforms.standardised(_TRANSFORMS[self.transform](y[kept]))
            training = Training(observed.X[kept], warped, y[kept])
            return training, self._grown(training.X, training.y, derive(self._seed, "rf/forest", len(observed)))

        return self.fits.forest.of(observed, fitted)

    def _with_running(self, observed: Observed, running: Array) -> tuple[Array, Array, Forest]:
        """Rows, losses and their forest, with running trials added at the losses that are assumed of them."""
        (X, y, _), forest = self._trained(observed)
        if len(running):
            # A pessimistic "Kriging believer" (Ginsbourger, Le Riche, Carraro 2010, section 4.2): with the mean itself,
            # which is close to the best loss, more trials would be sent to where the pending ones are.
            mean, variance = forest.predict(running)
            X, y = np.concatenate([X, running]), np.concatenate([y, mean + np.sqrt(variance)])
            forest = self._grown(X, y, derive(self._seed, "rf/believer", len(observed) + len(running)))
        return X, y, forest

    def _grown(self, X: Array, y: Array, rng: np.random.Generator) -> Forest:
        return grow(self._cube.axes, X, y, rng, num_trees=self.n_trees)

    def _acquired(self, mean: Array, variance: Array, best: float) -> Array:
        """Values (n,) of the acquisition function."""
        options = {"kappa": self.kappa} if self.acquisition == "ucb" else {}
        return _ACQUISITIONS[self.acquisition](mean, np.sqrt(variance), best, **options)

    def _searched(
        self, forest: Forest, best: float, incumbents: Array, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """The rows from draws and from local searches, and their values. (Hutter et al. 2011, section 4.3)

        Searches neither start at a row that breaks a constraint nor move to one. Constraints may be slow, so they are
        checked only for rows at which a search would start or to which it would move; rows that break one get -inf.

        Args:
            best: the loss on which the acquisition function is to improve.
            incumbents: rows of the trials, the best first.
        """
        cube = self._cube
        drawn = cube.scattered(_DRAWN, rng)
        met, values = [drawn], [self._acquired(*forest.predict(drawn), best)]
        top = self._best_feasible(drawn, values[0])
        at = np.concatenate([incumbents[:_STARTS], drawn[top]])
        value = np.concatenate([self._acquired(*forest.predict(incumbents[:_STARTS]), best), values[0][top]])
        for _ in range(_STEPS):
            rows, start = neighbours(cube.axes, at, rng, most=_MOST_COLUMNS)
            rows = cube.proper(rows)
            reached = self._acquired(*forest.predict_near(rows, at, start), best)
            met.append(rows)
            values.append(reached)
            better = self._best_feasible_of_each(start, rows, reached, value)
            if not len(better):
                break
            at[start[better]], value[start[better]] = rows[better], reached[better]
        return np.concatenate(met), np.concatenate(values)

    def _best_feasible(self, rows: Array, values: Array) -> Array:
        """The positions of the ten best rows that meet the constraints; fewer if few of the best hundred do."""
        found: list[int] = []
        order = np.argsort(-values, kind="stable")[:_MOST_ASKED]
        for start in range(0, len(order), _STARTS):
            asked = order[start : start + _STARTS]
            fits = self._cube.feasible(rows[asked])
            values[asked[~fits]] = -np.inf
            found += asked[fits].tolist()
            if len(found) >= _STARTS:
                break
        return np.array(found[:_STARTS], dtype=np.intp)

    def _best_feasible_of_each(self, start: Array, rows: Array, reached: Array, value: Array) -> Array:
        """The position of the best row of each start that meets the constraints and is better than the start itself.

        Args:
            start: (n,) the start to which each row belongs.
            reached: (n,) the values of the rows.
            value: the values of the starts.
        """
        found, left = [np.empty(0, dtype=np.intp)], np.flatnonzero(reached > value[start])
        while len(left):
            asked = left[_best_of_each(start[left], reached[left])]
            fits = self._cube.feasible(rows[asked])
            reached[asked[~fits]] = -np.inf
            found.append(asked[fits])
            is_open = np.ones(len(value), dtype=bool)
            is_open[start[asked[fits]]] = False
            left = left[is_open[start[left]] & np.isfinite(reached[left])]
        return np.concatenate(found)


def _ranks(y: Array) -> Array:
    """Ranks (n,) of losses, shared by ties; NaN stays NaN. So a combination of goals does not depend on their scales."""
    ranks = np.searchsorted(np.sort(y[~np.isnan(y)]), y).astype(float)
    return np.where(np.isnan(y), np.nan, ranks)


def _best_of_each(group: Array, score: Array) -> Array:
    """The position of the highest score in each group."""
    order = np.lexsort((-score, group))
    is_first = np.diff(group[order], prepend=-1) > 0
    return order[is_first]
