"""Importances of parameters: the share of a metric's differences that each parameter explains.

A conditional parameter is judged among the trials in which it is active, and its share is one of their differences. The
trials in which a parameter is active are its realm; parameters of one realm are judged together.

PED-ANOVA  What distinguishes the best trials from the others? Compares the distributions of single parameters; fast, and
           suited to noise and very long studies. Shares of all parameters that are always active in a realm add up to 1.
fANOVA     How much of the variance does one parameter explain alone? Uses a random forest. The rest up to 1 is explained
           by parameters together, by conditional ones of narrower realms, and by noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.response import response
from raytune_hpo.analysis.series import Floats
from raytune_hpo.analysis.tried import Tried, TriedParameter
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.numerics.pearson import divergence
from raytune_hpo.options import is_real

MIN_TRIALS = 8  # of a realm; fewer trials say nothing
_LEAST_BEST = 8  # at least so many trials count as the best, given twice as many
_PAIRED = 8  # the most important parameters, whose pairs are examined


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The importance of one parameter, or of a pair.

    Attributes:
        name: the parameter's name.
        pair: the name of the second parameter of a pair; None for a single parameter.
        share: in [0, 1].
        when: in words, the trials that were used; empty for all.
        num_trials: the number of these trials.
    """

    name: str
    share: float
    when: str
    num_trials: int
    pair: str | None = None


class _Realm(NamedTuple):
    """Parameters that are active in the same trials.

    Attributes:
        own: those parameters; ``wider``: others that are active in all of these trials too.
        rows: the trials with a value, by position.
    """

    own: tuple[TriedParameter, ...]
    wider: tuple[TriedParameter, ...]
    rows: NDArray[np.intp]


def importances(
    tried: Tried,
    losses: Floats,
    rng: np.random.Generator,
    *,
    method: str = "ped_anova",
    quantile: float = 0.1,
    region: float = 1.0,
    ranks: Floats | None = None,
) -> list[Importance]:
    """The importances of parameters, the highest first; those active in fewer than 8 trials with a value are left out.

    Args:
        losses: (n,); NaN where a trial has none.
        ranks: (n,) for "ped_anova", which trials are better than which; by default it is what the losses say.
        method: "ped_anova" or "fanova".
        quantile, region: see ``ped_anova``.

    Raises:
        SpecError: there is no such method, or the quantiles are not valid.
    """
    if method not in METHODS:
        raise SpecError(f"importances have no method {method!r}; {nearest(str(method), METHODS)}")
    if method == "fanova":
        return fanova(tried, losses, rng)
    return ped_anova(tried, losses if ranks is None else ranks, quantile, region)


def ped_anova(tried: Tried, losses: Floats, quantile: float = 0.1, region: float = 1.0) -> list[Importance]:
    """Importances by PED-ANOVA: how strongly each parameter distinguishes the best trials from the others.

    Args:
        quantile: the share of trials that counts as the best, gamma' in the paper; at least 8 trials, or half of them.
        region: the share of trials that is used, the best ones, gamma in the paper; below 1, the result is the importance
            for improving further.
    """
    if not (is_real(quantile) and is_real(region) and 0 < quantile < region <= 1):
        raise SpecError(f"PED-ANOVA needs 0 < quantile < region <= 1, got quantile={quantile!r}, region={region!r}")

    def shares(realm: _Realm) -> Floats:
        y = losses[realm.rows]
        looked_at = y <= _threshold(y, region)
        is_best = y[looked_at] <= _threshold(y, quantile)
        columns = [(p.axis, p.x[realm.rows[looked_at]]) for p in (*realm.own, *realm.wider)]
        found = np.array([divergence(axis, x, is_best) for axis, x in columns])
        return found[: len(realm.own)] / (found.sum() or 1.0)

    return _by_realm(tried, losses, shares)


def fanova(tried: Tried, losses: Floats, rng: np.random.Generator) -> list[Importance]:
    """Importances by fANOVA: the share of the variance that a parameter explains alone."""
    place = _places(tried)

    def shares(realm: _Realm) -> Floats:
        single = response(tried.parameters, realm.rows, losses, rng).shares().single
        return np.asarray(single[[place[parameter.name] for parameter in realm.own]])

    return _by_realm(tried, losses, shares)


METHODS = ("ped_anova", "fanova")


def interactions(tried: Tried, losses: Floats, rng: np.random.Generator) -> list[Importance]:
    """Interactions of pairs of parameters by fANOVA: what a pair explains beyond each alone, the highest first.

    Only the pairs of the eight most important parameters of every realm are examined.
    """
    found, place = [], _places(tried)
    for realm in _realms(tried, losses):
        marginals = response(tried.parameters, realm.rows, losses, rng)
        single = marginals.shares().single
        own = [place[parameter.name] for parameter in realm.own]
        wider = [place[parameter.name] for parameter in realm.wider]
        strong = np.array([*own, *wider])
        strong = np.sort(strong[np.argsort(-single[strong], kind="stable")[:_PAIRED]])
        pairs = [(j, k) for j, k in combinations(strong.tolist(), 2) if j in own or k in own]
        for (j, k), share in zip(pairs, marginals.shares(pairs).pairs, strict=True):
            found.append(_importance(tried.parameters[j], realm, share, pair=tried.parameters[k].name))
    return _sorted(found)


def _importance(parameter: TriedParameter, realm: _Realm, share: float, pair: str | None = None) -> Importance:
    return Importance(
        name=parameter.name, share=float(share), when=realm.own[0].when, num_trials=len(realm.rows), pair=pair
    )


def _realms(tried: Tried, losses: Floats) -> Iterator[_Realm]:
    """The realms of at least 8 trials with a value, in the order of their first parameters."""
    known = np.isfinite(losses)
    by_mask: dict[bytes, list[TriedParameter]] = {}
    for parameter in tried.parameters:
        by_mask.setdefault(parameter.active.tobytes(), []).append(parameter)
    for own in by_mask.values():
        active = own[0].active
        wider = [p for p in tried.parameters if p not in own and not (active & ~p.active).any()]
        rows = np.flatnonzero(active & known)
        if len(rows) >= MIN_TRIALS:
            yield _Realm(tuple(own), tuple(wider), rows)


def _by_realm(tried: Tried, losses: Floats, shares: Callable[[_Realm], Floats]) -> list[Importance]:
    return _sorted(
        _importance(parameter, realm, share)
        for realm in _realms(tried, losses)
        for parameter, share in zip(realm.own, shares(realm), strict=True)
    )


def _sorted(found: Iterable[Importance]) -> list[Importance]:
    return sorted(found, key=lambda importance: -importance.share)


def _places(tried: Tried) -> dict[str, int]:
    return {parameter.name: j for j, parameter in enumerate(tried.parameters)}


def _threshold(y: Floats, share: float) -> float:
    """The loss up to which that share of trials lies; ties are included, since choosing among them would be arbitrary."""
    num = max(ceil(len(y) * share), min(_LEAST_BEST, len(y) // 2))
    return float(np.partition(y, num - 1)[num - 1])
