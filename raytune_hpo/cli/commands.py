"""The command that tunes a program: command."""

from __future__ import annotations

import json
import re
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raytune_hpo.cli.app import NO_RESULT, connect, more_about, say, says_json, seconds
from raytune_hpo.cli.study_options import json_argument, runs_a_study
from raytune_hpo.errors import SpecError

if TYPE_CHECKING:
    from raytune_hpo.commands import Command
    from raytune_hpo.results import Results

_SHELLS = ("bash", "sh", "zsh", "ksh", "dash")
_UNITS = {"": 1.0, "MB": 1.0, "GB": 1e3, "M": 1.0, "G": 1e3, "MiB": 2**20 / 1e6, "GiB": 2**30 / 1e6}


def _share(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Parse a share such as ``2%`` or ``0.02``."""
    if value is None:
        return None
    try:
        return float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        raise click.BadParameter(f"a share is like 2% or 0.02, got {value!r}") from None


def _times(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Parse a factor such as ``3x``."""
    if value is None:
        return None
    try:
        return float(value.removesuffix("x"))
    except ValueError:
        raise click.BadParameter(f"a factor is like 3x, got {value!r}") from None


def _megabytes(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Parse a size such as ``500``, ``2GB`` or ``2GiB``, in megabytes."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([A-Za-z]*)", value)
    if found is None or found[2] not in _UNITS:
        raise click.BadParameter(f"memory is in MB, or like 2GB or 2GiB, got {value!r}")
    return float(found[1]) * _UNITS[found[2]]


def _codes(ctx: click.Context, param: click.Parameter, value: str) -> list[int]:
    """Parse a list of exit codes such as ``0,1``."""
    try:
        return [int(code) for code in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"exit codes are numbers separated by commas, got {value!r}") from None


def _from_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Take options that were not given on the command line from a spec file."""
    if path is None:
        return
    if sys.version_info < (3, 11):
        raise SpecError("--file is read by Python's tomllib, which came with 3.11; give the options themselves")
    import tomllib

    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"{path} is not a TOML file: {error}") from None
    known = {option.lstrip("-"): p for p in ctx.command.params for option in (*p.opts, *p.secondary_opts)}
    known["template"] = known.pop("words")
    defaults: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            from raytune_hpo.errors import nearest

            raise SpecError(f"{path} has {name!r}, which is not an option; {nearest(name, known)}")
        target = known[name]
        bare = getattr(target, "flag_value", None)
        if isinstance(value, bool) and isinstance(bare, str):  # an option that may be given without its value: --shell
            value = bare if value else None
        is_repeated = getattr(target, "multiple", False) or target.nargs == -1
        defaults[str(target.name)] = _as_typed(value, is_repeated=is_repeated)
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _as_typed(value: Any, *, is_repeated: bool) -> Any:
    """A value of a spec file as it would be typed: a list as ``0,1``, a table as JSON.

    Args:
        is_repeated: whether the option may be given several times: then texts are listed, and tables are ``NAME=VALUE``.
    """
    if is_repeated:
        texts = [f"{key}={text}" for key, text in value.items()] if isinstance(value, Mapping) else value
        return texts if isinstance(texts, list) else [texts]
    if isinstance(value, Mapping):
        return json.dumps(value, default=str)
    return ",".join(map(str, value)) if isinstance(value, list) else value


@click.command()
@click.argument("words", metavar="TEMPLATE", nargs=-1)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_from_file,
    help="A TOML file with these options: template = ..., [param] ...",
)
@click.option("--param", "params", multiple=True, metavar="NAME=DOMAIN", help="jobs='fibonacci(1, 64)'; see above.")
@click.option(
    "--when", multiple=True, metavar="CONDITION", help="'crf: codec=x264': crf exists only where codec is x264."
)
@click.option("--metric", "metrics", multiple=True, metavar="SPEC", help="What to optimise.  [default: time]")
@click.option("--mode", metavar="MODE", help="min or max; with several metrics, one for each, separated by commas.")
@click.option("--measured", multiple=True, metavar="SPEC", help="What else to measure.")
@click.option("--constraint", "constraints", multiple=True, metavar="BOUND", help="'peak_mb <= 2000'")
@click.option("--work", type=float, help="How much work a run does, for the metric throughput.")
@click.option("--baseline", metavar="JSON", callback=lambda c, p, v: None if v is None else json_argument(v),
              help="A configuration to begin with, and to compare the best one with.")  # fmt: skip
@click.option("--prefer", metavar="PARAM=small", help="Which of the tied configurations to recommend: jobs=small,3%.")
@click.option("--shell", is_flag=False, flag_value="bash", metavar="[=bash]", help="Run the command in a shell.")
@click.option("--stdin", metavar="FILE", help="A file that the command reads.")
@click.option("--instances", multiple=True, metavar="FILES", help="Inputs: patterns, @LIST, or how many seeds.")
@click.option("--over", default="mean", show_default=True, help="How to combine inputs: mean, geomean, sum or worst.")
@click.option("--setup", metavar="COMMAND", help="Runs once for each trial.")
@click.option("--prepare", metavar="COMMAND", help="Runs before each run.")
@click.option("--cleanup", metavar="COMMAND", help="Runs after each run.")
@click.option("--check", metavar="COMMAND", help="Must succeed on the output of each run.")
@click.option("--warmup", type=int, default=0, help="Runs of each trial that are not measured.")
@click.option("--repeats", default="1..3", show_default=True, help="Runs of each trial: the fewest and the most.")
@click.option("--rel-error", metavar="SHARE", callback=_share, help="Repeat until a value is known this precisely: 2%.")
@click.option(
    "--confirm", type=click.IntRange(min=0), default=5, show_default=True, help="Runs of the best few at the end."
)
@click.option(
    "--ok-exit", default="0", callback=_codes, show_default=True, help="Exit codes that are not failures: 0,1."
)
@click.option(
    "--timeout", "timeout_s", metavar="TIME", callback=seconds, help="Time limit of a run, after which it fails."
)
@click.option(
    "--cap", metavar="FACTOR", callback=_times, help="End runs that take this many times as long as the best: 3x."
)
@click.option(
    "--memory", "memory_mb", metavar="SIZE", callback=_megabytes, help="Memory limit for all its processes: 2GB."
)
@click.option("--cpus", type=int, help="How many CPUs it may use.")
@click.option("--nice", type=int, default=0, help="Niceness: how far it yields to other processes.")
@click.option("--files", type=int, help="How many files it may have open.")
@click.option("--when-busy", default="measure", show_default=True, help="measure, wait:60s or fail.")
@click.option("--parallel", type=int, default=1, show_default=True, help="Measurements at a time on one machine.")
@click.option("--uses", multiple=True, metavar="NAME", help="What runs must not share: port:8080, file:{out}.")
@click.option("--reads-env", "reads_environment", is_flag=True, help="It takes parameters from $HPO_<name>.")
@runs_a_study(runtimes=("local", "ray"), default="local")
@says_json
@click.pass_context
def command(ctx: click.Context, /, words: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Tune a program: find the parameter values for which a command performs best.

    TEMPLATE is a command with {name} for each parameter: one text, or words after --. Domains are
    float(a, b) and int(a, b), also float(a, b, log) and int(a, b, 2) with a step of 2; choice(a, b), ordinal(a, b), bool,
    fibonacci(a, b), powers(2, a, b), cores(), or [1, 2, 4]. Metrics are time, user, system, cpu, peak_mb, exit, p50, p99,
    max, jitter, throughput, size_mb:FILE, regex:NAME=PATTERN, json:NAME=.path, NAME=A/B.

    At the end, the best few and the baseline are repeated in turn; the answer is a command line.
    """
    from raytune_hpo.commands.searching import search
    from raytune_hpo.errors import NoCompletedTrial
    from raytune_hpo.results.summary import results_text

    settings, arguments = _split(words, options, as_json=as_json)
    done: list[Results] = []
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            answer = search(**arguments, **settings, on_results=done.append)
    except NoCompletedTrial:
        if not done:
            raise
        results = done[0]
        say(results_text(results), {**results.summary(), "answer": None}, as_json=as_json)
        click.echo(f"raytune-hpo: {_why_nothing(results, arguments['command'])}", err=True)
        ctx.exit(NO_RESULT)
    results = answer.results
    text = f"{results_text(results, more=more_about(results.name))}\n\n{answer}"
    say(text, {**results.summary(), "answer": answer.record()}, as_json=as_json)


def _show_warning(message: Warning | str, *more: Any, **named: Any) -> None:
    """Show a warning as one line for users, without its place in the code."""
    click.echo(f"raytune-hpo: {message}", err=True)


def _split(words: Sequence[str], options: dict[str, Any], *, as_json: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split options into the settings of a study and the arguments of a search."""
    from raytune_hpo.commands.answering import Preference
    from raytune_hpo.commands.command import Command
    from raytune_hpo.commands.inputs import read_inputs
    from raytune_hpo.commands.parameters import as_point, parsed_space

    take = options.pop
    shell, mode, prefer = take("shell"), take("mode"), take("prefer")
    if shell is not None and shell not in _SHELLS and not words:
        words, shell = (shell,), "bash"  # `--shell 'a | b'`: the text follows the flag
    if not words:
        raise SpecError("what is to be tuned? give a command, like 'xz -{level} data' --param level='int(0, 9)'")
    space = parsed_space(take("params"), take("when"))
    if not space:
        raise SpecError("a command has parameters to tune: --param jobs='int(1, 64)'")
    baseline, instances, address = take("baseline"), take("instances"), take("address")
    arguments = {
        "space": space,
        "baseline": None if baseline is None else as_point(space, baseline),
        "repeats": take("confirm"),
        "preference": None if prefer is None else Preference.parsed(prefer),
        "inputs": read_inputs(instances) if instances else None,
        "over": take("over"),
        "progress": not (take("quiet") or as_json),
    }
    names = (
        "num_trials time_budget_s target sampler scheduler max_failures retry_failed max_concurrent runtime storage name "
        "seed resume"
    ).split()
    settings = {name: value for name in names if (value := take(name)) is not None and value is not False}
    settings.setdefault("runtime", "local")
    metrics = take("metrics")
    arguments["command"] = Command(
        words[0] if len(words) == 1 else words,
        metrics=metrics or "time",
        mode=None if mode is None else mode.split(",") if "," in mode else mode,
        shell=shell,
        **options,
    )
    if address is not None:
        connect(address)
        settings["runtime"] = "ray"
    return settings, arguments


def _why_nothing(results: Results, command: Command) -> str:
    """Why a search has no result, with a command that failed and its output where none has completed."""
    from raytune_hpo.facts import Status
    from raytune_hpo.results.summary import why_no_best

    failed = next((trial for trial in results if trial.status is Status.FAILED), None)
    if failed is None or results.num_by_status.get(Status.COMPLETED):
        return why_no_best(results)
    ran = shlex.join(command.words(failed.config))
    more = f"more of what it said: raytune-hpo show {shlex.quote(results.name)} --trial {failed.number}"
    return f"trial {failed.number} failed: {failed.reason or failed.error}\n  $ {ran}\n{more}"
