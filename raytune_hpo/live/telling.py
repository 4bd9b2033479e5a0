"""A live study in words: its status, its windows, and how two windows differ."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from raytune_hpo.display.text import config_line, number, value_text
from raytune_hpo.live.fold import group_of
from raytune_hpo.live.stored import LiveStatus
from raytune_hpo.live.timeline import Event
from raytune_hpo.trial import Trial


def status_text(status: LiveStatus) -> str:
    """The status of a live study, as text."""
    lines = [f"{status.name}: {status.state}{f' by {status.why}' if status.why else ''}"]
    lines.append(
        f"  context    {_numbers(status.context) or 'not measured yet'}{f' ({status.place})' if status.place else ''}"
    )
    lines.append(f"  baseline   {_config(status.baseline)}")
    lines.append(f"  incumbent  {_config(status.incumbent)}")
    for what, configs in (("promoted", status.promoted), ("unproven", status.unproven)):
        lines += [f"  {what}   {config_line(config)} where {place or 'always'}" for place, config in configs.items()]
    if status.candidate is not None:
        lines.append(f"  candidate  {config_line(status.candidate[1])} (trial {status.candidate[0]})")
    lines.append(f"  windows    {status.windows}, drifts {status.drifts}")
    lines.append(f"  regret     {number(status.regret)} in a day, of {number(status.budget)}")
    return "\n".join(lines)


def window_text(trial: Trial) -> str:
    """A window: what ran where and why, what was expected, and what was measured."""
    who = "the sampler's candidate" if trial.is_suggested else str(trial.meta.get("role", "by hand"))
    lines = [
        f"trial {trial.number} on {group_of(trial)}, {who}, {trial.status}",
        f"  runs      {config_line(trial.config)}",
    ]
    if trial.meta.get("context"):
        lines.append(f"  context   {_numbers(trial.meta['context'])}")
    for name in ("gain", "predicted", "expected"):
        if name in trial.meta:
            mean, sd = trial.meta[name]
            lines.append(f"  {name:<9} {number(mean)} +- {number(sd)}")
    if "safe" in trial.meta:
        lines.append(f"  guards    hold with probability {trial.meta['safe']:.3f}")
    if trial.metrics:
        lines.append(f"  measured  {_numbers(trial.metrics)}")
    if trial.reason:
        lines.append(f"  ended     {trial.reason}")
    return "\n".join(lines)


def event_text(event: Event) -> str:
    """An event of the timeline, on one line."""
    when = datetime.fromtimestamp(event.at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{when}  {event.said}{f'  {event.why}' if event.why else ''}"


def difference_text(one: Trial, other: Trial) -> str:
    """How two windows differ: their configurations, contexts and measurements."""
    lines = [f"trial {one.number} -> trial {other.number}"]
    tables = (("config", one.config, other.config), ("measured", one.metrics, other.metrics))
    for what, before, after in tables:
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                lines.append(f"  {what:<9} {name}: {value_text(before.get(name))} -> {value_text(after.get(name))}")
    return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing differs"])


def _numbers(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value_text(value)}" for name, value in values.items())


def _config(config: Mapping[str, Any] | None) -> str:
    return "none" if config is None else config_line(config)
