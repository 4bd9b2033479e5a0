"""A worker that runs a command for each trial: ``raytune-hpo worker URL STUDY -- COMMAND {lr}``.

The command prints its result as the last line of its output: a JSON object of metrics, or a number.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_hpo.commands.command_values import environment, names_of, values_of
from raytune_hpo.commands.launching import Job, Ran, run_program
from raytune_hpo.commands.outcome import json_in
from raytune_hpo.commands.template import Template
from raytune_hpo.display.text import cut, visible
from raytune_hpo.errors import ObjectiveError, StudyEnded, StudyWaiting
from raytune_hpo.service.client import TOKEN_VARIABLE, Client, RemoteStudy, RemoteTrial, ServiceError

_OWN = ("number", "attempt", "seed")
_SHOWN = 200  # characters of why a trial has failed


def work(url: str, name: str, command: Sequence[str], *, say: Callable[[str], None], worker: str | None = None) -> int:
    """Run trials of a study until it has ended, and return how many were run.

    Once it has been given a trial, it waits for a service that is away, and says so.

    Args:
        say: called with each line of progress.

    Raises:
        SpecError: the command names what the trials do not have, or cannot be run.
    """
    template, num_run = Template(command), 0
    with RemoteStudy(Client(url), name, worker=worker, say=say) as study:
        while True:
            try:
                trial = study.ask()
            except StudyWaiting:  # no pause needed: ask has waited
                continue
            except StudyEnded as ended:
                say(str(ended))
                return num_run
            say(f"trial {trial.number}: {_run(study, trial, template)}")
            num_run += 1


def _run(study: RemoteStudy, trial: RemoteTrial, template: Template) -> str:
    """Run a trial, tell its result, and return how it ended, in words."""
    values = {**values_of(trial.config), **{name: getattr(trial, name) for name in _OWN}}
    if not template.names <= values.keys():  # it has a place for a parameter that is not active in this trial
        template.check(frozenset(values).union(*names_of(study.space).values()))
    begin = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="raytune-hpo-") as folder:
            env = _environment(values, trial, Path(folder))
            job = Job(argv=template.filled(values), env=env)
            ran = run_program(job, is_unwanted=lambda: study.is_stopping(trial))
    except ObjectiveError as error:  # a value that cannot be a command-line argument
        why = str(error)
        return _recorded(lambda: study.fail(trial, why))
    outcome = {"output": ran.stdout + ran.stderr, "duration_s": time.monotonic() - begin}
    return _recorded(lambda: _told(study, trial, ran, outcome))


def _recorded(tell: Callable[[], dict[str, Any]]) -> str:
    try:
        trial = tell()
    except ServiceError as error:
        if error.status != 409:
            raise
        return f"not recorded: {error}"
    why = f": {visible(cut(trial['reason'], _SHOWN))}" if trial["reason"] else ""
    return f"{trial['status']}{why}"


def _told(study: RemoteStudy, trial: RemoteTrial, ran: Ran, outcome: Mapping[str, Any]) -> dict[str, Any]:
    if ran.cause == "stopped":
        return study.prune(trial, **outcome)
    if ran.exit_code != 0:
        how = f"was ended by {ran.signal}" if ran.signal else f"ended with exit code {ran.exit_code}"
        return study.fail(trial, f"{ran.stderr}\nthe command {how}", **outcome)
    rule = "the last line that a command prints is a JSON object of metrics, or a number"
    line = next((line for line in reversed(ran.stdout.splitlines()) if line.strip()), "")
    try:
        metrics = json_in("result", line)
    except ObjectiveError:
        metrics = None
    if isinstance(metrics, bool) or not isinstance(metrics, (dict, int, float)):
        return study.fail(trial, f"{rule}; got {line[:200]!r}", **outcome)
    return study.tell(trial, metrics, **outcome)


def _environment(values: Mapping[str, Any], trial: RemoteTrial, folder: Path) -> dict[str, str]:
    """The environment of the command: parameters as ``HPO_<name>``, and no token."""
    base = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    return {**environment(values, trial.config, folder, base), "HPO_TRIAL": str(trial.number)}
