"""The command group, and the errors, options, output and access to stored studies that all commands share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from io import TextIOWrapper
from shlex import quote
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from raytune_hpo import __version__
from raytune_hpo.display.text import seconds_of
from raytune_hpo.errors import HpoError, NoCompletedTrial

if TYPE_CHECKING:
    from raytune_hpo.core.ledger import Ledger
    from raytune_hpo.journal import StoredStudies

_OF_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # which Ray sets for the command of a job
NO_RESULT, BAD_USAGE = 1, 2  # exit codes, beside 0
_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Failure(click.ClickException):
    """An error of this package as one line on stderr."""

    exit_code = BAD_USAGE

    def show(self, file: Any = None) -> None:
        click.echo(f"raytune-hpo: {self.message}", err=True)


class _NoResult(_Failure):
    exit_code = NO_RESULT


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NoCompletedTrial as error:
            raise _NoResult(str(error)) from error
        except HpoError as error:
            raise _Failure(str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which a user needs them


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
def cli() -> None:
    """Tune hyperparameters on Ray, and inspect the results.

    Exit codes: 0 done, 1 the study has no completed trial, 2 bad usage.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by >&-: what is said there goes nowhere
            setattr(sys, name, _nowhere())
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper):  # names of any script, on a terminal that may know only some
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    """A stream whose text goes nowhere."""
    return open(os.devnull, "w")


# ---------------------------------------------------------------------------------------------- options

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
_STORAGE = click.option(
    "--storage",
    metavar="URL",
    help="Where studies are kept: an SQLAlchemy URL or a file. [default: $RAYTUNE_HPO_STORAGE or ~/.raytune_hpo]",
)
_ADDRESS = click.option("--address", metavar="ADDRESS", help="The Ray cluster whose head node has the studies.")


def reads_studies(command: _Command) -> _Command:
    """The options of a command that reads stored studies."""
    return _STORAGE(_ADDRESS(_JSON(command)))


def says_json(command: _Command) -> _Command:
    return _JSON(command)


def seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """The seconds of a duration: 90, 10m, 1h30m, 1.5h."""
    if value is None:
        return None
    try:
        return seconds_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


# ---------------------------------------------------------------------------------------------- output


def say(text: str, data: Any, *, as_json: bool) -> None:
    """Print the text, or the data as one JSON document.

    Raises:
        ClickException: it cannot be written, as to a disk that is full. A reader that is gone ends the command quietly.
    """
    from raytune_hpo.results.records import plain

    try:
        click.echo(json.dumps(plain(data), indent=1) if as_json else text)
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = _nowhere()  # or Python fails once more as it ends
        raise _Failure(f"the output cannot be written: {error.strerror or error}; send it elsewhere") from error


def more_about(name: str) -> str:
    """Where to look next; in a job on a cluster, how to get there from outside, since the job's files vanish with it."""
    there = " --address ADDRESS" if _OF_A_JOB in os.environ else ""
    text = f"more: raytune-hpo show {quote(name)}{there}, raytune-hpo report {quote(name)} OUT.html{there}"
    return f"{text}, from your machine" if there else text


# ---------------------------------------------------------------------------------------------- reading


def opened(storage: str | None, address: str | None) -> AbstractContextManager[StoredStudies]:
    """The stored studies of this machine, or of a cluster's head node."""
    from raytune_hpo.api import stored

    return stored.opened(storage, address, connect=connect)


def connect(address: str | None) -> None:
    """Connect to a cluster, and say in a terminal that this takes a while."""
    from raytune_hpo.cluster.connecting import connect, silence

    connect(address, say=partial(click.echo, err=True) if sys.stderr.isatty() else silence)


def folded(name: str, storage: str | None, address: str | None) -> Ledger:
    """The ledger of a stored study."""
    from raytune_hpo.core.ledger import Ledger

    with opened(storage, address) as store:
        return Ledger.fold(store.read(name))
