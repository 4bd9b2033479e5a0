"""Commands about live studies: run, status, show, log, approve, freeze, thaw, adopt, rollback, diff, replay, baseline."""

from __future__ import annotations

import getpass
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from raytune_hpo.cli.app import NO_RESULT, say, says_json, seconds
from raytune_hpo.cli.study_options import json_argument

if TYPE_CHECKING:
    from raytune_hpo.live.stored import StoredLive

_Command = TypeVar("_Command", bound=Callable[..., Any])
_STORAGE = click.option("--storage", metavar="URL", help="Where studies are kept.")
_BY = click.option("--by", default=getpass.getuser, help="Who is responsible. [default: the user]")
_REASON = click.option("--reason", default="", help="The reason, for the journal.")
_SPEC = click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))


def _of_a_study(command: _Command) -> _Command:
    """The arguments and options of every command about a live study."""
    return click.argument("name")(_STORAGE(says_json(command)))


@click.group()
def live() -> None:
    """Tune a running system: a baseline, guards, a canary group, and a way back at any time."""


@live.command()
@_SPEC
@click.option(
    "--for", "duration_s", metavar="TIME", callback=seconds, help="How long: 90, 10m, 7d. [default: for ever]"
)
@click.option("--seat", type=click.Path(file_okay=False), help="Folder in which the applier keeps its state.")
@click.option("--watch/--no-watch", default=True, help="Also start a watchdog process. [default: --watch]")
@_STORAGE
@says_json
def run(
    spec: Path, duration_s: float | None, seat: str | None, watch: bool, storage: str | None, as_json: bool
) -> None:
    """Tune the system that SPEC.toml describes, until Ctrl-C or SIGTERM.

    A separate process watches this one and applies the baseline if it is silent for two terms.
    """
    from raytune_hpo.live.live import Live, default_seat
    from raytune_hpo.live.spec_file import read_spec
    from raytune_hpo.live.telling import status_text

    said = read_spec(spec)
    folder = seat or said.pop("seat", None) or default_seat(str(said["name"]))
    tuned = Live(**{"storage": storage, **said, "seat": folder})
    watcher = None
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # by which systemd and containers end a program
    try:
        if watch:
            argv = [sys.executable, "-m", "raytune_hpo.cli", "live", "watch", str(spec), "--seat", str(folder)]
            watcher = subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL)
        tuned.run(duration_s)
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
    finally:
        tuned.stop()
        if watcher is not None:
            watcher.terminate()
            watcher.wait()
        signal.signal(signal.SIGTERM, before)
    found = tuned.status()
    say(status_text(found), vars(found), as_json=as_json)


@live.command()
@_SPEC
@click.option("--seat", type=click.Path(file_okay=False), help="Folder in which the applier keeps its state.")
@click.option("--once", is_flag=True, help="Check once, and exit.")
@says_json
def watch(spec: Path, seat: str | None, once: bool, as_json: bool) -> None:
    """Watch the controller: apply the baseline if it is silent for two terms, and obey the freeze.

    `live run` starts one itself; run another next to the system.
    """
    from raytune_hpo.files import write_whole
    from raytune_hpo.live.live import default_seat
    from raytune_hpo.live.plan import LivePlan
    from raytune_hpo.live.seat import AgeByChange, Seat, age_at, fall_back
    from raytune_hpo.live.spec_file import read_spec
    from raytune_hpo.options import positive

    said = read_spec(spec)
    place = Seat(Path(seat or said.get("seat") or default_seat(str(said["name"]))))
    term_s = positive("term_s", said.get("term_s", LivePlan().term_s))
    mine, number = place.folder / "watch.pid", f"{os.getpid()}\n"
    write_whole(mine, number)
    helped: deque[str] = deque(maxlen=100)  # a watch may last for years
    age = age_at(time.time()) if once else AgeByChange()
    while mine.read_text(encoding="utf-8") == number:  # until another watch takes over
        try:
            done = fall_back(said["applier"], place, age, term_s)
        except Exception as error:  # an applier may raise anything; the next check tries again
            done = f"the watch could not help: {error}"
        if done:
            helped.append(done)
            click.echo(f"raytune-hpo live: {done}", err=True)
        if once:
            break
        time.sleep(1.0)
    say(
        helped[-1] if helped else "nothing had to be done",
        {"seat": str(place.folder), "helped": list(helped)},
        as_json=as_json,
    )


@live.command()
@_of_a_study
def status(name: str, storage: str | None, as_json: bool) -> None:
    """Show the state of a live study."""
    from raytune_hpo.live.telling import status_text

    found = _stored(name, storage).status()
    say(status_text(found), vars(found), as_json=as_json)


@live.command()
@_of_a_study
@click.option("--at", "at", metavar="TIME", help='What ran then: "2026-11-28 14:30" (UTC) or epoch seconds.')
@click.option("--trial", "number", type=int, metavar="N", help="This window.")
def show(name: str, at: str | None, number: int | None, storage: str | None, as_json: bool) -> None:
    """Show the current configuration, the one at a given time, or one window."""
    from raytune_hpo.live.telling import window_text

    stored = _stored(name, storage)
    if number is not None:
        windows = [stored.trial(number)]
    else:
        windows = list(stored.ran_at(time.time() if at is None else _time(at)).values())
    text = "\n".join(map(window_text, windows)) or "nothing had run by then"
    say(text, [_record(trial) for trial in windows], as_json=as_json)


@live.command()
@_of_a_study
@click.argument("number", type=int)
@_BY
def approve(name: str, number: int, by: str, storage: str | None, as_json: bool) -> None:
    """Approve a waiting candidate for the canary group."""
    _stored(name, storage).approve(number, by, time.time())
    say(f"approved trial {number} of {name}", {"name": name, "approved": number}, as_json=as_json)


@live.command()
@_of_a_study
@_REASON
@_BY
@click.option("--seat", type=click.Path(file_okay=False), help="The applier's folder, if the storage is gone.")
def freeze(name: str, reason: str, by: str, seat: str | None, storage: str | None, as_json: bool) -> None:
    """Stop all changes. Works without a controller and without its database."""
    from raytune_hpo.errors import JournalError, StudyNotFound
    from raytune_hpo.live.live import default_seat
    from raytune_hpo.live.seat import Seat

    at = time.time()
    try:
        _stored(name, storage, seat).freeze(by, at, reason)
    except (JournalError, StudyNotFound) as error:
        folder = Path(seat) if seat else default_seat(name)
        if not folder.is_dir():
            raise
        Seat(folder).freeze(by, reason, at)
        click.echo(f"raytune-hpo: the applier is frozen, but the journal could not record it: {error}", err=True)
    say(f"froze {name}", {"name": name, "frozen": True}, as_json=as_json)


@live.command()
@_of_a_study
@_BY
def thaw(name: str, by: str, storage: str | None, as_json: bool) -> None:
    """Allow changes again."""
    _stored(name, storage).thaw(by, time.time())
    say(f"thawed {name}", {"name": name, "frozen": False}, as_json=as_json)


@live.command()
@_of_a_study
@_REASON
@_BY
def adopt(name: str, reason: str, by: str, storage: str | None, as_json: bool) -> None:
    """Make a configuration that was set by hand the baseline, and resume tuning."""
    from raytune_hpo.display.text import config_line

    found = _stored(name, storage).adopt(by, time.time(), reason)
    say(f"the baseline of {name} is {config_line(found)}", {"name": name, "baseline": found}, as_json=as_json)


@live.command()
@_of_a_study
@click.option("--from", "begin", metavar="TIME", help="Events from this time on (UTC). [default: the last day]")
@click.option("--to", "end", metavar="TIME", help="Events before this time.")
def log(name: str, begin: str | None, end: str | None, storage: str | None, as_json: bool) -> None:
    """List what the study did, when, and why."""
    from raytune_hpo.live.telling import event_text

    last = time.time() if end is None else _time(end)
    told = _stored(name, storage).timeline()
    events = told.events_between(last - 86_400.0 if begin is None else _time(begin), last)
    text = "\n".join(map(event_text, events)) or "nothing happened then"
    say(text, [vars(event) for event in events], as_json=as_json)


@live.command()
@_of_a_study
@_REASON
@_BY
def rollback(name: str, reason: str, by: str, storage: str | None, as_json: bool) -> None:
    """Go back to the baseline everywhere, and forget promoted configurations."""
    _stored(name, storage).set_baseline(None, by, time.time(), reason or "rolled back")
    say(f"rolled {name} back", {"name": name, "rolled_back": True}, as_json=as_json)


@live.group()
def baseline() -> None:
    """Set the configuration that a running system falls back to."""


@baseline.command("set")
@_of_a_study
@click.argument("config", metavar="JSON")
@_REASON
@_BY
def baseline_set(name: str, config: str, reason: str, by: str, storage: str | None, as_json: bool) -> None:
    """Fall back to this configuration from now on, and forget promoted ones."""
    point = json_argument(config)
    _stored(name, storage).set_baseline(point, by, time.time(), reason)
    say(f"set the baseline of {name}", {"name": name, "baseline": point}, as_json=as_json)


@live.command()
@_of_a_study
@click.argument("one", type=int)
@click.argument("other", type=int)
def diff(name: str, one: int, other: int, storage: str | None, as_json: bool) -> None:
    """Show how two windows differ: their configurations and measurements."""
    from raytune_hpo.live.telling import difference_text

    stored = _stored(name, storage)
    trials = stored.trial(one), stored.trial(other)
    say(difference_text(*trials), [_record(trial) for trial in trials], as_json=as_json)


@live.command()
@_of_a_study
@click.option("--until", type=int, metavar="SEQ", help="Up to this many facts.")
@click.option(
    "--without-context", multiple=True, metavar="COLUMN", help="Leave this column out, as if it were unknown."
)
@click.pass_context
def replay(
    ctx: click.Context,
    name: str,
    until: int | None,
    without_context: tuple[str, ...],
    storage: str | None,
    as_json: bool,
) -> None:
    """Recompute every decision and compare. Exit code 1: some differ."""
    found = _stored(name, storage).replay(until=until, without_context=without_context)
    differences = [vars(difference) for difference in found.differences]
    say(str(found), {**vars(found), "differences": differences}, as_json=as_json)
    if found.differences:
        ctx.exit(NO_RESULT)


def _stored(name: str, storage: str | None, seat: str | None = None) -> StoredLive:
    from raytune_hpo.live.stored import StoredLive

    return StoredLive(name, storage, seat=None if seat is None else Path(seat))


def _record(trial: Any) -> dict[str, Any]:
    names = ("number", "config", "status", "metrics", "meta", "reason", "started_at", "finished_at")
    return {name: getattr(trial, name) for name in names}


def _time(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass  # then it is a date
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f'a time is like "2026-11-28 14:30" or epoch seconds, got {text!r}') from error
    return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()
