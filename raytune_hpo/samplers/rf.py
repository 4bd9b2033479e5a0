"""A random forest for a model, after SMAC.

Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration. LION 2011.
Lindauer et al.: SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter Optimization. JMLR 23(54), 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics import acquisition as scores
from raytune_hpo.numerics import transforms
from raytune_hpo.numerics.forest import Forest, grow
from raytune_hpo.numerics.neighbours import crowded, neighbours
from raytune_hpo.options import integer_option, named_option, number_option, renamed_options
from raytune_hpo.rng import derive
from raytune_hpo.samplers.history import Memo, Observed, Training, representatives
from raytune_hpo.samplers.model_based import ModelBased, Ranked

_DRAWN = 1000  # candidates from the prior
_STARTS = 10  # local searches begin at so many of the best trials, and of the most promising candidates
_STEPS = 6
_RETURNED = 64

_ACQUISITIONS: Mapping[str, Callable[..., Array]] = {
    "log_ei": scores.log_expected_improvement,
    "ei": scores.expected_improvement,
    "pi": scores.log_probability_of_improvement,
    "ucb": scores.upper_confidence_bound,
}


def _as_they_are(y: Array) -> Array:
    return y


_TRANSFORMS: Mapping[str, Callable[[Array], Array]] = {
    "auto": transforms.normal_scores,
    "none": _as_they_are,
    "log_error": transforms.log_error,
    "hybrid_log_error": transforms.hybrid_log_error,
}


@renamed_options(num_trees="n_trees")
class RF(ModelBased):
    """Bayesian optimisation with a random forest: quick, at home in conditional and categorical spaces.

    Every suggestion grows a forest of randomised trees from the results so far, and maximises the acquisition over
    draws from the space and by local search from the best of the trials and draws. What is pending counts as if it had
    ended one standard deviation worse than expected, and what has failed as the worst so far.

    Args:
        n_initial: trials of the even design before the forest speaks.
        n_trees: trees in a forest.
        acquisition: what is maximised: "log_ei", "ei", "pi" or "ucb".
        kappa: how many standard deviations "ucb" hopes for.
        transform: of losses before they are modelled. "auto" replaces them by normal scores of their ranks, so that
            neither scale nor outliers matter; "log_error" and "hybrid_log_error" are for error rates in [0, 1]; "none".
        random_share: share of suggestions that are drawn from the space whatever the forest says.
        max_points: trials that a forest is grown from: the best, the newest, and some from all over the study.

    Raises:
        SpecError: an unknown acquisition or transform; n_initial < 1, n_trees < 2, max_points < 16; kappa < 0;
            random_share outside [0, 1).
    """

    model_options = ("n_trees", "transform", "max_points")
    memos = ("_fit", "_said")

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
            "rf", "random_share", random_share, least=0, below=1, way_out="use sampler='random' for nothing else"
        )
        self.max_points = integer_option("rf", "max_points", max_points, least=16)
        self._fit: Memo[tuple[Training, Forest]] = Memo()
        self._said: Memo[tuple[Array, Array]] = Memo()  # of all listed rows

    def initial(self) -> int:
        """How many trials the even design has."""
        return self.n_initial

    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """What the forest promises most; now and then a draw from the space."""
        if rng.random() < self.random_share:
            return Ranked(self._cube.draw(1, rng), np.zeros(1))
        X, y, forest = self._believed(observed, running)
        if (listed := self._cube.listed) is not None:
            mean, variance = self._said.of(Observed(X, y[:, None]), partial(forest.predict, listed))
            untried = self._cube.untried(np.concatenate([observed.X, running]))
            rows, promise = listed[untried], self._scored(mean[untried], variance[untried], float(y.min()))
        else:
            score = partial(self._allowed, partial(self._score, forest, float(y.min())))
            rows, promise = self._searched(score, X[np.argsort(y, kind="stable")], rng)
            if len(running):  # nobody to where a trial as good as the same is running
                promise[crowded(self._cube.axes, rows, running)] = -np.inf
        mixed = rng.permutation(len(rows))  # so that a tie is broken by chance: forests are flat in places
        return Ranked.of(rows[mixed], promise[mixed], _RETURNED)

    def expect(self, observed: Observed, rows: Array) -> Array:
        """What losses (k,) the forest expects at rows (k, d), in their own units."""
        training, forest = self._trained(observed)
        return transforms.undone(forest.predict(rows)[0], training.y, training.losses)

    def estimate(self, observed: Observed, rows: Array) -> tuple[Array, Array]:
        """Means and variances (k,) across the trees at rows (k, d), standardised."""
        return self._trained(observed)[1].predict(rows)

    def _trained(self, observed: Observed) -> tuple[Training, Forest]:
        """The forest of these results, and what it was grown from."""

        def fitted() -> tuple[Training, Forest]:
            training = self._training(observed)
            return training, self._grown(training.X, training.y, derive(self._seed, "rf/forest", len(observed)))

        return self._fit.of(observed, fitted)

    def _believed(self, observed: Observed, running: Array) -> tuple[Array, Array, Forest]:
        """Rows, losses, and the forest of them; with what is believed of those that are running."""
        (X, y, _), forest = self._trained(observed)
        if len(running):
            # As the "Kriging believer" (Ginsbourger, Le Riche, Carraro 2010, section 4.2), but a pessimistic one: who
            # believes in the mean, which lies near the best, keeps sending trials to where the pending ones are.
            mean, variance = forest.predict(running)
            X, y = np.concatenate([X, running]), np.concatenate([y, mean + np.sqrt(variance)])
            forest = self._grown(X, y, derive(self._seed, "rf/believer", len(observed) + len(running)))
        return X, y, forest

    def _grown(self, X: Array, y: Array, rng: np.random.Generator) -> Forest:
        return grow(self._cube.axes, X, y, rng, num_trees=self.n_trees)

    def _training(self, observed: Observed) -> Training:
        """The trials that the forest is grown from; failed ones count as the worst."""
        y = observed.Y[:, 0]
        told = ~np.isnan(y)
        y = np.where(told, y, y[told].max())
        kept = representatives(y, self.max_points)
        return Training(observed.X[kept], transforms.standardised(_TRANSFORMS[self.transform](y[kept])), y[kept])

    def _score(self, forest: Forest, best: float, X: Array) -> Array:
        return self._scored(*forest.predict(X), best)

    def _scored(self, mean: Array, variance: Array, best: float) -> Array:
        options = {"kappa": self.kappa} if self.acquisition == "ucb" else {}
        return _ACQUISITIONS[self.acquisition](mean, np.sqrt(variance), best, **options)

    def _allowed(self, score: Callable[[Array], Array], X: Array) -> Array:
        """Scores of rows; nobody wants to go where a constraint is broken, nor to climb there."""
        return np.where(self._cube.feasible(X), score(X), -np.inf)

    def _searched(
        self, score: Callable[[Array], Array], incumbents: Array, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """The rows met in draws from the space and in local searches, and their scores. (Hutter et al. 2011, sect. 4.3)

        Args:
            score: (n,) of rows (n, d), larger is better.
            incumbents: rows of the trials, the best first.
        """
        cube = self._cube
        drawn = cube.scattered(_DRAWN, rng)
        met, promised = [drawn], [score(drawn)]
        top = np.argsort(-promised[0], kind="stable")[:_STARTS]
        at = np.concatenate([incumbents[:_STARTS], drawn[top]])
        height = np.concatenate([score(incumbents[:_STARTS]), promised[0][top]])
        for _ in range(_STEPS):
            rows, start = neighbours(cube.axes, at, rng)
            rows = cube.proper(rows)
            reached = score(rows)
            met.append(rows)
            promised.append(reached)
            best = _best_of_each(start, reached)
            best = best[reached[best] > height[start[best]]]
            if not len(best):
                break
            at[start[best]], height[start[best]] = rows[best], reached[best]
        return np.concatenate(met), np.concatenate(promised)


def _best_of_each(group: Array, score: Array) -> Array:
    """The position of the highest score in each group that occurs."""
    order = np.lexsort((-score, group))
    is_first = np.diff(group[order], prepend=-1) > 0
    return order[is_first]
