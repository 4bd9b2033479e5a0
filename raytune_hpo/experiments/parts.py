"""What a plan means for a task: the sampler that may look up the truth, the scheduler that knows a trial's last step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.experiments.tasks import Task
from raytune_hpo.registry import installed, load, option_names
from raytune_hpo.schedulers.presets import PRESETS

_TRUTH, _LAST = "truth", "max_steps"


def sampler_for(wanted: Any, task: Task) -> Any:
    """The sampler as ``Tuner`` takes it; one that can use the truth gets it, where the task can look it up.

    Raises:
        SpecError: it is an object, which an experiment could not record.
    """
    named = _named("sampler", wanted)
    if task.truth is None or _TRUTH not in option_names(load("sampler", named["name"])):
        return named
    return {**named, _TRUTH: task.truth}


def scheduler_for(wanted: Any, task: Task) -> Any:
    """The scheduler as ``Tuner`` takes it, a preset written out; ``max_steps`` is the task's where nobody gave it.

    Raises:
        SpecError: unknown; an object; or the task has no steps at which a trial could be stopped.
    """
    if wanted is None:
        return None
    if task.num_steps == 1:
        raise SpecError(f"a scheduler stops trials at their steps, {task.name} knows final values only; leave it out")
    named = _named("scheduler", wanted)
    if _LAST in option_names(load("scheduler", named["name"])) and task.num_steps is not None:
        return {_LAST: task.num_steps, **named}
    return named


def _named(role: str, wanted: Any) -> dict[str, Any]:
    presets: Mapping[str, Mapping[str, Any]] = PRESETS if role == "scheduler" else {}
    if isinstance(wanted, str):
        wanted = presets.get(wanted, {"name": wanted})
    if not isinstance(wanted, Mapping) or not isinstance(wanted.get("name"), str):
        raise SpecError(
            f'an experiment records its {role}: give a name or a dict {{"name": ..., option: ...}}, got {wanted!r}'
        )
    named = {**presets.get(wanted["name"], {}), **wanted, **_name_behind(presets, wanted["name"])}
    if named["name"] not in installed(role):
        raise SpecError(f"unknown {role} {named['name']!r}; {nearest(named['name'], [*installed(role), *presets])}")
    return named


def _name_behind(presets: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """What a preset's scheduler is called, so that ``{"name": "deca", "min_trials": 8}`` works too."""
    return {"name": presets[name]["name"]} if name in presets else {}
