"""The command tabulate, which makes a lookup table of an objective."""

from __future__ import annotations

import hashlib
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from raytune_hpo.api.userfile import load_file
from raytune_hpo.cli.app import NO_RESULT, connect, say, says_json
from raytune_hpo.cli.control import defined, settings_of
from raytune_hpo.cli.study_options import json_argument, part

if TYPE_CHECKING:
    from raytune_hpo.results import Results
    from raytune_hpo.tables import LookupTable


@click.command()
@click.argument("file", metavar="FILE.py", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rows", type=int, metavar="N", help="How many configurations; with --sampler grid, by default all.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="TABLE",
    help="A .parquet or .csv file.  [default: FILE.parquet]",
)
@click.option("--metric", help="The metric of the table.")
@click.option("--mode", type=click.Choice(["min", "max"]), help="Whether less or more of the metric is better.")
@click.option("--sampler", callback=part, help="Which sampler; 'grid' tries all of a finite space.  [default: sobol]")
@click.option("--max-concurrent", "--workers", "max_concurrent", type=int, help="How many trials run at the same time.")
@click.option("--resources", metavar="JSON", help='What one trial needs: \'{"cpu": 2, "gpu": 0.5}\'.')
@click.option("--local", "runtime", flag_value="local", help="Run in this process; needs no Ray.")
@click.option("--address", help="Address of the Ray cluster to run on.")
@click.option("--storage", metavar="URL", help="Where to keep the study.")
@click.option("--name", help="Name of the study.  [default: the file's name and a digest of its contents]")
@click.option("--seed", type=int, help="Seed of the design.  [default: 0]")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@says_json
@click.pass_context
def tabulate(
    ctx: click.Context,
    /,
    file: Path,
    rows: int | None,
    out: Path | None,
    address: str | None,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Make a lookup table of the objective in FILE.py.

    FILE.py is one that `raytune-hpo run` takes. N configurations, spread evenly over its space, are trained to
    the end; the table has their reports and how long they took, so that searches can be tried without training.
    The same command continues after a crash, and with a larger N it adds rows, as long as FILE.py does not change.
    """
    from raytune_hpo.tables import LookupTable
    from raytune_hpo.tables.design import run_design, settings_for_rows

    if flags["resources"] is not None:
        flags["resources"] = json_argument(flags["resources"])
    out = file.with_suffix(".parquet") if out is None else out
    module = load_file(file)
    given = {key: value for key, value in flags.items() if value is not None}
    settings = {"name": name_for(file), **settings_for_rows(settings_of(module, file)), **given}
    if quiet or as_json:
        settings["progress"] = False
    objective, space = (defined(module, file, name) for name in ("objective", "space"))
    if address is not None:
        connect(address)
    results = run_design(objective, space, rows, out, settings)
    table = LookupTable.of(results) if results.best_trials else None
    data = {
        "path": str(out),
        "name": results.name,
        "num_by_status": results.num_by_status,
        "rows": 0 if table is None else len(table.seconds),
        "steps": None if table is None else table.num_steps,
        "seconds": None if table is None else float(table.seconds.sum()),
    }
    say(_text(results, table, out), data, as_json=as_json)
    if table is None:
        ctx.exit(NO_RESULT)


def name_for(file: Path) -> str:
    """A study name that changes when the file does, so that rows of another objective are never taken for its own."""
    return f"{file.stem}-table-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"


def _text(results: Results, table: LookupTable | None, out: Path) -> str:
    """A summary of the table that was written and how to use it, or why there is none."""
    from raytune_hpo.display.text import counts_line, duration
    from raytune_hpo.results.summary import why_no_best

    lines = [f"wrote {out}: {counts_line(results.num_by_status)} (study {results.name!r})"]
    if table is None:
        return "\n".join([*lines, why_no_best(results)])
    steps = f" of {table.num_steps} steps" if table.num_steps > 1 else ""
    trained = duration(float(table.seconds.sum()))
    lines.append(f"{len(table.seconds)} rows{steps} can be looked up, {trained} of training in all")
    return "\n".join([*lines, f"more: raytune-hpo experiment {quote(str(out))} 10 --mode RANDOM"])
