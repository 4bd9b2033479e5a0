"""Commands about experiments: experiment, which repeats a search on a virtual clock, and experiments, which compares."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from raytune_hpo.cli.app import NO_RESULT, connect, say, says_json
from raytune_hpo.cli.study_options import part

_FOLDER = "experiments"
_PATH = click.Path(path_type=Path)
_HORIZONS = click.option(
    "--horizons", metavar="1h,6h,12h", help="Times at which to measure success.  [default: fractions of the time]"
)


@click.command()
@click.argument("task")
@click.argument("repeats", type=int, required=False)
@click.option("--mode", help="RANDOM, TPE, GP, GP-NM, GP-ALE, GP-HLE, RF, RF-ALE, RF-HLE, DIV or BATCH, as published.")
@click.option("--spec", help="EI, PI or UCB for a mode with one model; a strategy for DIV or BATCH.")
@click.option("--sampler", callback=part, help="Instead of a mode: a name, or a JSON object of name and options.")
@click.option(
    "--until",
    multiple=True,
    metavar="END",
    help="goal=0.99, time=12h or trials=500; with several, the first to be reached. At most 10,000 trials by default.",
)
@click.option("--scheduler", callback=part, help="A name or JSON object; also deca, penta, tetra or deca-recorded.")
@click.option(
    "--warm-up", metavar="TIME", help="For a portfolio: when stopped trials begin to count with their best report."
)
@click.option(
    "--workers", type=int, metavar="N", help="Virtual workers of each repeat.  [default: 1; BATCH: arms plus one]"
)
@click.option("--seed", type=int, help="Seed of all repeats.  [default: 0]")
@click.option(
    "--file", "file", type=_PATH, help="YAML or JSON with any of these settings, arms and other options of a portfolio."
)
@click.option("--conf", type=_PATH, metavar="HP_CONF.json", help="A JSON file with the space of a lookup table.")
@click.option("--metric", help="Metric of a lookup table or a Python file.  [default: its own, or accuracy]")
@click.option("--minimise/--maximise", default=None, help="Which way the metric is better.  [default: the task's own]")
@click.option("--out", type=_PATH, metavar="FOLDER", help=f"Where experiments are kept.  [default: {_FOLDER}]")
@click.option("--name", help="Name of the experiment; the same name continues it.  [default: task and sampler]")
@click.option("--estimates", is_flag=True, default=None, help="Also keep the models' estimates before each step.")
@click.option("--serial/--parallel", default=None, help="Run in this process, without Ray.  [default: parallel]")
@click.option(
    "--jobs", type=int, metavar="N", help="Repeats at the same time.  [default: as many as there is room for]"
)
@click.option("--address", help="Address of the Ray cluster to run on.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@_HORIZONS
@says_json
@click.pass_context
def experiment(
    ctx: click.Context,
    /,
    task: str,
    file: Path | None,
    address: str | None,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Repeat a whole search REPEATS times, on a virtual clock.

    TASK is a lookup table (.csv, .parquet), a Python file that defines `space` and an `objective` whose reports carry
    virtual seconds as `cost_s`, or a task of a folder with a tasks.py, like bench/lcbench_167201 (its name alone where
    $RAYTUNE_HPO_BENCH is the folder).

    Every repeat is saved when it ends. The same command continues after a crash, and a larger REPEATS extends it.
    """
    from raytune_hpo.experiments import run_experiment
    from raytune_hpo.experiments.settings import ExperimentSettings

    given = {key: value for key, value in flags.items() if value is not None and value != ()}
    settings = ExperimentSettings.read(task, given, file)
    if address is not None:
        connect(address)
    found = run_experiment(
        settings.task,
        settings.num_repeats,
        settings.plan,
        name=settings.name,
        folder=settings.folder,
        estimates=settings.estimates,
        runtime=settings.runtime,
        max_jobs=settings.max_jobs,
        progress=not (quiet or as_json),
    )
    more = f"more: raytune-hpo experiments {quote(str(found.folder))} --page OUT.html"
    if not found.is_whole:
        more = f"interrupted after {len(found)} of {settings.num_repeats} repeats; the same command continues\n{more}"
    say(f"{found.text(settings.horizons_s)}\n\n{more}", found.to_json(settings.horizons_s), as_json=as_json)
    if not len(found):
        ctx.exit(NO_RESULT)


@click.command()
@click.argument("folders", nargs=-1, type=_PATH, metavar="FOLDER...")
@click.option("--page", type=_PATH, metavar="OUT.html", help="Write all figures, in one page that opens anywhere.")
@_HORIZONS
@says_json
@click.pass_context
def experiments(
    ctx: click.Context, /, folders: tuple[Path, ...], page: Path | None, horizons: str | None, as_json: bool
) -> None:
    """Compare experiments, in one table and one picture.

    A FOLDER holds one experiment, or folders of several.  [default: experiments]
    """
    from raytune_hpo.experiments.comparing import Comparison, load_all
    from raytune_hpo.experiments.settings import horizons_of

    compared = Comparison(load_all(folders or (Path(_FOLDER),)), horizons_of(horizons))
    if page is not None:
        compared.page(page)
    written = "" if page is None else f"\n\nwritten: {page}"
    say(f"{compared}{written}", compared.to_json(), as_json=as_json)
    if not any(len(found) for found in compared.experiments):
        ctx.exit(NO_RESULT)
