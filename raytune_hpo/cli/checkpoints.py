"""The command checkpoint, which copies a trial's newest checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path
from shlex import quote

import click

from raytune_hpo.checkpoints.fetching import URL
from raytune_hpo.cli.app import folded, reads_studies, say
from raytune_hpo.display.text import size
from raytune_hpo.errors import SpecError


@click.command()
@click.argument("name")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--trial", "number", type=int, metavar="N", help="The trial that saved it.  [default: the best]")
@reads_studies
def checkpoint(
    name: str, folder: Path, number: int | None, storage: str | None, address: str | None, as_json: bool
) -> None:
    """Copy the newest checkpoint of a trial to DIR.

    DIR is a new or an empty folder; afterwards it holds the files that the objective saved.
    """
    from raytune_hpo.results import Results

    if folder.exists() and any(folder.iterdir()):
        raise SpecError(f"a checkpoint is copied to a new or empty folder, {folder} has files; name another one")
    results = Results.from_ledger(folded(name, storage, address))
    if number is not None and not 0 <= number < len(results):
        raise SpecError(f"study {name!r} has no trial {number}; see raytune-hpo trials {quote(name)}")
    trial = results.best_trial if number is None else results[number]
    kept = trial.checkpoint
    if kept is None or URL not in kept.record:  # without one, whoever ran the trial keeps it, if anybody does
        others = [str(t.number) for t in results if any(URL in record for record in t.checkpoints.values())][:5]
        hint = f"some that have: {', '.join(others)}" if others else "no trial of this study has one"
        raise SpecError(f"trial {trial.number} of study {name!r} has no checkpoint here; {hint}")
    try:
        shutil.copytree(kept.path, folder, dirs_exist_ok=True)
    except OSError as error:
        raise SpecError(f"the checkpoint cannot be copied to {folder}: {error.strerror or error}") from error
    data = {"path": str(folder), "trial": trial.number, "step": kept.step, "bytes": kept.size_bytes}
    text = f"copied the checkpoint of trial {trial.number} at step {kept.step} ({size(kept.size_bytes)}) to {folder}"
    say(text, data, as_json=as_json)
