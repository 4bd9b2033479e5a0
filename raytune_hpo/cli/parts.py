"""What is installed: samplers, schedulers."""

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

    rows = [
        {"name": name, "about": _about(role, name), "source": source}
        for name, source in sorted(registry.installed(role).items())
    ]
    lines = [f"{row['name']:<{max(len(r['name']) for r in rows)}}  {row['about']}" for row in rows]
    say("\n".join(lines), rows, as_json=as_json)


def _about(role: str, name: str) -> str:
    """The first line of the part's docstring; a stranger's broken part says so instead of hiding the others."""
    from raytune_hpo import registry

    try:
        text = inspect.getdoc(registry.load(role, name)) or "no description"
    except SpecError as error:
        return str(error)
    return text.splitlines()[0]
