"""Commands of the service: serve, token, worker."""

from __future__ import annotations

from pathlib import Path

import click

from raytune_hpo.cli.app import say, says_json, seconds
from raytune_hpo.errors import SpecError

_TOKENS = click.option(
    "--tokens",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where tokens are kept. [default: $RAYTUNE_HPO_TOKENS or ~/.raytune_hpo/tokens.json]",
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8270, show_default=True, help="0: any free port.")
@click.option("--storage", metavar="URL", help="Where studies are kept.")
@click.option("--address", metavar="RAY", help="The Ray cluster on which it controls running studies.")
@click.option(
    "--allowed-host", "allowed_hosts", multiple=True, metavar="NAME", help="A host name by which it is reached."
)
@click.option("--root-path", default="", metavar="PATH", help="The path prefix that a proxy removes.")
@click.option("--https", "is_secure", is_flag=True, help="It is reached over https, through a proxy.")
@click.option(
    "--memory",
    "memory_gib",
    type=float,
    default=1.0,
    show_default=True,
    help="GiB of memory for the studies that it reads.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where uploaded tables are kept. [default: tables, beside the tokens]",
)
@click.option(
    "--objectives",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="A folder of Python files with an objective and a space, as for `run`; a study may name one of them.",
)
@_TOKENS
@says_json
def serve(
    host: str,
    port: int,
    storage: str | None,
    address: str | None,
    allowed_hosts: tuple[str, ...],
    root_path: str,
    is_secure: bool,
    memory_gib: float,
    data: Path | None,
    objectives: Path | None,
    tokens: Path | None,
    as_json: bool,
) -> None:
    """Serve studies over HTTP.

    Prints a log-in link, which works once within ten minutes. The API is below /v1; workers connect over HTTP.
    """
    try:
        from raytune_hpo.service.serving import ServeSettings, serve_forever
    except ModuleNotFoundError as error:
        raise SpecError(f"serving needs the extra: pip install 'raytune_hpo[serve]' ({error})") from error
    settings = ServeSettings(
        host=host,
        port=port,
        storage=storage,
        address=address,
        allowed_hosts=allowed_hosts,
        root_path=root_path,
        is_secure=is_secure,
        tokens=tokens,
        data=data,
        objectives=None if objectives is None else objectives.absolute(),
        memory_bytes=memory_gib * 2**30,
    )
    serve_forever(settings, lambda link: say(link, {"url": link}, as_json=as_json))


@click.group()
def token() -> None:
    """Create, list and revoke tokens of the service, even while it runs."""


@token.command("create")
@click.option(
    "--role",
    type=click.Choice(["viewer", "worker", "editor", "admin"]),
    required=True,
    help="What it allows; each role includes those before it.",
)
@click.option("--study", metavar="NAME", help="Only for this study.")
@click.option(
    "--expires", "expires_in_s", metavar="TIME", callback=seconds, help="After 90, 10m, 7d ... [default: never]"
)
@click.option("--label", default="", help="What it is for.")
@_TOKENS
@says_json
def create_token(
    role: str, study: str | None, expires_in_s: float | None, label: str, tokens: Path | None, as_json: bool
) -> None:
    """Create a token. It is shown once: only a digest is stored."""
    from raytune_hpo.service.tokens import TokenStore

    secret, made = TokenStore(tokens).create(role, study=study, expires_in_s=expires_in_s, label=label)
    say(secret, {"token": secret, "id": made.id, "role": made.role}, as_json=as_json)


@token.command("list")
@_TOKENS
@says_json
def list_tokens(tokens: Path | None, as_json: bool) -> None:
    """List the tokens, without their secrets."""
    from raytune_hpo.display.text import table
    from raytune_hpo.service.tokens import TokenStore

    records = [made.record() for made in TokenStore(tokens).list()]
    rows = [[r["id"], r["role"], r["study"] or "all", r["label"]] for r in records]
    say(table(["id", "role", "study", "label"], rows, indent="") if rows else "no tokens", records, as_json=as_json)


@token.command("revoke")
@click.argument("key", metavar="ID")
@_TOKENS
@says_json
def revoke_token(key: str, tokens: Path | None, as_json: bool) -> None:
    """Revoke a token."""
    from raytune_hpo.service.tokens import TokenStore

    if not TokenStore(tokens).revoke(key):
        raise SpecError(f"there is no token {key!r}; see raytune-hpo token list")
    say(f"revoked {key}", {"revoked": key}, as_json=as_json)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("url")
@click.argument("study")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--name",
    "worker",
    metavar="NAME",
    help="This worker's name. Each worker needs its own: two of one name get the same trials. [default: a new one]",
)
@says_json
def worker(url: str, study: str, command: tuple[str, ...], worker: str | None, as_json: bool) -> None:
    """Run a command for each trial of a study, as a worker over HTTP.

    URL is the service's address; RAYTUNE_HPO_TOKEN holds its token. {name} in the words after -- is replaced by the
    parameter's value. The last line that the command prints is its result: a JSON object of metrics, or a number.
    """
    from raytune_hpo.service.command_worker import work

    num_run = work(url, study, command, say=lambda line: click.echo(line, err=True), worker=worker)
    say(f"{num_run} trials of {study} were run here", {"study": study, "run": num_run}, as_json=as_json)
