"""CMA-ES for asynchronous workers and mixed spaces.

Hansen's CMA-ES (arXiv:1604.00772) learns the distribution of ordered parameters, margins (Hamano et al., GECCO 2022)
keep grids alive, categories learn as in CatCMA (Hamano et al., GECCO 2024), and restarts with a growing population are
those of Auger and Hansen: A Restart CMA Evolution Strategy With Increasing Population Size (CEC 2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.goals import Goal
from raytune_hpo.numerics import categories, cma, margin
from raytune_hpo.numerics.axes import Kind, is_among, of_kind
from raytune_hpo.options import integer_option, number_option, renamed_options
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.samplers.base import BaseSampler
from raytune_hpo.samplers.history import Observed
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

GENERATION, POINT, PENDING = "generation", "point", "pending"  # keys in ``meta``
_DRAWS = 16  # points drawn in search of one that is new and feasible
_RATE = 0.2  # how far a generation moves the probabilities of categories
_FINEST = 1e-9  # deviations in the unit cube below which a search has converged


class _Member(NamedTuple):
    """A finished trial of the generation that is under way.

    Attributes:
        position: in the order in which trials were told.
        generation: the generation from whose distribution it was drawn; -1 for other trials, such as the user's own.
        point: as it was drawn, with a coordinate for every column; empty for other trials.
    """

    position: int
    generation: int
    point: Sequence[float]


@dataclass(frozen=True, eq=False)
class _Search:
    """The search distribution from which the next points are drawn, and its progress.

    Attributes:
        gaussian: over the ordered columns.
        shares: probabilities of the values of each nominal column.
        size: how many told trials make a generation.
        generation: counts from 0, through all restarts.
        run: how often the search has restarted.
        best: the lowest loss since the last restart, found ``stale`` generations ago.
    """

    gaussian: cma.Gaussian
    shares: tuple[Array, ...]
    size: int
    generation: int = 0
    run: int = 0
    best: float = np.inf
    stale: int = 0


@renamed_options(num_initial="n_initial")
class CMAES(BaseSampler):
    """Covariance matrix adaptation (CMA-ES): a normal distribution that moves, stretches and turns towards low losses.

    Strong on continuous parameters that interact, from about a hundred trials on; suggestions take about a millisecond.
    The search begins around the best trial of an even design. A generation ends as soon as ``population`` trials were
    told, whatever their origin: late trials of older generations and the user's own points count like its members, with
    their steps shortened if they are improbably long (Hansen 2011), so no worker waits. With very many workers a
    generation has half as many trials as were pending: when most trials are late, small generations do not converge.

    Points outside the bounds are moved to them. Parameters that are not active are drawn all the same, and drift.
    Failed trials rank last, a pruned one counts with its last report. When the search has converged or has not improved
    for a long time, it restarts at a random place with a larger population.

    Args:
        population: trials in a generation; None: 4 + 3 ln(number of parameters), as Hansen advises.
        sigma: standard deviation of the first generation, in widths of the search space.
        n_initial: trials of the even design; the search begins around the best of them.
        growth: the factor by which the population grows at a restart.

    Raises:
        SpecError: population < 4, sigma outside [1e-9, 1], n_initial < 1 or growth < 1.
    """

    traits: ClassVar[Traits] = Traits(needs=("scipy",), version=5)
    _ordered: Array  # the columns of the Gaussian
    _nominal: Array

    def __init__(
        self,
        *,
        population: int | None = None,
        sigma: float = 0.3,
        n_initial: int = 10,
        growth: float = 2.0,
    ) -> None:
        self.population = None if population is None else integer_option("cmaes", "population", population, least=4)
        self.sigma = number_option("cmaes", "sigma", sigma, least=_FINEST, most=1)
        self.n_initial = integer_option("cmaes", "n_initial", n_initial, least=1)
        self.growth = number_option("cmaes", "growth", growth, least=1, way_out="1 keeps the population as it is")
        self._search: _Search | None = None
        self._members: list[_Member] = []

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> CMAES:
        """A fresh sampler for one study."""
        bound = super().bind(space, goals, seed)
        bound._ordered = of_kind(bound._cube.axes, Kind.REAL, Kind.GRID)
        bound._nominal = of_kind(bound._cube.axes, Kind.NOMINAL)
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The next point of the even design or, after it, a new point from the newest generation's distribution."""
        search, cube = self._search, self._cube
        if not cube.axes:
            return Suggestion(cube.config(np.empty(0)))
        observed = self._history.read()
        known = np.concatenate([observed.X, cube.encode(pending)])
        if search is None:
            rows = cube.spread(len(known), self._seed, rng, observed)
            return Suggestion(cube.config(cube.first_new(rows, known, rng)))
        points = self._draw(search, rng)
        rows = cube.proper(points)
        x = cube.first_new(rows, known, rng)
        for point, row in zip(points, rows, strict=True):
            if is_among(x, row[None, :]):
                meta = {GENERATION: search.generation, POINT: point.tolist(), PENDING: len(pending)}
                return Suggestion(cube.config(x), meta)
        return Suggestion(cube.config(x))

    def tell(self, trial: Trial) -> None:
        """Note the trial; the last one of a generation updates the distribution."""
        generation, point = trial.meta.get(GENERATION, -1), trial.meta.get(POINT, ())
        self._members.append(_Member(len(self._history), generation, point))
        self._history.tell(trial)
        if not self._cube.axes:
            return
        if self._search is None:
            if len(self._members) >= self.n_initial:
                self._search = self._begin(self._history.read())
        elif len(self._members) >= max(self._search.size, trial.meta.get(PENDING, 0) // 2):
            self._search = self._advance(self._search, self._history.read())
        else:
            return
        if self._search is not None:
            self._members = []

    def _begin(self, observed: Observed) -> _Search | None:
        """The search around the best trial, if there is one."""
        losses = _losses(observed)
        if np.isinf(losses).all():
            return None
        best = observed.X[int(np.argmin(losses))]
        search = self._fresh(np.where(np.isnan(best), 0.5, best), self.population or cma.default_size(len(best)))
        return replace(search, shares=self._learned(search, observed.X, losses), best=float(losses.min()))

    def _fresh(self, mean: Array, size: int) -> _Search:
        """A new search around a row (d,)."""
        shares = tuple(self._cube.axes[j].widths for j in self._nominal)
        return _Search(cma.begin(mean[self._ordered], self.sigma), shares, size)

    def _advance(self, search: _Search, observed: Observed) -> _Search:
        """The search updated by the generation that was told."""
        members = [member.position for member in self._members]
        recent = Observed(observed.X[members], observed.Y[members])
        losses = _losses(recent)
        points = self._points(search, recent.X)
        foreign = np.array([member.generation != search.generation for member in self._members])
        gaussian = cma.update(search.gaussian, points[:, self._ordered], losses, foreign)
        best = float(losses.min())
        new = replace(
            search,
            gaussian=self._with_margin(gaussian, search.size),
            shares=self._learned(search, points, losses),
            generation=search.generation + 1,
            best=min(best, search.best),
            stale=0 if best < search.best else search.stale + 1,
        )
        patience = 10 + int(np.ceil(30 * len(self._cube.axes) / new.size))  # generations; Auger and Hansen wait as long
        has_ended = new.stale > patience or cma.is_degenerate(new.gaussian, _FINEST)
        return self._restarted(new) if has_ended else new

    def _restarted(self, search: _Search) -> _Search:
        """A new search from a random place, with a larger population."""
        run = search.run + 1
        anywhere = derive(self._seed, "cmaes restart", run).random(len(self._cube.axes))
        fresh = self._fresh(anywhere, int(np.ceil(search.size * self.growth)))
        return replace(fresh, run=run, generation=search.generation)

    def _draw(self, search: _Search, rng: np.random.Generator) -> Array:
        """Points (16, d) from the search's distribution; those outside the cube are moved to its surface."""
        points = np.empty((_DRAWS, len(self._cube.axes)))
        points[:, self._ordered] = np.clip(cma.sample(search.gaussian, _DRAWS, rng), 0.0, 1.0)
        for j, q in zip(self._nominal, search.shares, strict=True):
            centres = self._cube.axes[j].centres
            assert centres is not None
            points[:, j] = centres[categories.draw_levels(q, _DRAWS, rng)]
        return points

    def _points(self, search: _Search, rows: Array) -> Array:
        """The told trials as they were drawn, (k, d); in other trials, columns that are not active are in the middle."""
        points: Array = rows.copy()
        for i, member in enumerate(self._members):
            if len(member.point) == rows.shape[1]:
                points[i] = member.point
        ordered = points[:, self._ordered]
        points[:, self._ordered] = np.where(np.isnan(ordered), search.gaussian.m, ordered)
        return points

    def _learned(self, search: _Search, points: Array, losses: Array) -> tuple[Array, ...]:
        """The probabilities of nominal columns, updated by points (k, d); a single point changes nothing."""
        if len(losses) < 2:
            return search.shares
        w = cma.by_rank(np.maximum(cma.constants(len(self._cube.axes), len(losses)).w, 0.0), losses)
        levels = [self._cube.axes[j].levels(points[:, j]) for j in self._nominal]
        least = [categories.least(len(q), len(self._nominal)) for q in search.shares]
        return tuple(
            map(categories.updated_shares, search.shares, levels, [w] * len(levels), [_RATE] * len(levels), least)
        )

    def _with_margin(self, gaussian: cma.Gaussian, size: int) -> cma.Gaussian:
        """The distribution with the margin of Hamano et al. (2022), so that on grids it can still leave a cell."""
        axes = [self._cube.axes[j] for j in self._ordered]
        if all(axis.kind is Kind.REAL for axis in axes):
            return gaussian
        before = gaussian.deviations
        m, after = margin.widened(gaussian.m, before, *margin.cells(axes, gaussian.m), 1 / (len(axes) * size))
        return replace(gaussian, m=m, a=gaussian.a * after / before)


def _losses(observed: Observed) -> Array:
    """The first goal's losses (n,), infinite where a trial has none."""
    losses = observed.Y[:, 0]
    return np.where(np.isnan(losses), np.inf, losses)
