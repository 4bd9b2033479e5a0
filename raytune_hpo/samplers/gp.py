"""Bayesian optimisation with a Gaussian process.

Snoek, Larochelle, Adams: Practical Bayesian Optimization of Machine Learning Algorithms. NeurIPS 2012.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpecError
from raytune_hpo.goals import Goal
from raytune_hpo.numerics import gaussian, transforms
from raytune_hpo.numerics.acquisition import (
    ACQUISITIONS,
    Acquisition,
    FantasyAcquisition,
    MeanAcquisition,
    Predictor,
    averaged,
    values_at,
)
from raytune_hpo.numerics.axes import KnownRows
from raytune_hpo.numerics.cached_predictions import CachedPredictions
from raytune_hpo.numerics.cokriging import Cokriging, Correction
from raytune_hpo.numerics.curves import Link, at_fidelities, links, warped
from raytune_hpo.numerics.fantasies import Fantasies
from raytune_hpo.numerics.gaussian import Posterior
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.numerics.neighbours import CLOSE, REPEATED, Neighbourhoods, crowded, first_of_close
from raytune_hpo.numerics.optimise import Objective, filled, maximised, perturbed
from raytune_hpo.numerics.pareto import pareto_front
from raytune_hpo.numerics.shortlist import Shortlist
from raytune_hpo.numerics.slice_sampling import slice_samples
from raytune_hpo.numerics.weighting import Success, Weighting
from raytune_hpo.options import integer_option, named_option
from raytune_hpo.protocols import Traits
from raytune_hpo.rng import derive
from raytune_hpo.samplers.features import FeaturedEmbedding
from raytune_hpo.samplers.goal_models import GoalModels, ThetaMemos, front_first
from raytune_hpo.samplers.history import Memo, Observed, Training, last_due, representatives
from raytune_hpo.samplers.model_based import ModelBased, Ranked
from raytune_hpo.samplers.sources import SourcedEmbedding, most_probable
from raytune_hpo.samplers.supply import Pending, Searches, Stage
from raytune_hpo.space import Space

_ACQUISITIONS = (*ACQUISITIONS, "thompson", "mace")
_MACE = ("ei", "pi", "ucb")  # Lyu et al., ICML 2018
_MARGINALIZE = ("map", "none", "slice")
_FIXED_NOISE = 1e-3  # with marginalize="none"
_MUCH_NOISE = 0.1  # variance of the noise, in units of the mean square of the better half of the losses
_NUM_SLICES = 10
_MOST_FITTED = 256  # trials that length scales are learned from
_MOST_FITTED_OF_GOALS = 128  # the same where each goal and constraint has length scales of its own to be learned
# Candidates from the prior, and near the best trials. Few of the prior's are better than these; in many dimensions, none.
_DRAWN, _NEAR = 20, 600
_MOST_CHANGED = 20  # columns of a candidate that is near (Regis and Shoemaker 2013)
_PARENTS = 3  # best trials around which candidates are drawn
_NUM_STARTS = 3
_MOST_SAMPLED = 400  # candidates of a joint sample
_RETURNED = 64
_CROWD, _MOST_IN_A_CROWD = 16, 512  # if at least 16 trials run, the model is trained on at most 512 that have ended
_LISTED = 256  # rows of a search from which further suggestions are taken
_NUM_FANTASIES = 16
_SETTLED = 20  # trials known at a fidelity that have ended or paused: its length scales are learned from these alone
_BELIEVED = 10.0  # the exponent of the beliefs, divided by the number of trials
_LITTLE_NOISE = 1e-3  # variance of the noise, in units of the variance of the losses

_Self = TypeVar("_Self", bound="GP")


class _Fit(NamedTuple):
    """A fit to a prefix: hyperparameters thetas (s, d + 2), and the transform of its losses."""

    thetas: Array
    transform: str


@dataclass(frozen=True)
class _Found:
    """The result of a search.

    Attributes:
        training: the posterior's training data.
        best: the best loss, by the posterior's means.
        success: the probability of success, if trials have failed.
        ranked: rows, the best first.
        Z: (m, q) their features.
    """

    posterior: Posterior
    training: Training
    best: float
    success: Success | None
    ranked: Ranked
    Z: Array

    @cached_property
    def shortlist(self) -> Shortlist:
        """The rows with the posterior, for further suggestions from them; computed at the first one."""
        return Shortlist(self.posterior, self.Z)


@dataclass(frozen=True)
class _Fits:
    """Memos of fits.

    Attributes:
        newest: the fit to the newest prefix that was due.
        levels: the same for each fidelity, the lowest first.
        predictions: of the listed rows.
        searches: the newest ones.
        goals: hyperparameters of several goals and constraints.
    """

    newest: Memo[_Fit] = field(default_factory=Memo)
    levels: defaultdict[int, Memo[Array]] = field(default_factory=partial(defaultdict, Memo))
    predictions: CachedPredictions = field(default_factory=CachedPredictions)
    searches: Searches[_Found] = field(default_factory=Searches)
    goals: ThetaMemos = field(default_factory=ThetaMemos)


class GP(ModelBased):
    """Bayesian optimisation with a Gaussian process over the mixed space, branches included.

    With several goals, each goal has its own process, and the expected improvement of the hypervolume of their front is
    maximised. Each outcome constraint has its own process too, and the improvement is multiplied by the probability that
    the constraints are kept. Failed trials, which have no loss, train a process of their own: the improvement is multiplied
    by the probability of success.

    If trials are stopped or paused, each step at which they are compared has its own process (co-kriging): at the lowest
    step it models the losses, at each other step the residuals of a prediction from the step below.

    Args:
        acquisition: the acquisition function: "log_ei", "ei", "pi" or "ucb" is maximised; "thompson" minimises a sample
            of the posterior; "mace" draws from the Pareto front of EI, PI and UCB.
        marginalize: how length scales and noise are chosen: "map" takes the most probable ones; "none" does too, with
            the noise fixed at 1e-3; "slice" averages over ten slice samples, which takes ten times as long.
        transform: the transform of losses before they are modelled. "half_rank" ranks the worse half, so that a heavy
            tail does not matter; "auto" does so as long as the model finds little noise, and leaves losses as they are
            if it finds more, since noise would then dominate the better half; "power" is the power transform that makes
            them most normal; "log_error" and "hybrid_log_error" are for error rates in [0, 1]; "none".
        n_initial: trials of the even design; None for a number that suits the space.
        max_points: how many trials the model is trained on: the best, the newest, and some from all over the study.

    Raises:
        SpecError: an unknown acquisition, marginalize or transform; n_initial < 1; max_points < 16; with several goals or
            outcome constraints, another acquisition than "log_ei", or slice samples.
    """

    traits: ClassVar[Traits] = replace(
        ModelBased.traits, multi_goal=True, constraints=True, in_batches=True, features=True, recalls=True, version=11
    )

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
        self.transform = named_option("gp", "transform", transform, ("auto", *_TRANSFORMS))
        self.n_initial = None if n_initial is None else integer_option("gp", "n_initial", n_initial, least=1)
        self.max_points = integer_option("gp", "max_points", max_points, least=16)
        self.fits: _Fits = _Fits()

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int, *, constraints: Sequence[Goal] = ()) -> _Self:
        """A fresh sampler for one study."""
        if (len(goals) > 1 or constraints) and (self.acquisition != "log_ei" or self.marginalize == "slice"):
            raise SpecError(
                "with several goals or outcome constraints gp maximises the logarithm of what is expected to be gained, "
                f"by the most probable model; got acquisition={self.acquisition!r}, marginalize={self.marginalize!r}; "
                "leave them out"
            )
        return super().bind(space, goals, seed, constraints=constraints)

    @property
    def model_key(self) -> Hashable:
        """The options that determine the model: all but the acquisition function and the even design."""
        return GP, self.marginalize, self.transform, self.max_points

    def initial(self) -> int:
        """How many trials the even design has."""
        if self.n_initial is not None:
            return self.n_initial
        return min(2 + self._cube.space.num_columns // 2, 10)

    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """The rows with the best values of the acquisition function."""
        if len(self._goals) > 1 or self._constraints:
            return self._of_goals(observed, running, rng)
        training = self._training(observed)
        posteriors = self._posteriors(observed, training)
        known, listed = np.concatenate([observed.X, running]), self._cube.listed
        weighting = self._weighting(training, len(known), self._models.success(observed, running))
        if self._has_one_model and isinstance(posterior := posteriors[0], Posterior):
            return self._with_fantasies(posterior, training, known, running, weighting, rng)
        bests = [float(posterior.means.min()) for posterior in posteriors]
        posteriors = [posterior.fantasised(self._embedding(running)) for posterior in posteriors]
        if self.acquisition == "thompson":
            if listed is None:
                candidates = self._candidates(training.best(_PARENTS), _MOST_SAMPLED // 2, _MOST_SAMPLED // 2, rng)
            else:
                candidates = listed[self._cube.untried(known)]
            # In the order of one sample of the loss. (Thompson, Biometrika 25, 1933)
            posterior = posteriors[rng.integers(len(posteriors))]
            some = candidates[rng.permutation(len(candidates))[:_MOST_SAMPLED]]
            return Ranked.of(some, weighting(-posterior.draw(self._embedding(some), rng), some))
        if listed is None:
            candidates = self._candidates(training.best(_PARENTS), _DRAWN, _NEAR, rng)
            searched = partial(self._searched, candidates, known, Neighbourhoods(running), weighting)
        else:
            searched = partial(self._looked_up, posteriors, listed, self._cube.untried(known), weighting)
        acquisition = partial(MeanAcquisition, posteriors, bests)
        if self.acquisition == "mace":
            return self._by_front(acquisition, searched, rng)
        return searched(acquisition(self.acquisition))

    def supply(self, observed: Observed, pending: Pending, rng: np.random.Generator) -> Ranked:
        """The best rows of a new search or, if one was made for an earlier trial, its rows ranked again for this one."""
        if not self._has_one_model:
            return self.propose(observed, pending.X, rng)
        stage = Stage.of(observed, pending)
        known = observed.first(stage.num_told)
        found = self.fits.searches.of(stage, known, partial(self._found, stage, known))
        if stage.is_first:
            return found.ranked
        later, running = observed.Y[len(known) :, 0], pending.X
        told = ~np.isnan(later)
        ended = observed.X[len(known) :][told]
        y = transforms.placed(later[told], found.training.y, found.training.losses)
        normals = derive(self._seed, "gp/fantasies", len(observed)).standard_normal((len(running), _NUM_FANTASIES)).T
        outlook = found.shortlist.after(self._embedding(ended), y, self._embedding(running), normals)
        best, X = min(found.best, float(outlook.ended.min(initial=np.inf))), found.ranked.X
        scores = averaged(self.acquisition, outlook.means, outlook.sd, best, self._noise(found.posterior))
        scores = self._weighting(found.training, len(observed) + len(running), found.success)(scores, X)
        taken = KnownRows(np.concatenate([observed.X[len(known) :], running]))
        is_taken = self._is_taken(X, taken, self._kept_apart(found.posterior, running))
        return Ranked.of(X, scores, _RETURNED, is_taken)

    @property
    def _has_one_model(self) -> bool:
        """Whether there is one goal, with one model, and an acquisition function with gradients."""
        is_simple = len(self._goals) == 1 and not self._constraints and self.marginalize != "slice"
        return is_simple and self.acquisition in ACQUISITIONS and self._cube.listed is None

    def _found(self, stage: Stage, observed: Observed) -> _Found:
        """The result of the search at a stage, given the trials that the stage knows of."""
        rng = derive(self._seed, f"gp/search/{stage.turn}", stage.num_told)
        training = self._training(observed, _MOST_IN_A_CROWD if len(stage.running) >= _CROWD else math.inf)
        (posterior,) = self._posteriors(observed, training)
        assert isinstance(posterior, Posterior), "without curves there is no other"
        known, success = np.concatenate([observed.X, stage.running]), self._models.success(observed, stage.running)
        weighting = self._weighting(training, len(known), success)
        ranked = self._with_fantasies(posterior, training, known, stage.running, weighting, rng, _LISTED)
        ranked = Ranked(self._cube.settled(ranked.X), ranked.scores)  # so that they are recognised once they run
        # Searches that end at one maximum differ in their last digits, and all but the best would be repeats.
        first = first_of_close(self._cube.axes, ranked.X, REPEATED)
        ranked = Ranked(ranked.X[first], ranked.scores[first])
        return _Found(posterior, training, float(posterior.means.min()), success, ranked, self._embedding(ranked.X))

    def _with_fantasies(
        self,
        posterior: Posterior,
        training: Training,
        known: Array,
        running: Array,
        weighting: Weighting,
        rng: np.random.Generator,
        most: int = _RETURNED,
    ) -> Ranked:
        """The best rows on average over fantasies of the running trials."""
        fantasies = Fantasies.of(
            posterior, self._embedding(running), rng.standard_normal((_NUM_FANTASIES, len(running)))
        )
        best, noise = float(posterior.means.min()), self._noise(posterior)
        acquisition = FantasyAcquisition(fantasies, best, self.acquisition, noise)
        candidates = self._candidates(training.best(_PARENTS), _DRAWN, _NEAR, rng)
        return self._searched(candidates, known, self._kept_apart(posterior, running), weighting, acquisition, most)

    @staticmethod
    def _noise(posterior: Posterior) -> float:
        """The variance of the noise; 0 if it is so small that it may be numerical error of the model."""
        noise = float(np.exp(posterior.theta[-1]))
        return noise if noise > _LITTLE_NOISE else 0.0

    def _kept_apart(self, posterior: Posterior, running: Array) -> Neighbourhoods:
        """The surroundings of running rows, in which nothing is suggested.

        Under noise, a running trial leaves its surroundings so uncertain that all workers would be sent there.
        """
        return Neighbourhoods(running, CLOSE if self._noise(posterior) else REPEATED)

    # -------------------------------------------------------------------------------------------- the model

    def expect(self, observed: Observed, rows: Array) -> Array:
        """The losses (k,) that the posterior expects at rows (k, d), in their own units."""
        training, at = self._training(observed), self._embedding(rows)
        mean = np.mean([posterior.predict(at)[0] for posterior in self._posteriors(observed, training)], axis=0)
        return transforms.undone(mean, training.y, training.losses)

    def estimate(self, observed: Observed, rows: Array) -> tuple[Array, Array]:
        """Means and variances (k,) of the mixture of posteriors at rows (k, d), standardised."""
        at = self._embedding(rows)
        predicted = [posterior.predict(at) for posterior in self._posteriors(observed, self._training(observed))]
        means, sds = np.stack([mean for mean, _ in predicted]), np.stack([sd for _, sd in predicted])
        return means.mean(axis=0), (sds**2).mean(axis=0) + means.var(axis=0)

    def _posteriors(self, observed: Observed, training: Training) -> Sequence[Predictor]:
        """A posterior for each sample of the hyperparameters, which depend on the newest prefix that is due alone."""
        if observed.curves is not None:
            return self._cokriged(observed)
        Z, owner = self._embedding(training.X), self._embedding.owner
        return [Posterior.of(theta, Z, owner, training.y) for theta in self._fit(observed).thetas]

    def _fit(self, observed: Observed) -> _Fit:
        """The fit to the newest prefix that is due."""
        due = observed.first(last_due(len(observed)))
        return self.fits.newest.of(due, partial(self._fitted, due))

    def _training(self, observed: Observed, most: float = math.inf) -> Training:
        """The trials on which the model is trained, at most ``most`` of them."""
        transform = self._fit(observed).transform if observed.curves is None else self._first_transform
        return self._trained_on(observed, transform, most)[0]

    @property
    def _first_transform(self) -> str:
        """The transform of losses until they prove to be noisy, and of losses at several fidelities."""
        return "half_rank" if self.transform == "auto" else self.transform

    def _trained_on(self, observed: Observed, transform: str, most: float = math.inf) -> tuple[Training, float]:
        """The trials on which the model is trained, and the variance of their transformed losses before standardisation."""
        told = np.flatnonzero(~np.isnan(observed.Y[:, 0]))
        kept = told[representatives(observed.Y[told, 0], int(min(self.max_points, most)))]
        y = observed.Y[kept, 0]
        warped = _TRANSFORMS[transform](y)
        with np.errstate(over="ignore"):  # that of losses of 1e300 is infinite
            return Training(observed.X[kept], transforms.standardised(warped), y), float(warped.var())

    def _fitted(self, observed: Observed) -> _Fit:
        """Hyperparameters of the observed trials, and how their losses were transformed."""
        if np.isnan(observed.Y).all():
            return _Fit(self._prior.mean[None, :], self._first_transform)
        fit, variance = self._fitted_with(observed, self._first_transform)
        if self.transform == "auto" and np.exp(fit.thetas[:, -1]).mean() * variance >= _MUCH_NOISE:
            fit, _ = self._fitted_with(observed, "none")
        return fit

    def _fitted_with(self, observed: Observed, transform: str) -> tuple[_Fit, float]:
        """The fit with a transform, and the variance of the transformed losses."""
        training, variance = self._trained_on(observed, transform)
        return _Fit(self._hyperparameters(training.X, training.y, "gp/slices", len(observed)), transform), variance

    def _hyperparameters(self, X: Array, y: Array, stream: str, n: int) -> Array:
        """Hyperparameters (s, d + 2) of scores y (n,) at rows X."""
        prior, owner = self._prior, self._embedding.owner
        kept = representatives(y, _MOST_FITTED)
        Z, y = self._embedding(X[kept]), y[kept]
        theta = most_probable(Z, owner, y, self._prior_of, 0 if self.marginalize == "slice" else len(self.sources))
        if self.marginalize != "slice":
            return theta[None, :]
        density, rng = gaussian.log_density(Z, owner, y, prior), derive(self._seed, stream, n)
        return slice_samples(density, theta, np.minimum(prior.sd, 1.0), _NUM_SLICES, rng)

    @cached_property
    def _prior(self) -> gaussian.Prior:
        return self._prior_of(int(self._embedding.owner.max(initial=-1)) + 1)

    def _prior_of(self, d: int) -> gaussian.Prior:
        prior = gaussian.scaled_prior(d)
        return prior.with_noise(_FIXED_NOISE) if self.marginalize == "none" else prior

    # -------------------------------------------------------------------------------------------- several fidelities

    def _cokriged(self, observed: Observed) -> Sequence[Cokriging]:
        """A co-kriging model for each sample of the hyperparameters, from the losses at all fidelities."""
        assert observed.curves is not None
        values = at_fidelities(observed.curves)
        scores = warped(values, self._warped)
        between = links(scores)
        bottoms = self._level(0, observed, scores[:, 0], values[:, :1])
        levels = [
            self._level(i + 1, observed, link.rest(*scores.T[i : i + 2]), values[:, i : i + 2])
            for i, link in enumerate(between)
        ]
        seen = self._embedding(observed.X)
        return [
            Cokriging(bottom, [Correction(link, level[i]) for link, level in zip(between, levels, strict=True)], seen)
            for i, bottom in enumerate(bottoms)
        ]

    def _level(self, level: int, observed: Observed, y: Array, values: Array) -> Sequence[Posterior]:
        """Posteriors of the residuals at a fidelity.

        Args:
            y: (n,) residuals: scores less their predictions from the fidelity below; NaN if there are none.
            values: (n, 1 or 2) losses at the fidelity below, if there is one, and at this one. The hyperparameters
                depend on these, since scores change with every trial.
        """
        known = np.flatnonzero(~np.isnan(y))
        known = known[representatives(y[known], self.max_points)]
        X, y = observed.X[known], y[known]
        # The others change with each of their reports.
        settled = int((known < len(observed) - observed.num_running).sum())
        due = Observed(X, values[known]).first(last_due(settled if settled >= _SETTLED else len(y)))
        thetas = self.fits.levels[level].of(due, partial(self._fitted_to_level, level, due))
        return [Posterior.of(theta, self._embedding(X), self._embedding.owner, y) for theta in thetas]

    def _fitted_to_level(self, level: int, due: Observed) -> Array:
        """Hyperparameters (s, d + 2) of the residuals at a fidelity."""
        if not len(due):
            return np.repeat(self._prior.mean[None, :], _NUM_SLICES if self.marginalize == "slice" else 1, axis=0)
        scores = warped(due.Y, self._warped)
        y = scores[:, 0] if scores.shape[1] == 1 else Link.between(*scores.T).rest(*scores.T)
        return self._hyperparameters(due.X, y, f"gp/slices/{level}", len(due))

    def _warped(self, y: Array) -> Array:
        return transforms.standardised(_TRANSFORMS[self._first_transform](y))

    # -------------------------------------------------------------------------------------------- several goals

    def _of_goals(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """The rows with the most expected hypervolume improvement, times the probability that constraints are kept."""
        acquisition = self._models.acquisition(observed, running, rng)
        known, listed = np.concatenate([observed.X, running]), self._cube.listed
        if listed is not None:
            rows = listed[self._cube.untried(known)]
            return Ranked.of(rows, values_at(acquisition, self._embedding, rows), _RETURNED)
        order = front_first(observed)
        best = np.argsort(order, kind="stable")[: max(_PARENTS, int((order == 0).sum()))]
        candidates = self._candidates(observed.X[best], _DRAWN, _NEAR, rng)
        weighting = self._weighting(None, len(known))  # the acquisition function has the probability of success itself
        return self._searched(candidates, known, Neighbourhoods(running), weighting, acquisition)

    @cached_property
    def _models(self) -> GoalModels:
        def fitted(X: Array, y: Array, n: int) -> Array:
            if not len(y):
                return self._prior.mean
            kept = representatives(y, _MOST_FITTED_OF_GOALS)
            theta: Array = self._hyperparameters(X[kept], y[kept], "gp/goals", n)[0]
            return theta

        warp = _TRANSFORMS[self._first_transform]
        return GoalModels(self._embedding, self._goals, warp, fitted, self.max_points, self._seed, self.fits.goals)

    # -------------------------------------------------------------------------------------------- places

    @cached_property
    def _embedding(self) -> Embedding:
        embedding = Embedding(self._cube.axes)
        if self._cube.space.features is not None:
            embedding = FeaturedEmbedding(embedding, self._cube.space)
        return SourcedEmbedding(embedding, self.sources) if self.sources else embedding

    @cached_property
    def _listed_features(self) -> Array:
        """The features of all rows to which the space is restricted."""
        assert self._cube.listed is not None
        return self._embedding(self._cube.listed)

    # -------------------------------------------------------------------------------------------- the acquisition

    def _candidates(self, best: Array, num_drawn: int, num_near: int, rng: np.random.Generator) -> Array:
        """Proper rows from the prior and, after those, near the best rows; they may break constraints."""
        near = perturbed(filled(best, rng), num_near, self._cube.axes, rng, most=_MOST_CHANGED)
        return np.concatenate([self._cube.scattered(num_drawn, rng), self._cube.proper(near)])

    def _looked_up(
        self,
        posteriors: Sequence[Predictor],
        listed: Array,
        untried: Array,
        weighting: Weighting,
        acquisition: MeanAcquisition,
    ) -> Ranked:
        """The best of the listed rows at these positions."""
        plain = [posterior for posterior in posteriors if isinstance(posterior, Posterior)]
        if len(plain) == len(posteriors):
            predictions = self.fits.predictions.predict(plain, self._listed_features)
        else:
            predictions = [posterior.predict(self._listed_features) for posterior in posteriors]
        of_untried = [(mean[untried], sd[untried]) for mean, sd in predictions]
        rows = listed[untried]
        return Ranked.of(rows, weighting(acquisition.values_of(of_untried), rows), _RETURNED)

    def _searched(
        self,
        candidates: Array,
        known: Array,
        apart: Neighbourhoods,
        weighting: Weighting,
        acquisition: Acquisition,
        most: int = _RETURNED,
    ) -> Ranked:
        """The best candidates, and the rows that local search from the best of them finds.

        Args:
            candidates: proper rows; draws from the prior come first.
            known, apart: see ``_is_taken``.
        """
        seen = KnownRows(known)
        objective = self._objective(acquisition, seen, apart, weighting)
        values = weighting(values_at(acquisition, self._embedding, candidates), candidates)
        taken = self._is_taken(candidates, seen, apart)
        order = np.lexsort((-values, taken))
        # The best of the prior's draws is a start too, or all starts might lead to the same local maximum.
        starts = np.append(order[:_NUM_STARTS], order[order < _DRAWN][0])
        rows, reached = maximised(objective, np.nan_to_num(candidates[starts], nan=0.5))
        # Constraints are checked row by row, from the best on; all rows are kept for that, since few may meet them.
        best = order if self._cube.space.has_constraints else order[:most]
        X, scores = np.concatenate([self._cube.proper(rows), candidates[best]]), np.append(reached, values[best])
        return Ranked.of(X, scores, taken=np.append(np.isneginf(reached), taken[best]))

    def _objective(
        self, acquisition: Acquisition, known: KnownRows, apart: Neighbourhoods, weighting: Weighting
    ) -> Objective:
        """The weighted acquisition function, -inf where a row is taken."""
        embedding = self._embedding

        # The values are -inf at taken rows, but the gradients are not changed: L-BFGS follows the smooth function
        # underneath, and if it ends too close to a taken row, ``maximised`` keeps the row from which it started.
        def values(X: Array) -> Array:
            value = weighting(values_at(acquisition, embedding, X), X)
            return np.where(self._is_taken(X, known, apart), -np.inf, value)

        def values_and_gradients(X: Array) -> tuple[Array, Array]:
            value, gradient = acquisition.values_and_gradients(embedding(X))
            return weighting.sloped(value, embedding.by_column(X, gradient), X)

        return Objective(self._cube.axes, self._cube.proper, values, values_and_gradients)

    def _weighting(self, training: Training | None, num_begun: int, success: Success | None = None) -> Weighting:
        """The weights of points after ``num_begun`` trials, some of which are training data."""
        beliefs = self._cube.space.beliefs
        is_log = self.acquisition not in ("ei", "pi")
        exponent = _BELIEVED * beliefs.weight / max(num_begun, 1)
        if beliefs and training is not None:
            exponent *= beliefs.credibility(training.X, training.losses)
        return Weighting(beliefs, exponent, is_log, success)

    def _is_taken(self, X: Array, known: KnownRows, apart: Neighbourhoods) -> Array:
        """Which rows (n,) have been tried, are running, or are close to a row in ``apart``."""
        return known.among(X) | crowded(self._cube.axes, X, apart)

    def _by_front(
        self,
        acquisition: Callable[[str], MeanAcquisition],
        searched: Callable[[MeanAcquisition], Ranked],
        rng: np.random.Generator,
    ) -> Ranked:
        """Rows on the Pareto front of EI, PI and UCB, in random order, before all others."""
        rows = np.concatenate([searched(acquisition(name)).X for name in _MACE])
        Z = self._embedding(rows)
        V = np.column_stack([acquisition(name).values(Z) for name in _MACE])
        mixed = rng.permutation(len(rows))
        return Ranked.of(rows[mixed], pareto_front(-V)[mixed].astype(float))


_TRANSFORMS: Mapping[str, Callable[[Array], Array]] = {
    "half_rank": transforms.half_ranked,
    "power": transforms.power,
    "none": transforms.standardised,
    "log_error": transforms.log_error,
    "hybrid_log_error": transforms.hybrid_log_error,
}
