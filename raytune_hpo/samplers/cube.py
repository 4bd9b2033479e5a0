"""The unit cube of a space, as models and evolutionary samplers use it.

X  (n, d)  coordinates; NaN where a parameter is not active. "Proper" rows stand at the centres of cells where there are
           cells, and have NaN exactly in the columns that are not active: as ``Space.encode`` returns them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axes, is_among, row_keys
from raytune_hpo.numerics.neighbours import neighbours
from raytune_hpo.numerics.quasi import sobol
from raytune_hpo.samplers.history import Observed
from raytune_hpo.space import Space
from raytune_hpo.space.axis import axis_of
from raytune_hpo.space.coding import CodedAlike
from raytune_hpo.trial import Trial

_SOBOL_BATCH = 64
_DRAWS = 256  # rows drawn at once in search of a new one
_PROBES, _LAST_DIGITS = 33, 1e-9  # of a coordinate; how far it may be off by its last digits
_STARTS = 16  # known rows near which a new one is searched for if no draw is new
_MOST_LISTED = 10_000  # a space of at most this many configurations is enumerated in search of a new one


class Cube:
    """The unit cube of a space, with the operations that samplers need on its rows."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.axes = Axes(axis_of(column.domain) for column in space.columns)
        self._encoded: dict[int, tuple[Mapping[str, Any], Array]] = {}  # the trials of the last call, by number

    def proper(self, X: Array) -> Array:
        """Rows made proper: snapped to cells, NaN where not active."""
        X = X.clip(0.0, 1.0)
        if (listing := self.space.candidates) is not None:
            return listing.unit[listing.nearest(np.where(self.space.active(X), X, np.nan))]
        for alike in self._celled:
            alike.snap(X)
        if self.space.is_conditional:
            X[~self.space.active(X)] = np.nan
        return X

    def settled(self, X: Array) -> Array:
        """Proper rows after a round trip through configurations, which may change real coordinates in their last digits."""
        X = np.array(X)
        for alike in self.space.coding.groups:
            alike.snap(X)
        return X

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n proper rows from the prior; they meet the constraints."""
        if (listing := self.space.candidates) is not None:
            return listing.unit[rng.integers(len(listing), size=n)]
        if self.space.has_constraints:
            return self.space.encode(self.space.sample(n, rng))
        return self.scattered(n, rng)

    def draws(self, rng: np.random.Generator) -> Iterator[Array]:
        """Proper rows (d,) from the prior that meet the constraints: the same as ``draw``, but one after the other.

        Where there are constraints, each is searched for when it is asked for.
        """
        if self.space.has_constraints and self.space.candidates is None:
            configs = islice(self.space.feasible_draws(_DRAWS, rng), _DRAWS)
            return (self.space.encode([config])[0] for config in configs)
        return iter(self.draw(_DRAWS, rng))

    def scattered(self, n: int, rng: np.random.Generator) -> Array:
        """n proper rows from the prior, whether they meet the constraints or not.

        If few rows meet them, drawing many that do would take long.
        """
        return self.proper(self.space.beliefs.drawn(rng.random((n, self.space.num_columns))))

    def spread(self, index: int, seed: int, rng: np.random.Generator, observed: Observed | None = None) -> Array:
        """Row number ``index`` (1, d) of a design that covers the cube evenly.

        The first row is where the beliefs are highest. As long as they are not contradicted, every other row after it is
        drawn from them. If a row breaks a constraint, a draw takes its place.

        Args:
            observed: the trials so far, which may contradict the beliefs.
        """
        start = index - index % _SOBOL_BATCH
        even = sobol(self.space.num_columns, start, _SOBOL_BATCH, seed)[index - start :][:1]
        beliefs = self.space.beliefs
        if index == 0:
            row = beliefs.peaked(even)
        elif index % 2 == 0 and (observed is None or beliefs.lead(observed.X, observed.Y)):
            row = beliefs.drawn(even)
        else:
            row = even
        X = self.proper(row)
        return X if self.feasible(X)[0] else self.draw(1, rng)

    def feasible(self, X: Array) -> Array:
        """Which rows meet the constraints, (n,) of bool. Constraints are called one row at a time: for few rows."""
        if not self.space.has_constraints:
            return np.ones(len(X), dtype=bool)
        return self.space.is_feasible(self.space.decode(X))

    @property
    def listed(self) -> Array | None:
        """Rows (n, d) of the candidates to which the space is restricted; None if it is not, and has to be searched."""
        return None if self.space.candidates is None else self.space.candidates.unit

    def untried(self, known: Array) -> Array:
        """The positions (k,) of the listed rows that are not among known ones, or of all if none is left."""
        listing = self.space.candidates
        assert listing is not None
        left = np.ones(len(listing), dtype=bool)
        left[(tried := listing.positions(known))[tried >= 0]] = False
        return np.flatnonzero(left if left.any() else ~left)

    @cached_property
    def everything(self) -> Array | None:
        """All proper rows (n, d) that meet the constraints; None if the space has more than a few configurations."""
        size = self.space.cardinality
        if size is None or size > _MOST_LISTED:
            return None
        X = self.space.encode([self.space.at(i) for i in range(size)])
        return X[self.feasible(X)]

    def first_new(self, rows: Array, known: Array, rng: np.random.Generator) -> Any:
        """The first feasible row (d,) that is not known; if there is none, a new one of the whole space.

        Where nothing new is left, half of the time the first feasible row is repeated, and otherwise a draw.

        Args:
            rows: (k, d) proper, in order of preference.
            known: (n, d) as trials are encoded.
        """
        size = self.space.cardinality
        if size is None or len(known) < size or len(set(row_keys(known))) < size:
            for x in rows:
                if self.is_new(x, known) and self.feasible(x[None, :])[0]:
                    return x
            if (new := self._new(known, rng)) is not None:
                return new
        # Under noise the row that is liked may be the luckiest one: draws give the others as many chances.
        liked = (x for x in rows if self.feasible(x[None, :])[0])
        return next(chain(liked if rng.random() < 0.5 else (), self._known(rng)))

    def is_new(self, x: Array, known: Array) -> bool:
        """Whether the configuration at a proper row (d,) is none of the known ones, (n, d) as trials are encoded.

        Many rows may be one configuration: a trial comes back at a row with other last digits, and a float whose range is
        narrow has few values.
        """
        close = known[~(np.abs(known - x) > self._rounding).any(axis=1)]  # NaN is no difference
        return not len(close) or not (is_among(x, close) or is_among(self.settled(x[None, :])[0], close))

    @cached_property
    def _rounding(self) -> Array:
        """How far (d,) coordinates of one configuration may lie apart; more rather than less."""
        X = np.repeat(np.linspace(0, 1, _PROBES)[:, None], len(self.axes), axis=1)
        for alike in self._celled:
            alike.snap(X)
        return np.asarray(2 * np.abs(self.settled(X) - X).max(axis=0) + _LAST_DIGITS)

    def _new(self, known: Array, rng: np.random.Generator) -> Any:
        """A row (d,) that is not known: any of a small space, else a draw or one near a known row; None if none is found."""
        if (everything := self.everything) is not None:
            tried = set(row_keys(known))
            new = [i for i, key in enumerate(row_keys(everything)) if key not in tried]
            return everything[rng.choice(new)] if new else None
        return next((x for x in chain(self.draws(rng), self._near(known, rng)) if self.is_new(x, known)), None)

    def _near(self, known: Array, rng: np.random.Generator) -> Iterator[Array]:
        """Rows (d,) one step from some known ones, which meet the constraints: they enter branches that are rarely drawn."""
        near, _ = neighbours(self.axes, rng.permutation(known)[:_STARTS], rng)
        yield from (x for x in self.proper(rng.permutation(near)) if self.feasible(x[None, :])[0])

    def _known(self, rng: np.random.Generator) -> Iterator[Array]:
        """Draws (d,), without a search for those that meet the constraints where these are listed already."""
        if self.space.has_constraints and self.everything is not None and len(self.everything):
            yield self.everything[rng.integers(len(self.everything))]
        yield from self.draws(rng)

    def encode(self, trials: Sequence[Trial]) -> Array:
        """Rows (n, d) of trials. Those of the last call are kept, since the same ones are pending again and again."""
        kept = self._encoded
        new = [t for t in trials if t.number not in kept or kept[t.number][0] is not t.config]
        rows = self.space.encode([trial.config for trial in new])
        made = {trial.number: (trial.config, row) for trial, row in zip(new, rows, strict=True)}
        self._encoded = {trial.number: made.get(trial.number) or kept[trial.number] for trial in trials}
        return np.array([row for _, row in self._encoded.values()]) if trials else rows

    def config(self, x: Array) -> Mapping[str, Any]:
        """The configuration at a row (d,)."""
        return self.space.decode(x[None, :])[0]

    @cached_property
    def _celled(self) -> Sequence[CodedAlike]:
        """The columns that have cells."""
        return [alike for alike in self.space.coding.groups if alike.domain.size is not None]
