"""Checks of objectives before a study starts: one that no trial could call is refused at once."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from raytune_hpo.cluster import WithParameters
from raytune_hpo.display.text import cut
from raytune_hpo.errors import SpecError
from raytune_hpo.runtime.instances import OverInstances
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.space import Space
from raytune_hpo.spec import StudySpec

_WIDTH = 60  # characters of a constant in a warning
_REMOTE = {"ray.remote_function", "ray.actor", "ray.util.client.common"}  # modules of what @ray.remote makes


def check_objective(objective: Any, *, takes_instance: bool = False) -> None:
    """Refuse an objective that cannot be called with a configuration and, with several instances, an instance.

    Builtins and other callables without a visible signature are accepted.

    Raises:
        SpecError: it is not callable, is a class, async or remote, takes other arguments, or carries resources of
            Ray Tune's.
    """
    if not callable(objective):
        raise SpecError(f"an objective is a function of a configuration, got {objective!r}")
    if isinstance(objective, type) and not issubclass(objective, (Mapping, Real)):
        raise SpecError(
            f"an objective is a function of a configuration that returns the metric, got the class {objective.__name__}; "
            f"write a function that makes one, trains it, and calls hpo.report after each step"
        )
    if (resources := getattr(objective, "_resources", None)) is not None and _is_of_ray_tune(resources):
        raise SpecError(
            f"tune.with_resources has no effect here; remove it from {_name(objective)}, and give "
            f"resources={_said(resources)}"
        )
    function, filled = objective, {}
    if isinstance(objective, WithParameters):
        function, filled = objective.objective, objective.parameters
    _check_kind(function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind({}, *([None] if takes_instance else []), **filled)
    except TypeError as error:
        if takes_instance:
            raise SpecError(
                f"with instances, an objective is called as objective(config, instance), and {_name(function)}{signature} "
                f"cannot be: {error}"
            ) from None
        raise SpecError(
            f"an objective is called with one dict, the configuration, and {_name(function)}{signature} cannot be: {error}; "
            f'take parameters out of the dict, such as config["x"], or pass lambda config: objective(**config), and give '
            f"data by hpo.with_parameters"
        ) from None


def _check_kind(function: Callable[..., Any]) -> None:
    """Refuse a function whose call does not return the metric.

    Raises:
        SpecError: it is made by ``@ray.remote``, or async.
    """
    if any(kind.__module__ in _REMOTE for kind in type(function).__mro__):
        raise SpecError(
            f"an objective is called directly, which Ray forbids for what @ray.remote has made, got "
            f"{type(function).__name__}; give the plain function: trials run in processes of the cluster by themselves"
        )
    if inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(type(function).__call__):
        raise SpecError(
            f"an objective that yields its reports is a plain generator, and {_name(function)} is an async one; write def "
            f"instead of async def, and asyncio.run(...) around what it awaits"
        )
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        raise SpecError(
            f"an objective returns the metric when it is called, and {_name(function)} is async, so a call only prepares "
            f"it; write a plain function that returns asyncio.run({_name(function)}(config))"
        )


def with_brought(objective: Any, settings: Settings, runtime: str) -> Settings:
    """The settings, with defaults replaced by those that the objective provides, its ``study_settings(runtime)``."""
    if not hasattr(objective, "study_settings"):
        return settings
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    brought: Mapping[str, Any] = objective.study_settings(runtime)
    new = {name: value for name, value in brought.items() if getattr(settings, name) == defaults[name]}
    if "metric" not in new:
        new.pop("mode", None)  # it belongs to the objective's own metrics
    return dataclasses.replace(settings, **new)


def check_by(objective: Any, spec: StudySpec, *, is_here: bool) -> None:
    """Let an objective with a ``check_study`` check whether it can run the study."""
    if hasattr(objective, "check_study"):
        objective.check_study(spec, is_here=is_here)


def over_instances(objective: Callable[..., Any], instances: Sequence[Any] | None) -> Callable[..., Any]:
    """An objective of a configuration and an instance as one of a configuration; unchanged without instances."""
    if instances is None:
        return objective
    if isinstance(objective, WithParameters):
        return WithParameters(OverInstances(objective.objective, instances), objective.parameters)
    return OverInstances(objective, instances)


def warn_of_lists(given: Any, space: Space) -> None:
    """Warn if nothing varies and the space has several values, which in other libraries mean a choice or a range."""
    if space.columns or not isinstance(given, Mapping):
        return
    for name, value in given.items():
        if isinstance(value, (list, tuple, range, set, frozenset, np.ndarray)):
            shown = cut(repr(value), _WIDTH)
            warnings.warn(
                f"the space has no parameter, so all trials are the same: {name!r} is the constant {shown}; "
                f"a choice is hpo.choice({shown}), and a range hpo.uniform(low, high)",
                stacklevel=4,
            )
            return


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _is_of_ray_tune(resources: Any) -> bool:
    return type(resources).__module__.startswith("ray.tune") or inspect.isfunction(resources)


def _said(resources: Any) -> str:
    """Ray Tune's resources in the form of ``resources=``."""
    words = {"CPU": "cpu", "GPU": "gpu"}
    bundles = [{words.get(k, k): v for k, v in bundle.items()} for bundle in getattr(resources, "bundles", ())]
    return str(bundles[0] if len(bundles) == 1 else bundles or "{...}, the same for all trials")
