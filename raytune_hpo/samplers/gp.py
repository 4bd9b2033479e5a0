"""Bayesian optimisation with a Gaussian process.

Snoek, Larochelle, Adams: Practical Bayesian Optimization of Machine Learning Algorithms. NeurIPS 2012.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics import gaussian, transforms
from raytune_hpo.numerics.cached_predictions import Panel
from raytune_hpo.numerics.gaussian import Posterior, Prior
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.numerics.neighbours import crowded
from raytune_hpo.numerics.optimise import Hill, climbed, filled, perturbed
from raytune_hpo.numerics.scores import SCORES, Promise, undominated
from raytune_hpo.numerics.slice_sampling import slice_samples
from raytune_hpo.options import integer_option, named_option
from raytune_hpo.rng import derive
from raytune_hpo.samplers.history import Memo, Observed, Training, last_due, representatives
from raytune_hpo.samplers.model_based import ModelBased, Ranked

_ACQUISITIONS = (*SCORES, "thompson", "mace")
_MACE = ("ei", "pi", "ucb")  # Lyu et al., ICML 2018
_MARGINALIZE = ("map", "none", "slice")
_FIXED_NOISE = 1e-3  # of "none"
_NUM_SLICES = 10
_MOST_FITTED = 256  # trials that length scales are learned from
# Candidates from the prior, and near the best trials: hardly any of the prior's promise more, in many dimensions none.
_DRAWN, _NEAR = 20, 600
_PARENTS = 3  # best trials that candidates are near to
_CLIMBERS = 3
_MOST_SAMPLED = 400  # candidates of a joint sample
_RETURNED = 64


class GP(ModelBased):
    """Bayesian optimisation with a Gaussian process over the mixed space, branches included.

    Args:
        acquisition: what is maximised: "log_ei", "ei", "pi" or "ucb"; "thompson" minimises a sample of the posterior;
            "mace" draws from the Pareto front of EI, PI and UCB.
        marginalize: of length scales and noise, "map" takes the most probable, "none" too, with the noise fixed at
            1e-3, and "slice" averages over ten slice samples, which takes ten times as long.
        transform: of losses before they are modelled. "auto" ranks the worse half, so that a heavy tail does not
            matter; "power" is the power that makes them most normal; "log_error" and "hybrid_log_error" are for error
            rates in [0, 1]; "none".
        n_initial: trials of the even design; None for a number that suits the space.
        max_points: trials that the model looks at: the best, the newest, and some from all over the study.

    Raises:
        SpecError: an unknown acquisition, marginalize or transform; n_initial < 1; max_points < 16.
    """

    model_options = ("marginalize", "transform", "max_points")
    memos = ("_fit", "_panel")

    def __init__(
        self,
        *,
        acquisition: str = "log_ei",
        marginalize: str = "map",
        transform: str = "auto",
        n_initial: int | None = None,
        max_points: int = 1000,
    ) -> None:
        self.acquisition = named_option("gp", "acquisition", acquisition, _ACQUISITIONS)
        self.marginalize = named_option("gp", "marginalize", marginalize, _MARGINALIZE)
        self.transform = named_option("gp", "transform", transform, _TRANSFORMS)
        self.n_initial = None if n_initial is None else integer_option("gp", "n_initial", n_initial, least=1)
        self.max_points = integer_option("gp", "max_points", max_points, least=16)
        self._fit: Memo[Array] = Memo()  # thetas
        self._panel = Panel()

    def initial(self) -> int:
        """How many trials the even design has."""
        if self.n_initial is not None:
            return self.n_initial
        return min(2 + self._cube.space.num_columns // 2, 10)

    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """What the posterior promises most."""
        training, pending = self._training(observed), self._embedding(running)
        beliefs = [belief.fantasised(pending) for belief in self._beliefs(observed, training)]
        known, listed = np.concatenate([observed.X, running]), self._cube.listed
        if self.acquisition == "thompson":
            if listed is None:
                candidates = self._candidates(training, _MOST_SAMPLED // 2, _MOST_SAMPLED // 2, rng)
            else:
                candidates = listed[self._cube.untried(known)]
            return self._by_sample(beliefs[rng.integers(len(beliefs))], candidates, rng)
        if listed is None:
            searched = partial(self._searched, beliefs, self._candidates(training, _DRAWN, _NEAR, rng), known, running)
        else:
            searched = partial(self._looked_up, beliefs, listed, self._cube.untried(known))
        return self._by_front(beliefs, searched, rng) if self.acquisition == "mace" else searched(self.acquisition)

    # -------------------------------------------------------------------------------------------- what is learned from

    def expect(self, observed: Observed, rows: Array) -> Array:
        """What losses (k,) the posterior expects at rows (k, d), in their own units."""
        training, at = self._training(observed), self._embedding(rows)
        mean = np.mean([belief.predict(at)[0] for belief in self._beliefs(observed, training)], axis=0)
        return transforms.undone(mean, training.y, training.losses)

    def estimate(self, observed: Observed, rows: Array) -> tuple[Array, Array]:
        """Means and variances (k,) of the mixture of posteriors at rows (k, d), standardised."""
        at = self._embedding(rows)
        said = [belief.predict(at) for belief in self._beliefs(observed, self._training(observed))]
        means, sds = np.stack([mean for mean, _ in said]), np.stack([sd for _, sd in said])
        return means.mean(axis=0), (sds**2).mean(axis=0) + means.var(axis=0)

    def _beliefs(self, observed: Observed, training: Training) -> list[Posterior]:
        Z, owner = self._embedding(training.X), self._embedding.owner
        return [Posterior.of(theta, Z, owner, training.y) for theta in self._thetas(observed)]

    def _training(self, observed: Observed) -> Training:
        """The trials that the model looks at; failed ones count as the worst of them."""
        y = observed.Y[:, 0]
        told = ~np.isnan(y)
        kept = representatives(np.where(told, y, np.inf), self.max_points)
        y, told = y[kept], told[kept]
        warped = np.empty(len(y))
        warped[told] = _TRANSFORMS[self.transform](y[told])
        warped[~told] = warped[told].max()
        return Training(observed.X[kept], transforms.standardised(warped), np.where(told, y, y[told].max()))

    def _thetas(self, observed: Observed) -> Array:
        """Hyperparameters (s, d + 2), fitted to the newest prefix that is due: a function of that prefix alone."""
        due = observed.first(last_due(len(observed)))
        return self._fit.of(due, partial(self._fitted, due))

    def _fitted(self, observed: Observed) -> Array:
        prior, owner = self._prior, self._embedding.owner
        if np.isnan(observed.Y).all():
            return prior.mean[None, :]
        training = self._training(observed)
        kept = representatives(training.y, _MOST_FITTED)
        Z, y = self._embedding(training.X[kept]), training.y[kept]
        theta = gaussian.fit(Z, owner, y, prior)
        if self.marginalize != "slice":
            return theta[None, :]
        rng = derive(self._seed, "gp/slices", len(observed))
        return slice_samples(
            gaussian.log_density(Z, owner, y, prior), theta, np.minimum(prior.sd, 1.0), _NUM_SLICES, rng
        )

    @cached_property
    def _embedding(self) -> Embedding:
        return Embedding(self._cube.axes)

    @cached_property
    def _listed(self) -> Array:
        """The features of all rows that the space is restricted to."""
        assert self._cube.listed is not None
        return self._embedding(self._cube.listed)

    @cached_property
    def _prior(self) -> Prior:
        prior = gaussian.scaled_prior(len(self._cube.axes))
        return prior.with_noise(_FIXED_NOISE) if self.marginalize == "none" else prior

    # -------------------------------------------------------------------------------------------- what is promising

    def _candidates(self, training: Training, num_drawn: int, num_near: int, rng: np.random.Generator) -> Array:
        """Proper rows from the prior and, after those, near the best trials."""
        cube = self._cube
        parents = filled(training.X[np.argsort(training.y, kind="stable")[:_PARENTS]], rng)
        near = cube.proper(perturbed(parents, num_near, cube.axes, rng))
        return np.concatenate([cube.draw(num_drawn, rng), near])

    def _looked_up(self, beliefs: list[Posterior], listed: Array, untried: Array, name: str) -> Ranked:
        """The best of what is listed, of the rows at these positions."""
        said = [(mean[untried], sd[untried]) for mean, sd in self._panel.predict(beliefs, self._listed)]
        return Ranked.of(listed[untried], self._promise(name, beliefs).of(said), _RETURNED)

    def _searched(self, beliefs: list[Posterior], candidates: Array, known: Array, running: Array, name: str) -> Ranked:
        """The best of some candidates and, before them, what lies further uphill."""
        hill = self._hill(name, beliefs, known, running)
        heights = hill.height(candidates)
        order = np.argsort(-heights, kind="stable")
        # The best of those from all over climbs too, or all might stand on one hill.
        starts = np.append(order[:_CLIMBERS], order[order < _DRAWN][0])
        rows, reached = climbed(hill, np.nan_to_num(candidates[starts], nan=0.5))
        best = order[:_RETURNED]
        return Ranked.of(
            np.concatenate([self._cube.proper(rows), candidates[best]]), np.concatenate([reached, heights[best]])
        )

    def _promise(self, name: str, beliefs: list[Posterior]) -> Promise:
        bests = [float(belief.means.min()) for belief in beliefs]
        return Promise(beliefs, bests, name)

    def _hill(self, name: str, beliefs: list[Posterior], known: Array, running: Array) -> Hill:
        """Nobody stands where a trial has been, or as good as where one is running.

        Under noise the model would send all workers to its one optimum: a trial that it believes in advance tells it
        nothing that takes this away.
        """
        promise, embedding, seen = self._promise(name, beliefs), self._embedding, _views(known)

        def height(X: Array) -> Array:
            taken = np.isin(_views(X), seen)
            if len(running):
                taken |= crowded(self._cube.axes, X, running)
            return np.where(taken, -np.inf, promise.height(embedding(X)))

        def slope(X: Array) -> tuple[Array, Array]:
            value, gradient = promise.slope(embedding(X))
            return value, np.where(np.isnan(X), 0.0, gradient[:, embedding.slots])

        return Hill(self._cube.axes, self._cube.proper, height, slope)

    def _by_sample(self, belief: Posterior, candidates: Array, rng: np.random.Generator) -> Ranked:
        """Candidates in the order of one sample of the loss. (Thompson, Biometrika 25, 1933)"""
        some = candidates[rng.permutation(len(candidates))[:_MOST_SAMPLED]]
        return Ranked.of(some, -belief.draw(self._embedding(some), rng))

    def _by_front(
        self, beliefs: list[Posterior], searched: Callable[[str], Ranked], rng: np.random.Generator
    ) -> Ranked:
        """What no other candidate surpasses in EI, PI and UCB together, in random order, before all others."""
        rows = np.concatenate([searched(name).X for name in _MACE])
        Z = self._embedding(rows)
        V = np.column_stack([self._promise(name, beliefs).height(Z) for name in _MACE])
        mixed = rng.permutation(len(rows))
        return Ranked.of(rows[mixed], undominated(V)[mixed].astype(float))


_TRANSFORMS: Mapping[str, Callable[[Array], Array]] = {
    "auto": transforms.half_ranked,
    "power": transforms.power,
    "none": transforms.standardised,
    "log_error": transforms.log_error,
    "hybrid_log_error": transforms.hybrid_log_error,
}


def _views(X: Array) -> Array:
    """Rows as scalars that can be compared."""
    rows = np.ascontiguousarray(np.where(np.isnan(X), -1.0, X))
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
