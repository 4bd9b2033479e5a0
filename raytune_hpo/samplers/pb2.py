"""Population based bandits: population based training whose settings are chosen by a time-varying model.

Parker-Holder, Nguyen, Roberts: Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits. NeurIPS
2020. Parker-Holder, Nguyen, Desai, Roberts: Tuning Mixed Input Hyperparameters on the Fly for Efficient Population Based
AutoRL. NeurIPS 2021, for categories; here these are embedded in the model's Euclidean space, as in ``gp``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics import drifting
from raytune_hpo.numerics.drifting import DriftingPosterior, Rows
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.numerics.optimise import filled, perturbed
from raytune_hpo.options import integer_option
from raytune_hpo.protocols import Traits
from raytune_hpo.samplers.history import last_due
from raytune_hpo.samplers.members import GENERATION, Segment
from raytune_hpo.samplers.perturbation import Perturbation
from raytune_hpo.samplers.training import TrainingPopulation
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_LEAST = 3  # with fewer observations, settings are perturbed at random
_DRAWN, _NEAR, _REFINED = 256, 256, 128  # candidates: from the prior, near good settings, near the best of those
_PARENTS = 5


class PB2(TrainingPopulation):
    """Population based bandits (PB2): population based training with few members, whose new settings a model chooses.

    It trains and copies as ``pbt`` does, but a member that has copied another gets the settings that the model ranks
    highest. The model is a Gaussian process of the fall of the loss per step, over the generation, the loss before the
    segment and the settings, categories and branches included. Older observations count less, at a rate that is fitted.
    Settings are ranked by the upper confidence bound, with running segments counted as if they ended as expected. So a
    population of four to eight is enough where ``pbt`` needs twenty. One metric only.

    Everything else is as with ``pbt``: what the objective has to do, what ``num_trials`` counts, how members end.

    Args:
        max_steps: after how many steps training ends.
        population: how many members there are.
        interval: steps of a segment: long enough for a change of settings to show in the score.
        quantile: which share of the members copies, and is copied, up to a half; at least one member.
        window: how many of the newest segments the model is trained on.

    Raises:
        SpecError: an option out of range.
    """

    traits: ClassVar[Traits] = replace(TrainingPopulation.traits, version=3)
    _changes: list[tuple[float, float, float]]  # generation, loss before, fall of the loss per step
    _settings: list[Mapping[str, Any]]

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        population: int = 10,
        interval: int = 1,
        quantile: float = 0.2,
        window: int = 200,
    ) -> None:
        self._set("pb2", max_steps, population, interval, quantile)
        self.window = integer_option("pb2", "window", window, least=8)

    def bind(self, space: Space, goals: Any, seed: int) -> PB2:
        """A fresh sampler for one study."""
        bound = super().bind(space, goals, seed)
        bound._changes, bound._settings = [], []
        return bound

    def observe_segment(self, segment: Segment) -> None:
        """Note by how much the loss has fallen."""
        before = segment.before
        if before is not None:
            # In halves: the difference of two of 1e308 is infinite.
            fall = (before.losses[0] / 2 - segment.losses[0] / 2) / max(1, segment.step - before.step)
            self._changes.append((float(segment.generation), before.losses[0], fall))
            self._settings.append(segment.config)

    def explored(self, copied: Segment, running: Sequence[Trial], rng: np.random.Generator) -> Mapping[str, Any]:
        """The settings with the best upper confidence bound for the next segment."""
        cube = self._cube
        x = cube.space.encode([copied.config])[0]
        if len(self._changes) < _LEAST or not cube.axes:
            return cube.config(Perturbation(cube, (0.8, 1.2), 0.25).of(x, rng))
        first = max(0, len(self._changes) - self.window)
        changes, X = np.array(self._changes[first:]), cube.space.encode(self._settings[first:])
        posterior = self._posterior(changes, X).fantasised(self._pending(running, changes))
        beta = 0.2 * math.log(max(0.4 * len(changes), math.e))  # as the authors' code has it

        def values(candidates: Array) -> Array:
            t = np.full(len(candidates), copied.generation + 1.0)
            before = np.full(len(candidates), copied.losses[0])
            mean, sd = posterior.predict(self._rows(t, before, candidates, changes))
            return np.asarray(mean + math.sqrt(beta) * sd)

        best = X[np.argsort(-changes[:, 2], kind="stable")[:_PARENTS]]
        drawn, near = cube.scattered(_DRAWN, rng), self._near(np.vstack([x, best]), _NEAR, rng)
        candidates = np.concatenate([x[None, :], drawn, near])
        top = candidates[np.argsort(-values(candidates), kind="stable")[:_PARENTS]]
        candidates = np.concatenate([candidates, self._near(top, _REFINED, rng)])
        order = np.argsort(-values(candidates), kind="stable")
        chosen = next((i for i in order if cube.feasible(candidates[i : i + 1])[0]), 0)
        return cube.config(candidates[chosen])

    # -------------------------------------------------------------------------------------------- the model

    def _posterior(self, changes: Array, X: Array) -> DriftingPosterior:
        """The posterior of the standardised fall of the loss, with hyperparameters of the newest prefix that is due."""
        rows = self._rows(changes[:, 0], changes[:, 1], X, changes)
        y = _standardised(changes[:, 2])
        due = last_due(len(y))
        prior = drifting.prior_of(len(self._cube.axes) + 1)
        theta = drifting.fit(Rows(rows.t[:due], rows.Z[:due]), self._owner, y[:due], prior)
        return DriftingPosterior.of(theta, self._owner, rows, y)

    def _pending(self, running: Sequence[Trial], changes: Array) -> Rows:
        """Rows of the running segments that continue from others."""
        known = [(trial, self._segments[trial.parent]) for trial in running if trial.parent in self._segments]
        t = np.array([float(trial.meta[GENERATION]) for trial, _ in known])
        before = np.array([segment.losses[0] for _, segment in known])
        return self._rows(t, before, self._cube.encode([trial for trial, _ in known]), changes)

    def _rows(self, t: Array, before: Array, X: Array, changes: Array) -> Rows:
        """Rows of the model: the settings, and the loss before the segment as a share of its range."""
        low, high = changes[:, 1].min() / 2, changes[:, 1].max() / 2
        share = (before / 2 - low) / (high - low) if high > low else np.full(len(before), 0.5)
        return Rows(t, np.column_stack([self._embedding(X), share]))

    def _near(self, X: Array, num: int, rng: np.random.Generator) -> Array:
        return self._cube.proper(perturbed(filled(X, rng), num, self._cube.axes, rng))

    @cached_property
    def _embedding(self) -> Embedding:
        return Embedding(self._cube.axes)

    @property
    def _owner(self) -> Array:
        return np.append(self._embedding.owner, len(self._cube.axes))


def _standardised(y: Array) -> Array:
    # Divided by a power of two, which changes no other digit: squares of 1e300 are infinite.
    y = np.ldexp(y, -np.frexp(np.abs(y).max())[1])
    sd = float(y.std())
    return (y - y.mean()) / sd if sd > 0 else np.zeros(len(y))
