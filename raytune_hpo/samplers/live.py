"""The sampler of live studies: small safe steps from the incumbent, by a model of configuration, context and time.

Bogunovic, Scarlett, Cevher: Time-Varying Gaussian Process Bandit Optimization. AISTATS 2016 (the model in time).
Krause, Ong: Contextual Gaussian Process Bandit Optimization. NIPS 2011 (context as further coordinates).
Jones, Schonlau, Welch: Efficient Global Optimization of Expensive Black-Box Functions. J. Global Optimization 13, 1998.
Zhang, Wu, Li, Tan, Li, Cui: Towards Dynamic and Safe Configuration Tuning for Cloud Databases. SIGMOD 2022 (safe subspaces).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any, ClassVar, NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal, Guard, make_guards
from raytune_hpo.numerics import drifting
from raytune_hpo.numerics.axes import Kind
from raytune_hpo.numerics.drifting import DriftingPosterior, Rows
from raytune_hpo.numerics.gaussian import Prior
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.options import flag_option, integer_option, number_option, share_option
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.samplers.cube import Cube
from raytune_hpo.samplers.history import last_due
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_LEAST = 4  # windows before which nothing is proposed
_KEPT = 20  # windows that a model begins with after a drift
_MOST_FITTED = 120  # windows that length scales are learned from
_DRAWN = 256
_MOST_CORNERS = 5  # columns up to which all corners of the trust region are candidates
_OUTLIER = 5.0  # median absolute deviations to which losses are cut back
_EVERY = 20  # windows after which the model of forecasts is updated
_TRIED = 10  # the newest tried configurations, which are not repeated
_SHORTEST = 0.3  # length scale of a column, as a share of its range: several steps long
_DAY_S = 86_400.0
_MOST = 1e100  # larger values are not measurements, and their squares overflow


class _Window(NamedTuple):
    """The record of a window."""

    x: Array
    context: tuple[float, ...]
    at: float
    loss: float
    guarded: tuple[float, ...]
    is_try: bool
    epoch: int
    place: str  # the class of context


class _Model(NamedTuple):
    """A metric as a function of configuration, context and time: shift + scale * f, with noise of ``noise`` * scale."""

    posterior: DriftingPosterior
    shift: float
    scale: float
    noise: float


class Live:
    """Safe steps for a running system: near the incumbent, and only where the model is sure that all guards hold.

    The model is a Gaussian process over configuration, context and time, whose memory fades at a rate that is fitted. The
    next candidate has the largest expected improvement on the incumbent, or the best lower confidence bound of the loss
    difference to it, within a box around it and among the candidates that keep every guard with a probability of ``safe``.
    If there is none that may be better, it suggests the incumbent.

    Made for `hpo.Live`, which says in ``meta`` what ran on which group; in an ordinary study it walks from the first
    trial.

    Args:
        context: columns of the context.
        guards: bounds like "p99 <= 200" or, relative to the incumbent, "p99 <= 1.1x".
        tunable: parameters that may be changed; None for all that are numbers or ordered.
        step: how far each of them may be from the incumbent, as a share of its range; at least one value.
        safe: the probability with which each candidate has to keep all guards.
        beta: the weight of uncertainty in the confidence bound, in standard deviations; None: the expected improvement.
        history: how many windows the model is trained on: the newest tries, and the windows beside them, thinned.
        by_class: whether steps toward what runs in another class of context are candidates, and only what was tried lately
            in the same class is not tried again.
        shun_broken: whether what broke a guard, and what is close to it, is not tried again in the same class until the
            system drifts, even if nothing else could be measured: requests that all fail have no latency.

    Raises:
        SpecError: an option out of range, or a parameter to tune that the space does not have.
    """

    traits: ClassVar[Traits] = Traits(reads_pending=False, needs=("scipy",))

    def __init__(
        self,
        *,
        context: Sequence[str] = (),
        guards: Sequence[str] = (),
        tunable: Sequence[str] | None = None,
        step: float = 0.05,
        safe: float = 0.95,
        beta: float | None = 1.0,
        history: int = 500,
        by_class: bool = False,
        shun_broken: bool = False,
    ) -> None:
        self.context, self.guards = tuple(context), tuple(guards)
        if isinstance(tunable, str) or not isinstance(tunable, (Sequence, type(None))):
            raise SpecError(f'live needs a list of names as tunable, like ["threads"], got {tunable!r}')
        self.tunable = None if tunable is None else tuple(tunable)
        self.step = number_option("live", "step", step, above=0, most=1)
        self.safe = share_option("live", "safe", safe)
        self.beta = None if beta is None else number_option("live", "beta", beta, least=0)
        self.history = integer_option("live", "history", history, least=_KEPT)
        self.by_class = flag_option("live", "by_class", by_class)
        self.shun_broken = flag_option("live", "shun_broken", shun_broken)
        self._rules: tuple[Guard, ...] = make_guards(self.guards)

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> Live:
        """A fresh sampler for one study."""
        options = {name: getattr(self, name) for name in _OPTIONS}
        bound = Live(**options)
        bound._cube, bound._goal = Cube(space), goals[0]
        bound._windows, bound._incumbent, bound._promoted = [], None, {}
        bound._broken = []
        bound._fits, bound._posteriors = {}, {}
        bound._encoded = deque(maxlen=4)
        names = [column.name for column in space.columns]
        for name in self.tunable or ():
            if name not in names:
                raise SpecError(f"live tunes parameters of the space, which are {names}; got tunable={name!r}")
        bound._columns = [
            j
            for j, name in enumerate(names)
            if (bound._cube.axes[j].kind is not Kind.NOMINAL if self.tunable is None else name in self.tunable)
        ]
        return bound

    _cube: Cube
    _goal: Goal
    _windows: list[_Window]
    _incumbent: Array | None
    _promoted: dict[str, Array]  # by class of context, what ran there last
    _broken: list[tuple[str, int, Array]]  # what broke a guard, by class of context and number of drifts
    _columns: list[int]
    _fits: dict[tuple[int, int], Array]  # by metric and number of windows
    _posteriors: dict[tuple[int, int], _Model]
    _encoded: deque[tuple[Mapping[str, Any], Array]]  # the newest configurations, and their rows

    def tell(self, trial: Trial) -> None:
        """Note a window, if anything was measured in it."""
        metrics, meta = trial.metrics, trial.meta
        epoch = int(meta.get("epoch", self._windows[-1].epoch if self._windows else 0))
        place = str(meta.get("place", "")) if self.by_class else ""
        if self.shun_broken and trial.status is Status.FAILED:
            self._broken.append((place, epoch, self._row_of(trial.config)))
        named = [float(metrics.get(name, math.nan)) for name in (self._goal.metric, *(r.metric for r in self._rules))]
        if not all(abs(value) < _MOST for value in named):  # NaN is not either
            return
        known = meta.get("context", {})
        x = self._row_of(trial.config)
        is_try = trial.is_suggested or meta.get("role") in ("canary", "retry")
        self._windows.append(
            _Window(
                x=x,
                context=tuple(float(metrics.get(f"context/{name}", known.get(name, 0.0))) for name in self.context),
                at=(trial.finished_at or 0.0) / _DAY_S,
                loss=self._goal.loss(named[0]),
                guarded=tuple(named[1:]),
                is_try=is_try,
                epoch=epoch,
                place=place,
            )
        )
        if self._incumbent is None or meta.get("group") == "control":
            self._incumbent = x
            self._promoted[place] = x

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The candidate that may gain most over the configuration that runs now, or that configuration itself."""
        if self._incumbent is None:
            return Suggestion(self._cube.config(self._beginning(rng)), meta={"holds": "nothing has run yet"})
        x0 = self._incumbent
        config = self._cube.config(x0)
        if len(self._windows) < _LEAST:
            return Suggestion(config, meta={"holds": f"{len(self._windows)} windows are too few"})
        X = self._untried(self._candidates(x0, rng), x0)
        if not len(X):
            return Suggestion(config, meta={"holds": "the trust region has nothing new"})
        newest = self._windows[-1]
        num = len(self._windows)
        mean, sd, model = self._contrasts(0, num, X, x0, newest)
        sure = np.ones(len(X))
        for index in range(len(self._rules)):
            sure *= self._probability(index, num, X, x0, newest)
        bound = mean - (1.0 if self.beta is None else self.beta) * sd
        worth = bound if self.beta is not None else -_expected_gain(mean, sd)
        safe = np.flatnonzero(sure >= self.safe)
        by_worth = safe[np.argsort(worth[safe], kind="stable")]
        best = next((i for i in by_worth if self._cube.feasible(X[i : i + 1])[0]), None)
        if best is None or not bound[best] < 0.0:
            return Suggestion(config, meta={"holds": "nothing that is safe promises a gain"})
        meta = {
            "context": dict(zip(self.context, newest.context, strict=True)),
            "acquisition": float(worth[best]),
            "gain": [float(-mean[best]), float(sd[best])],
            "predicted": self._predicted(model, X[best], newest.context, newest.at),
            "safe": float(sure[best]),
        }
        return Suggestion(self._cube.config(X[best]), meta=meta)

    def forecast(
        self, config: Mapping[str, Any], context: Mapping[str, float], at: float
    ) -> tuple[float, float] | None:
        """Mean and standard deviation of the loss that a window will measure; None while there are too few windows.

        The model leaves out the newest few windows, so that a window is not compared with a forecast learned from it.
        """
        num = len(self._windows)
        if num < _KEPT:
            return None
        model = self._model(0, num - num % _EVERY)
        row = tuple(float(context.get(name, 0.0)) for name in self.context)
        mean, sd = self._predicted(model, self._row_of(config), row, at / _DAY_S)
        return mean, math.hypot(sd, model.noise * model.scale)

    # -------------------------------------------------------------------------------------------- candidates

    def _beginning(self, rng: np.random.Generator) -> Array:
        middle = self._cube.proper(np.full((1, self._cube.space.num_columns), 0.5))
        rows = middle if self._cube.feasible(middle)[0] else self._cube.draw(1, rng)
        return np.asarray(rows[0])

    def _candidates(self, x0: Array, rng: np.random.Generator) -> Array:
        """Proper rows of the trust region: random ones, and its corners."""
        columns = [j for j in self._columns if not math.isnan(x0[j])]
        width = np.array([self._width(j) for j in columns])
        if not columns:
            return np.empty((0, len(x0)))
        d = len(columns)
        moves = rng.uniform(-1.0, 1.0, (_DRAWN, d)) * (rng.random((_DRAWN, d)) < rng.random((_DRAWN, 1)))
        single = np.concatenate([np.eye(d), -np.eye(d)])
        corners = np.array(list(product((-1.0, 0.0, 1.0), repeat=d))) if d <= _MOST_CORNERS else single
        moves = np.concatenate([single, corners, moves])
        X = np.repeat(x0[None, :], len(moves), axis=0)
        X[:, columns] += moves * width
        if self.by_class:
            X = np.concatenate([X, self._toward_others(x0, columns, width)])
        X = self._cube.proper(X)
        inside = np.abs(X[:, columns] - x0[columns]) <= width * 1.001 + 1e-12
        return np.asarray(X[inside.all(axis=1)])

    def _toward_others(self, x0: Array, columns: list[int], width: Array) -> Array:
        """The steps toward what was promoted in other classes of context."""
        others = {row.tobytes(): row for row in self._promoted.values()}
        X = np.repeat(x0[None, :], len(others), axis=0)
        for x, other in zip(X, others.values(), strict=True):
            x[columns] += np.clip(other[columns] - x0[columns], -width, width)
        return X

    def _width(self, j: int) -> float:
        axis = self._cube.axes[j]
        if axis.kind is Kind.NOMINAL:
            return 1.0
        return self.step if axis.kind is Kind.REAL else max(self.step, 1.0 / axis.size)

    def _untried(self, X: Array, x0: Array) -> Array:
        """The rows without the one that runs now, and those close to a recent try, or to a shunned one."""
        place, epoch = self._windows[-1].place, self._windows[-1].epoch
        tried = [window.x for window in self._windows if window.is_try and window.place == place][-_MOST_FITTED:]
        newest = list({row.tobytes(): row for row in tried}.values())[-_TRIED:]
        shunned = [row for where, drifts, row in self._broken if (where, drifts) == (place, epoch)]
        width = np.array([self._width(j) for j in range(X.shape[1])])
        for row, near in [(x0, 0.02), *((row, 0.25) for row in (*newest, *shunned))]:
            apart = np.nan_to_num(np.abs(X - row) / width)
            X = np.asarray(X[(apart > near).any(axis=1)])
        return X

    # -------------------------------------------------------------------------------------------- the model

    def _contrasts(self, metric: int, num: int, X: Array, x0: Array, newest: _Window) -> tuple[Array, Array, _Model]:
        """Means and standard deviations of the difference to the configuration that runs, in the metric's units."""
        model = self._model(metric, num)
        rows, base = (self._rows(at, newest.context, newest.at) for at in (X, x0[None, :]))
        mean, sd = model.posterior.contrast(rows, base)
        return mean * model.scale, sd * model.scale, model

    def _probability(self, index: int, num: int, X: Array, x0: Array, newest: _Window) -> Array:
        """The probability (n,) with which each row keeps a guard."""
        from scipy.special import ndtr

        rule, model = self._rules[index], self._model(index + 1, num)
        assert rule.bound.threshold is not None
        rows, base = (self._rows(at, newest.context, newest.at) for at in (X, x0[None, :]))
        if rule.is_relative:
            factor = rule.bound.threshold
            mean, sd = model.posterior.contrast(rows, base, factor)
            mean, limit = model.shift * (1.0 - factor) + model.scale * mean, 0.0
        else:
            mean, sd = model.posterior.predict(rows)
            mean, limit = model.shift + model.scale * mean, rule.bound.threshold
        excess = rule.bound.loss(mean) - rule.bound.loss(limit)
        return np.asarray(ndtr(-excess / (model.scale * sd)))

    def _predicted(self, model: _Model, x: Array, context: tuple[float, ...], at: float) -> list[float]:
        mean, sd = model.posterior.predict(self._rows(x[None, :], context, at))
        return [model.shift + model.scale * float(mean[0]), model.scale * float(sd[0])]

    def _model(self, metric: int, num: int) -> _Model:
        """The model of a metric over the first ``num`` windows: the loss (0), or a guard's metric (1, 2 ...)."""
        key = metric, num
        if (known := self._posteriors.get(key)) is not None:
            return known
        self._posteriors = {old: m for old, m in self._posteriors.items() if old[0] != metric or old[1] >= num - _EVERY}
        theta, (rows, y) = self._theta(metric, last_due(num)), self._observed(metric, num)
        shift, scale = _centre_and_scale(y)
        posterior = DriftingPosterior.of(theta, self._owner, rows, (y - shift) / scale)
        model = _Model(posterior, shift, scale, math.exp(theta[-2] / 2))
        self._posteriors[key] = model
        return model

    def _theta(self, metric: int, due: int) -> Array:
        """Hyperparameters fitted to the newest prefix that is due."""
        key = metric, due
        if key not in self._fits:
            rows, y = self._observed(metric, due, _MOST_FITTED)
            shift, scale = _centre_and_scale(y)
            prior = _prior(len(self._cube.axes) + len(self.context))
            theta = drifting.fit(rows, self._owner, (y - shift) / scale, prior)
            self._fits = {old: known for old, known in self._fits.items() if old[0] != metric}
            self._fits[key] = theta
        return self._fits[key]

    def _observed(self, metric: int, num: int, most: int | None = None) -> tuple[Rows, Array]:
        """The training data from the first ``num`` windows: rows, and values; outliers of the loss are cut back."""
        chosen = self._chosen(num, self.history if most is None else min(most, self.history))
        windows = [self._windows[i] for i in chosen]
        y = np.array([window.loss if metric == 0 else window.guarded[metric - 1] for window in windows])
        if metric == 0:
            middle = float(np.median(y))
            spread = float(np.median(np.abs(y - middle))) or math.inf
            y = np.clip(y, middle - _OUTLIER * spread, middle + _OUTLIER * spread)
        t = np.array([window.at for window in windows])
        contexts = np.array([window.context for window in windows]).reshape(len(windows), len(self.context))
        Z = np.column_stack([self._embedding(np.array([window.x for window in windows])), contexts / self._ranges])
        return Rows(t, Z), y

    def _chosen(self, num: int, most: int) -> list[int]:
        """Numbers of the windows since the last drift, and a few before it: the newest tries, and some of the others."""
        epoch = self._windows[num - 1].epoch
        first = next((i for i in range(num - 1, -1, -1) if self._windows[i].epoch != epoch), -1) + 1
        first = max(0, first - _KEPT) if epoch else 0
        tries = [i for i in range(first, num) if self._windows[i].is_try][-most // 2 :]
        others = [i for i in range(max(first, num - 8 * most), num) if not self._windows[i].is_try]
        room = most - len(tries)
        if len(others) > room:
            newest = others[-room // 2 :]
            older = others[: len(others) - len(newest)]
            picked = np.unique(np.linspace(0, len(older) - 1, room - len(newest)).astype(int))
            others = [*(older[i] for i in picked), *newest]
        return sorted([*tries, *others])

    def _row_of(self, config: Mapping[str, Any]) -> Array:
        """The row of a configuration, from a memo: the groups run the same ones for many windows."""
        for known, row in self._encoded:
            if known == config:
                return row
        row = np.asarray(self._cube.space.encode([config])[0])
        self._encoded.append((config, row))
        return row

    def _rows(self, X: Array, context: tuple[float, ...], at: float) -> Rows:
        contexts = np.tile(np.array(context) / self._ranges, (len(X), 1))
        return Rows(np.full(len(X), at), np.column_stack([self._embedding(X), contexts]))

    @cached_property
    def _ranges(self) -> Array:
        """The unit of each context column, fixed by the first windows, so that features do not change later."""
        first = [window.context for window in self._windows[:_LEAST]]
        largest = np.abs(np.array(first).reshape(len(first), len(self.context))).max(axis=0)
        return np.where(largest > 0, 2.0 * largest, 1.0)

    @cached_property
    def _embedding(self) -> Embedding:
        return Embedding(self._cube.axes)

    @cached_property
    def _owner(self) -> Array:
        d = len(self._cube.axes)
        return np.append(self._embedding.owner, np.arange(d, d + len(self.context)))

    def __repr__(self) -> str:
        return f"Live({', '.join(f'{name}={getattr(self, name)!r}' for name in _OPTIONS)})"


_OPTIONS = ("context", "guards", "tunable", "step", "safe", "beta", "history", "by_class", "shun_broken")


def _prior(d: int) -> Prior:
    """The prior of ``drifting``, with longer length scales.

    With a short one the model would expect the average beyond the data, which is no reason to call a step safe.
    """
    prior = drifting.prior_of(d)
    low = prior.low.copy()
    low[:d] = math.log(_SHORTEST)
    return prior._replace(low=low, mean=np.maximum(prior.mean, low))


def _expected_gain(mean: Array, sd: Array) -> Array:
    """The expected improvement (n,) on what runs now, for normal differences of the loss to it. (Jones et al., eq. 15)"""
    from scipy.special import ndtr

    z = mean / sd
    return np.asarray(sd * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) - mean * ndtr(-z))


def _centre_and_scale(y: Array) -> tuple[float, float]:
    scale = float(y.std())
    return float(y.mean()), scale if scale > 0 else 1.0
