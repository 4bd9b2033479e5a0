"""Options shared by all commands that run a study."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from raytune_hpo.cli.app import seconds
from raytune_hpo.errors import SpecError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def part(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Callback of an option for a sampler or scheduler: its name, or a JSON object of its name and options."""
    return json_argument(value) if value is not None and value.lstrip().startswith("{") else value


def json_argument(text: str) -> dict[str, Any]:
    """Parse a JSON object that was typed on the command line.

    Raises:
        SpecError: the text is not a JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SpecError(f"a JSON object is needed, like '{{\"lr\": 0.1}}', got {text!r}: {error}") from error
    if not isinstance(value, dict):
        raise SpecError(f"a JSON object is needed, like '{{\"lr\": 0.1}}', got {text!r}")
    return value


def runs_a_study(*, runtimes: tuple[str, ...], default: str) -> Callable[[_Command], _Command]:
    """The options of a command that runs a study: limits, sampler and scheduler, runtime and storage."""
    options = (
        click.option("--num-trials", type=int, help="Maximum number of trials."),
        click.option(
            "--time-budget", "time_budget_s", metavar="TIME", callback=seconds, help="How long to run: 90, 10m, 1h30m."
        ),
        click.option("--target", type=float, help="Stop at this value of the metric."),
        click.option("--sampler", callback=part, help='A name, or \'{"name": "hyperopt", "gamma": 0.2}\'.'),
        click.option("--scheduler", callback=part, help="Like --sampler."),
        click.option(
            "--max-failures", type=int, metavar="N", help="Stop when this many trials have failed in this session."
        ),
        click.option("--retry-failed", is_flag=True, help="Retry the configurations that failed in earlier sessions."),
        click.option("--max-concurrent", type=int, help="How many trials run at the same time."),
        click.option("--runtime", type=click.Choice(runtimes), help=f"Where trials run.  [default: {default}]"),
        click.option("--address", help="Address of the Ray cluster to run on."),
        click.option("--storage", metavar="URL", help="Where to keep the study."),
        click.option("--name", help="Name of the study; the same name continues it."),
        click.option("--seed", type=int, help="Seed of everything random.  [default: a new one]"),
        click.option(
            "--resume", type=click.Choice(["auto", "never"]), help="Whether a study of the same name is continued."
        ),
        click.option("--quiet", is_flag=True, help="Show no progress."),
    )

    def decorated(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated
