"""Sampler and scheduler of a plan, completed with options of the task: its true values, and the last step of its trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.experiments.tasks import Task
from raytune_hpo.registry import installed, load, option_names
from raytune_hpo.schedulers.presets import PRESETS

TRUTH = "truth"  # an option that comes from the task, and is not JSON
_LAST = "max_steps"


def sampler_for(wanted: Any, task: Task) -> Any:
    """The sampler as ``Tuner`` takes it, with the task's true values if it can use them.

    Raises:
        SpecError: it is unknown, or an object, which an experiment cannot record.
    """
    named = _named("sampler", wanted)
    if task.truth is None or TRUTH not in option_names(load("sampler", named["name"])):
        return named
    return {**named, TRUTH: task.truth}


def scheduler_for(wanted: Any, task: Task) -> Any:
    """The scheduler as ``Tuner`` takes it, with presets expanded; ``max_steps`` defaults to the task's.

    Raises:
        SpecError: it is unknown or an object, or the task has no steps at which a trial could be stopped.
    """
    if wanted is None:
        return None
    if task.num_steps == 1:
        raise SpecError(f"a scheduler stops trials at their steps, {task.name} has final values only; leave it out")
    named = _named("scheduler", wanted)
    if _LAST in option_names(load("scheduler", named["name"])) and task.num_steps is not None:
        return {_LAST: task.num_steps, **named}
    return named


def _named(role: str, wanted: Any) -> dict[str, Any]:
    """A part as a dict of its name and options; the name of a scheduler may be a preset."""
    presets: Mapping[str, Mapping[str, Any]] = PRESETS if role == "scheduler" else {}
    given = {"name": wanted} if isinstance(wanted, str) else wanted
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise SpecError(
            f'an experiment records its {role}: give a name or a dict {{"name": ..., option: ...}}, got {wanted!r}'
        )
    # Given options override those of a preset, whose name is replaced: {"name": "deca", "min_trials": 8} is a tercet.
    preset = presets.get(given["name"], {})
    named = {**preset, **given, "name": preset.get("name", given["name"])}
    if named["name"] not in installed(role):
        raise SpecError(f"unknown {role} {named['name']!r}; {nearest(named['name'], [*installed(role), *presets])}")
    return named
