"""Commands that list installed parts: samplers, schedulers."""

from __future__ import annotations

import inspect

import click

from raytune_hpo.cli.app import say, says_json
from raytune_hpo.errors import SpecError


@click.command()
@says_json
def samplers(as_json: bool) -> None:
    """List the installed samplers, with one line each."""
    _list("sampler", as_json=as_json)


@click.command()
@says_json
def schedulers(as_json: bool) -> None:
    """List the installed schedulers, with one line each."""
    _list("scheduler", as_json=as_json)


def _list(role: str, *, as_json: bool) -> None:
    from raytune_hpo import registry

    rows = []
    for name, source in sorted(registry.installed(role).items()):
        try:
            about = (inspect.getdoc(registry.load(role, name)) or "no description").splitlines()[0]
        except SpecError as error:  # another package's part that is broken must not hide the others
            about = str(error)
        rows.append({"name": name, "about": about, "source": source})
    lines = [f"{row['name']:<{max(len(r['name']) for r in rows)}}  {row['about']}" for row in rows]
    say("\n".join(lines), rows, as_json=as_json)
