"""Commands that run a study or control a running one: run, stop, enqueue."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from raytune_hpo.api.userfile import load_file
from raytune_hpo.cli.app import NO_RESULT, connect, more_about, say, says_json
from raytune_hpo.cli.study_options import json_argument, runs_a_study
from raytune_hpo.errors import SpecError, nearest

if TYPE_CHECKING:
    from raytune_hpo.api.run import Run
    from raytune_hpo.cluster.line_here import LineHere


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--metric", help="What to optimise.  [default: loss]")
@click.option("--mode", type=click.Choice(["min", "max"]), help="Whether less or more of it is better.  [default: min]")
@runs_a_study(runtimes=("ray", "local", "simulated"), default="ray")
@says_json
@click.pass_context
def run(
    ctx: click.Context, /, file: Path, address: str | None, quiet: bool, as_json: bool, retry_failed: bool, **flags: Any
) -> None:
    """Run the study that FILE.py describes.

    FILE.py defines `objective` and `space`, and may define `settings = dict(metric=..., ...)` with the keywords of
    Tuner. Flags win over settings.
    """
    module = load_file(file)
    settings = {**settings_of(module, file), **{key: value for key, value in flags.items() if value is not None}}
    if retry_failed:
        settings["retry_failed"] = True
    if quiet or as_json:
        settings["progress"] = False
    objective, space = (defined(module, file, name) for name in ("objective", "space"))
    if address is not None:
        connect(address)
    from raytune_hpo.api.tuner import Tuner
    from raytune_hpo.results.summary import results_text

    results = Tuner(objective, space, **settings).fit()
    say(results_text(results, more=more_about(results.name)), results.summary(), as_json=as_json)
    if not results.best_trials:
        ctx.exit(NO_RESULT)


@click.command()
@click.argument("name")
@click.option("--trial", "number", type=int, metavar="N", help="Stop only this trial; the study continues.")
@click.option("--reason", default="stopped by the user", show_default=True, help="The reason, for the journal.")
@click.option("--address", help="Address of the Ray cluster it runs on.")
@says_json
def stop(name: str, number: int | None, reason: str, address: str | None, as_json: bool) -> None:
    """Stop a running study, or one of its trials.

    What it has found is kept, and `run` with the same name continues it. A trial is pruned at its next report.
    """
    if number is not None:
        attached(name, address).stop_trial(number)
        say(f"stopped trial {number} of {name}", {"name": name, "stopped_trial": number}, as_json=as_json)
        return
    attached(name, address).stop(reason)
    say(f"stopped {name}", {"stopped": name, "reason": reason}, as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("config", metavar="JSON")
@click.option("--address", help="Address of the Ray cluster it runs on.")
@says_json
def enqueue(name: str, config: str, address: str | None, as_json: bool) -> None:
    """Enqueue a configuration in a running study.

    It is tried before the next suggestion. JSON is like '{"lr": 0.1, "depth": 3}'.
    """
    point = json_argument(config)
    attached(name, address).enqueue(point)
    say(f"enqueued for {name}", {"name": name, "enqueued": point}, as_json=as_json)


def attached(name: str, address: str | None) -> Run | LineHere:
    """The study that runs on a cluster, reached without Ray if it is on this machine. No cluster is started for this.

    Raises:
        HpoError: the study does not run there, or no cluster was found.
    """
    from raytune_hpo.cluster.addresses import address_here, find_address
    from raytune_hpo.cluster.line_here import line_to

    cluster = address or find_address(os.environ) or address_here()
    if (line := line_to(name, cluster)) is not None:
        return line
    from raytune_hpo.api.stored import attach

    connect(cluster)
    return attach(name)


# ---------------------------------------------------------------------------------------------- FILE.py


def settings_of(module: ModuleType, path: Path) -> dict[str, Any]:
    """The file's ``settings``, which are keywords of Tuner.

    Raises:
        SpecError: Tuner does not know one of them; the message names the nearest keyword.
    """
    from raytune_hpo.api.tuner import Tuner

    settings = getattr(module, "settings", {})
    if not isinstance(settings, Mapping):
        raise SpecError(
            f"settings in {path} must be a dict of Tuner's keywords, got an object of type {type(settings).__name__}"
        )
    known = [p.name for p in inspect.signature(Tuner).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for key in settings:
        if key not in known:
            raise SpecError(f"settings in {path} has {key!r}, which Tuner does not know; {nearest(str(key), known)}")
    return dict(settings)


def defined(module: ModuleType, path: Path, name: str) -> Any:
    """The file's ``objective`` or ``space``.

    Raises:
        SpecError: the file does not define it.
    """
    if not hasattr(module, name):
        raise SpecError(f"{path} must define `objective` and `space`; it has no {name!r}")
    return getattr(module, name)


def live_parts(path: Path) -> dict[str, Any]:
    """The parts that an audit takes from the user's file: the space, and sampler and scheduler objects."""
    from raytune_hpo.space import Space

    module = load_file(path)
    settings = settings_of(module, path)
    parts = {role: settings.get(role) for role in ("sampler", "scheduler")}
    live = {role: part for role, part in parts.items() if hasattr(part, "bind")}
    return {"space": Space.of(defined(module, path, "space")), **live}
