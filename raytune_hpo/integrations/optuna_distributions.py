"""Conversion of domains to Optuna's distributions, and of values to the form that those expect."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from raytune_hpo.space.domain import Domain
from raytune_hpo.space.values import is_scalar, key_of, stable_repr


class OptunaParameter:
    """A parameter in Optuna's terms: its distribution; calling it converts a value.

    Args:
        seen: values that the parameter has had. Optuna has no unbounded domains, so an unbounded one gets bounds that
            contain nearly all of its distribution and all values seen.
    """

    def __init__(self, domain: Domain, seen: Sequence[Any] = ()) -> None:
        from optuna.distributions import CategoricalDistribution

        options: Sequence[Any] = domain.options
        labels = choices_for(options)
        self._labels = {key_of(option): label for option, label in zip(options, labels, strict=True)}
        self.distribution = CategoricalDistribution(labels) if options else _numeric_distribution(domain, seen)

    def __call__(self, value: Any) -> Any:
        return self._labels[key_of(value)] if self._labels else value


def choices_for(options: Sequence[Any]) -> list[Any]:
    """Options as Optuna stores them: as scalars if all differ by ``==`` (1 and True do not), otherwise as text."""
    if all(map(is_scalar, options)) and all(
        left != right for index, left in enumerate(options) for right in options[:index]
    ):
        return list(options)
    texts = [stable_repr(option) for option in options]
    return texts if len(set(texts)) == len(texts) else [f"{index}: {text}" for index, text in enumerate(texts)]


def _numeric_distribution(domain: Domain, seen: Sequence[Any]) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    lo, hi = _finite_bounds(domain, seen)
    is_log = lo > 0 and domain.log
    step = None if is_log else domain.step
    if isinstance(lo, int) and isinstance(hi, int):
        return IntDistribution(lo, hi, log=is_log, step=int(step or 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stepped = FloatDistribution(lo, hi, log=is_log, step=step)
    # By Optuna's arithmetic the last value may be off the grid and so be left out.
    return stepped if stepped.high == hi else FloatDistribution(lo, hi, log=is_log)


def _finite_bounds(domain: Domain, seen: Sequence[Any]) -> tuple[Any, Any]:
    if domain.size is not None:
        return domain.nth(0), domain.nth(domain.size - 1)
    lo, hi = domain.bounds
    first, last = domain.decode(np.array([0.0, 1.0]))
    return (
        lo if math.isfinite(lo) else min([first, *seen]),
        hi if math.isfinite(hi) else max([last, *seen]),
    )
