"""Commands that read stored studies: studies, show, best, trials, export, report, delete, audit."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from raytune_hpo.cli.app import folded, opened, reads_studies, say, seconds
from raytune_hpo.display.text import counted, duration, size, table
from raytune_hpo.errors import HpoError, JournalCorrupt, SpecError

_QUICK = 50_000  # facts that are read in about a second
_FILE_COLUMNS = 200  # of a table that is not written to a terminal
_SHORT = 3  # entries of a study that was not read
_KEPT = "checkpoint_bytes"
_LISTED = ("number", "status", "duration_s", "arm")  # columns of a list of trials, beside parameters and goals

if TYPE_CHECKING:
    from raytune_hpo.core.ledger import Ledger
    from raytune_hpo.journal import StoredStudies
    from raytune_hpo.results import Results


@click.command()
@click.option(
    "--long",
    "is_long",
    is_flag=True,
    help="Read every study: trials, best value, end. [default if they are few]",
)
@reads_studies
def studies(is_long: bool, storage: str | None, address: str | None, as_json: bool) -> None:
    """List the stored studies, oldest first."""
    from raytune_hpo.results.records import study_record

    if address is None:
        _check_exists(storage)
    with opened(storage, address) as store:
        rows = [study_record(row) for row in store.studies()]
        if is_long or (address is None and not as_json and sum(row["facts"] for row in rows) <= _QUICK):
            rows = [{**row, **_outcome(store, row["name"])} for row in rows]
    clocks = [time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(row["created_at"])) for row in rows]
    # The number of facts is shown only for studies whose trials were not counted.
    kept = [name for name in (list(rows[0])[2:] if rows else []) if name != "front"]
    names = [name for name in kept if name != "facts" or len(rows[0]) == _SHORT]
    if not any(row.get(_KEPT) for row in rows):
        names = [name for name in names if name != _KEPT]
    shown = [
        [row["name"], clock, *(_cell(name, row) for name in names)] for row, clock in zip(rows, clocks, strict=True)
    ]
    header = ["study", "created", *("checkpoints" if name == _KEPT else name for name in names)]
    say(table(header, shown, indent="") if rows else "no studies", rows, as_json=as_json)


def _cell(name: str, row: Mapping[str, Any]) -> Any:
    """A cell of the list of studies. Of several metrics there is no best one, but a front."""
    value = row[name]
    if name == "best" and "front" in row:
        return f"front of {row['front']}" if row["front"] else ""
    if name == _KEPT:
        return size(value) if value else ""
    return "" if value is None else value


def _check_exists(storage: str | None) -> None:
    """Tell a misspelt file from one that holds no studies; a file that the variable names may come into being later.

    Raises:
        SpecError: there is no file of the name that was typed.
    """
    from raytune_hpo.journal import open_storage
    from raytune_hpo.journal.opening import STORAGE_VARIABLE

    named = storage or os.environ.get(STORAGE_VARIABLE)
    if not named:
        return
    store = open_storage(named)
    url = store.url
    store.close()
    path = url.removeprefix("sqlite:///")
    if path == url or Path(path).exists():
        return
    if storage:
        raise SpecError(f"there is no file {path}, so it holds no studies; is --storage spelt right?")
    click.echo(f"there is no file {path} yet, which {STORAGE_VARIABLE} names", err=True)


def _outcome(store: StoredStudies, name: str) -> dict[str, Any]:
    """The outcome of one study, or its error, since a broken study must not hide the others."""
    from raytune_hpo.core.ledger import Ledger
    from raytune_hpo.results.records import outcome_record, unreadable_record

    try:
        return outcome_record(Ledger.fold(store.read(name)))
    except HpoError as error:
        return unreadable_record(error)


@click.command()
@click.argument("name")
@click.option("--trial", "number", type=int, metavar="N", help="Show one trial: its reports, output and errors.")
@reads_studies
def show(name: str, number: int | None, storage: str | None, address: str | None, as_json: bool) -> None:
    """Show a study, or one of its trials.

    A study: counts, the best trials, settings. A trial: reports, and what each attempt printed and how it ended.
    """
    from raytune_hpo.results import Results
    from raytune_hpo.results.records import settings_record
    from raytune_hpo.results.summary import results_text

    if number is not None:
        from raytune_hpo.cli.trials import read_trial, trial_text

        with opened(storage, address) as store:
            facts = store.trial_facts(name, number)
            first = list(islice(store.read(name), 1))
        data = read_trial(name, number, first, facts)
        say(trial_text(data), data, as_json=as_json)
        return
    ledger = folded(name, storage, address)
    results, settings = Results.from_ledger(ledger), settings_record(ledger, time.time())
    said = {**settings, "running_time_s": settings["running_time_s"] and duration(settings["running_time_s"])}
    lines = [f"  {key.removesuffix('_s')}: {value}" for key, value in said.items() if value is not None]
    typed = quote(name)
    more = f"more: raytune-hpo show {typed} --trial N, raytune-hpo trials {typed}, raytune-hpo report {typed} OUT.html"
    text = "\n".join([results_text(results, more=more), "", *lines])
    say(text, {**results.summary(), "settings": settings}, as_json=as_json)


@click.command()
@click.argument("name")
@reads_studies
def best(name: str, storage: str | None, address: str | None, as_json: bool) -> None:
    """Print the best configuration.

    With several metrics, the whole Pareto front, best in the first metric first. Exit code 1 if no trial has completed.
    """
    from raytune_hpo.analysis.best import ranked
    from raytune_hpo.results import Results
    from raytune_hpo.results.records import plain, trial_record

    results = Results.from_ledger(folded(name, storage, address))
    if not results.best_trials:
        if as_json:
            say("", [], as_json=True)
        _ = results.best_trial  # raises with the reason if there is none
    blocks = []
    for trial in ranked(results.best_trials)[: 1 if len(results.goals) == 1 else None]:
        values = ", ".join(f"{goal.metric}={trial.metrics[goal.metric]!r}" for goal in results.goals)
        blocks.append(
            f"trial {trial.number}: {values}\n{json.dumps(plain(trial.config), indent=1, ensure_ascii=False)}"
        )
    say("\n".join(blocks), [trial_record(trial) for trial in results.best_trials], as_json=as_json)


@click.command()
@click.argument("name")
@click.option("--status", help="Only trials of this status: completed, pruned, paused, failed, running or waiting.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N trials, the best first.")
@reads_studies
def trials(
    name: str, status: str | None, limit: int | None, storage: str | None, address: str | None, as_json: bool
) -> None:
    """List the trials of a study."""
    from raytune_hpo.analysis.best import by_value
    from raytune_hpo.facts import Status
    from raytune_hpo.results import Results
    from raytune_hpo.results.records import trial_record

    if status is not None and status not in set(Status):
        raise SpecError(f"a status is one of {', '.join(Status)}, got {status!r}")
    results = Results.from_ledger(folded(name, storage, address))
    shown = [trial for trial in results if status is None or trial.status == status]
    if limit is not None:
        shown = by_value(shown)[:limit]
    text = _trials_text(Results(results.spec, shown)) if shown else "no trials"
    say(text, [trial_record(trial) for trial in shown], as_json=as_json)


def _trials_text(results: Results) -> str:
    """A table for the terminal: without times, workers, attempts, and metrics that are not goals."""
    from raytune_hpo.analysis.columns import flattened
    from raytune_hpo.analysis.failures import reason_of_failure
    from raytune_hpo.display.text import cut_apart
    from raytune_hpo.results.summary import NAME_WIDTH

    goals = {f"metrics/{goal.metric}" for goal in results.goals}
    configs = [flattened(trial.config) for trial in results]
    columns: dict[str, list[Any]] = {}
    for key, values in results.columns().items():
        if key.startswith("config/"):  # None is an option, and no empty cell
            if any(key.removeprefix("config/") in config for config in configs):
                columns[key] = [config.get(key.removeprefix("config/"), "") for config in configs]
        elif key == "feasible" and False in values:
            columns["breaks"] = [", ".join(trial.violations) for trial in results]
        elif key in _LISTED or key in goals:
            columns[key] = ["" if value is None else value for value in values]
    if any(trial.status == "paused" for trial in results):  # how far they have come
        columns["step"] = ["" if trial.last_step is None else trial.last_step for trial in results]
    columns["duration_s"] = ["" if s == "" else duration(s) for s in columns["duration_s"]]
    columns["error"] = [reason_of_failure(trial) for trial in results]  # long texts come last
    parameters = [key.removeprefix("config/") for key in columns if key.startswith("config/")]
    told = iter(cut_apart(parameters, NAME_WIDTH))
    header = [next(told) if key.startswith("config/") else key.removeprefix("metrics/") for key in columns]
    header = ["duration" if name == "duration_s" else name for name in header]  # which says its unit in every cell
    rows = list(zip(*columns.values(), strict=True))
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else _FILE_COLUMNS
    return table(header, rows, indent="", room=room)


@click.command()
@click.argument("name")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@reads_studies
def export(name: str, out: Path, storage: str | None, address: str | None, as_json: bool) -> None:
    """Write all trials to a file, OUT.csv or OUT.json."""
    from raytune_hpo.results import Results

    if out.suffix not in (".csv", ".json"):
        raise SpecError(f"an export ends in .csv or .json, got {str(out)!r}")
    results = Results.from_ledger(folded(name, storage, address))
    (results.to_csv if out.suffix == ".csv" else results.to_json)(out)
    say(f"wrote {counted(len(results), 'trial')} to {out}", {"path": str(out), "trials": len(results)}, as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--watch",
    "is_watched",
    is_flag=True,
    help="Rewrite the page until the study has ended.",
)
@click.option("--every", default="5", metavar="TIME", callback=seconds, help="How often: 5, 30s, 1m. [default: 5]")
@reads_studies
def report(
    name: str, out: Path, is_watched: bool, every: float, storage: str | None, address: str | None, as_json: bool
) -> None:
    """Write one HTML page about a study.

    It works offline: best configuration, figures, table of trials. With --watch, an open page follows a running study;
    Ctrl-C leaves the page as it then is.
    """
    from raytune_hpo.core.ledger import Ledger
    from raytune_hpo.results import Results

    if not every > 0:
        raise SpecError(f"--every is a time above 0, got {every:g}")
    with opened(storage, address) as store:
        ledger = _write_until_ended(store, name, out, every) if is_watched else Ledger.fold(store.read(name))
    results = Results.from_ledger(ledger)
    results.plot.page(out)
    say(f"wrote {out}", {"path": str(out), "trials": len(results)}, as_json=as_json)


def _write_until_ended(store: StoredStudies, name: str, out: Path, every_s: float) -> Ledger:
    """Write the page again whenever the study has new facts, until it has ended or until Ctrl-C."""
    from raytune_hpo.core.ledger import Ledger
    from raytune_hpo.progress.terminal import InPlace
    from raytune_hpo.results import Results

    ledger, written = Ledger.fold(store.read(name)), -1
    if ledger.stopped is None:
        click.echo(f"watching {name}: open {out}, which reloads itself; Ctrl-C stops the updates", err=True)
    shown = InPlace(sys.stderr) if sys.stderr.isatty() else None
    last = ""
    try:
        while ledger.stopped is None:
            if ledger.seen != written:
                results, written = Results.from_ledger(ledger), ledger.seen
                results.plot.page(out, refresh_s=every_s)
                last = f"{time.strftime('%H:%M:%S')} wrote {ledger.status(time.time())}"
                if shown is not None:
                    shown.write(last)
            time.sleep(every_s)
            for fact in store.read(name, ledger.seen):
                ledger.apply(fact)
    except KeyboardInterrupt:
        if shown is not None:
            shown.end(last)
        click.echo(f"stopped watching {name}", err=True)
        return ledger
    if shown is not None and last:
        shown.end(last)
    return ledger


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@reads_studies
def delete(name: str, yes: bool, storage: str | None, address: str | None, as_json: bool) -> None:
    """Delete a study, all its trials and their checkpoints."""
    with opened(storage, address) as store:
        num_facts, what = _contents(store, name)
        if not yes and not click.confirm(f"Delete study {name!r}, {what} and their checkpoints for good?", err=True):
            raise SpecError(f"study {name!r} was not deleted")
        store.delete(name)
    say(f"deleted {name}", {"deleted": name, "facts": num_facts}, as_json=as_json)


def _contents(store: StoredStudies, name: str) -> tuple[int, str]:
    """How many facts a study has, and its trials in words; a damaged one can be deleted, too."""
    from raytune_hpo.facts import Started

    try:
        facts = list(store.read(name))
    except JournalCorrupt as error:
        (num_facts,) = [row.num_facts for row in store.studies() if row.name == name]
        return num_facts, f"which cannot be read ({error}), its trials"
    return len(facts), f"its {counted(len({fact.number for fact in facts if isinstance(fact, Started)}), 'trial')}"


@click.command()
@click.argument("name")
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.py",
    help="The file that defines `space`, and `settings` where its sampler or scheduler is an object.",
)
@reads_studies
@click.pass_context
def audit(
    ctx: click.Context, name: str, path: Path | None, storage: str | None, address: str | None, as_json: bool
) -> None:
    """Recompute a study from its journal.

    Every suggestion and verdict is compared with the journal, and the journal with its digests, which reveal changes made
    after it was written. Exit code 1 if anything differs.
    """
    from dataclasses import asdict

    from raytune_hpo.cli.control import live_parts
    from raytune_hpo.core.audit import audit as recompute
    from raytune_hpo.journal import integrity_of

    with opened(storage, address) as store:
        integrity = integrity_of(store, name)
        found = recompute(store.read(name), integrity=integrity, **({} if path is None else live_parts(path)))
    say(str(found), asdict(found), as_json=as_json)
    if not found.is_clean:
        ctx.exit(1)
