"""Command that tunes an algorithm given as four functions: optml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from raytune_hpo.cli.app import NO_RESULT, connect, more_about, say, says_json

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("algorithm", type=_FILE, metavar="ALGORITHM.py")
@click.argument("parameters", type=_FILE, metavar="PARAMETERS.txt")
@click.option("--serial", "how", flag_value="serial", help="Only serially, in this process; needs no Ray.")
@click.option("--parallel", "how", flag_value="parallel", help="Only in parallel, on Ray.")
@click.option("--both", "how", flag_value="both", default="both", help="Both, and the speed-up.  [default]")
@click.option(
    "--workers", type=int, metavar="N", help="How many at the same time.  [default: as many as there is room]"
)
@click.option("--num-trials", type=int, metavar="N", help="How many configurations.  [default: all; 32 from ranges]")
@click.option("--sampler", metavar="NAME", help="Sampler for ranges.  [default: evenly spread points]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the sampler.")
@click.option(
    "--valid-range", nargs=2, type=float, metavar="LOW HIGH", help="Trials with an error outside this range fail."
)
@click.option("--address", help="Address of the Ray cluster to run on.")
@click.option("--storage", metavar="URL", help="Where to keep the studies.")
@click.option("--name", help="The studies are NAME-serial and NAME-parallel; the same name continues them.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@says_json
@click.pass_context
def optml(
    ctx: click.Context,
    /,
    algorithm: Path,
    parameters: Path,
    address: str | None,
    quiet: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Tune an algorithm written as four functions.

    ALGORITHM.py defines generate_data(), initialization(data, hyperparameters), train(model, data, hyperparameters) and
    test_error(model, data), and may define valid_range = (low, high). PARAMETERS.txt either names the parameters in its
    first line, with one configuration in each line that follows, or has one range in each line:
    `rate = 1e-4 .. 1e-1 log`, `width in [4, 8, 16]`.
    """
    if address is not None:
        connect(address)
    from raytune_hpo.optml import tune

    found = tune(algorithm, parameters, progress=not (quiet or as_json), **settings)
    say(f"{found}\n\n{more_about(found.results.name)}", found.to_json(), as_json=as_json)
    if not found.results.best_trials:
        ctx.exit(NO_RESULT)
