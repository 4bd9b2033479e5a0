"""Instances: several inputs, or seeds, on which each configuration is measured, one after the other."""

from __future__ import annotations

import hashlib
import inspect
import pickle
from collections.abc import Callable, Sequence
from typing import Any

from raytune_hpo.display.text import cut
from raytune_hpo.errors import ObjectiveError, SpecError
from raytune_hpo.options import is_integral
from raytune_hpo.rng import derive
from raytune_hpo.runtime.trial_run import current_run
from raytune_hpo.space.values import fresh

_SEEDS = 2**31
_MOST = 10_000
_LONG = 60  # the most characters of a name


class OverInstances:
    """Adapts an objective of (configuration, instance) to one of a configuration, in which each instance is a step.

    A resumed trial begins at the next instance; the values of earlier ones are in its reports.

    Args:
        instances: in the order of their names in the spec; a trial's assignment says in which order they are run.
    """

    def __init__(self, objective: Callable[..., Any], instances: Sequence[Any]) -> None:
        self._objective, self._instances = objective, list(instances)
        self.__name__ = getattr(objective, "__name__", type(objective).__name__)

    def __call__(self, config: dict[str, Any], **parameters: Any) -> None:
        run = current_run()
        assert run is not None, "instances are run in trials"
        begin = run.assignment.from_step or 0
        for step, index in enumerate(run.assignment.order[begin:], start=begin + 1):
            result = self._objective(fresh(config), self._instances[index], **parameters)
            if inspect.isgenerator(result):
                raise ObjectiveError(
                    "with instances, each of them is a step, and its metrics are what the objective returns; got a "
                    "generator: return the metrics"
                )
            run.report(run.rules.named(result), step)


def instance_names(instances: Sequence[Any]) -> tuple[str, ...]:
    """A name for each instance, as stored in the spec: short text and numbers as they are, everything else as a digest.

    Raises:
        SpecError: an instance has no digest, or two have the same name.
    """
    names = [_name(instance) for instance in instances]
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise SpecError(f"instances are told apart by their names, got {twice!r} twice; leave one of them out")
    return tuple(names)


def checked_instances(instances: Any) -> list[Any] | None:
    """The instances that a user gave: a list, or how many seeds.

    Raises:
        SpecError: they are neither a list of inputs nor a number of seeds.
    """
    if instances is None:
        return None
    if is_integral(instances) and 1 <= instances <= _MOST:
        return [int(seed) for seed in derive(0, "instances").choice(_SEEDS, size=int(instances), replace=False)]
    is_list = isinstance(instances, Sequence) and not isinstance(instances, (str, bytes)) or hasattr(instances, "dtype")
    if is_list and 1 <= len(instances) <= _MOST:
        return list(instances)
    raise SpecError(
        f"instances is a list of up to {_MOST} inputs, or a number of seeds, got {cut(repr(instances), 80)}"
    )


def _name(instance: Any) -> str:
    if isinstance(instance, (str, int, float)) and len(str(instance)) <= _LONG:
        return str(instance)
    try:
        digest = hashlib.blake2b(pickle.dumps(instance, protocol=4), digest_size=6).hexdigest()
    except Exception as error:
        raise SpecError(
            f"an instance is told from others by a digest of its pickle, got an object of type {type(instance).__name__} "
            f"that has none ({error}); give names, and have the objective look up what they stand for"
        ) from error
    return f"{type(instance).__name__} {digest}"
