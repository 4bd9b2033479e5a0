"""Command that copies the workshop: labs."""

from __future__ import annotations

from pathlib import Path

import click

from raytune_hpo.cli.app import say, says_json


@click.command()
@click.argument("folder", metavar="[DIR]", default="workshop", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite files that were changed there.")
@says_json
def labs(folder: Path, force: bool, as_json: bool) -> None:
    """Copy the workshop's labs and notebooks to DIR. [default: workshop]

    It begins with DIR/labs/README.md.
    """
    from raytune_hpo.workshop.copying import copy_labs

    copied = copy_labs(folder, force=force)
    text = (
        f"{len(copied)} files copied; begin with {folder / 'labs' / 'README.md'}\n"
        f"notebooks:  jupyter lab {folder / 'notebooks'}\n"
        f"scripts:    python {folder / 'labs' / 'curve_fitting.py'}"
    )
    say(text, {"folder": str(folder), "files": [str(path.relative_to(folder)) for path in copied]}, as_json=as_json)
