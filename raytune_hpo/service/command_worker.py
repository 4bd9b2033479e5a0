"""A worker that runs a command for each trial: ``raytune-hpo worker URL STUDY -- COMMAND {lr}``.

The command's words are split once; a value never meets a shell. It prints its result as the last line of its output: a JSON
object of metrics, or a number.
"""

from __future__ import annotations

import json
import os
import re
import signal
import string
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.errors import SpecError, StudyEnded, StudyWaiting, nearest
from raytune_hpo.service.client import TOKEN_VARIABLE, Client, RemoteStudy, RemoteTrial, ServiceError

LOOK_S = 0.2
GRACE_S = 5.0  # between asking a command to end and ending it
MAX_OUTPUT = 60_000  # characters
_OWN = ("number", "attempt", "seed")
_ENV = re.compile(r"[^A-Za-z0-9_]")


def filled(words: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The command's words with ``{name}`` replaced inside them; ``{{`` is a brace.

    Raises:
        SpecError: a name is not known, or a value cannot be an argument.
    """
    return [_filled(word, values) for word in words]


def _filled(word: str, values: Mapping[str, Any]) -> str:
    parts = []
    try:
        pieces = list(string.Formatter().parse(word))
    except ValueError as error:
        raise SpecError(f"a word of the command has {{name}}, and {{{{ for a brace, got {word!r}: {error}") from None
    for text, name, _, _ in pieces:
        parts.append(text)
        if name is None:
            continue
        if name not in values:
            raise SpecError(f"the command names {name!r}, which the trials do not have; {nearest(name, values)}")
        value = values[name]
        text = value if isinstance(value, str) else json.dumps(value)
        if "\0" in text:
            raise SpecError(f"no argument of a command holds the character NUL, {name!r} does")
        parts.append(text)
    return "".join(parts)


def work(url: str, name: str, command: Sequence[str], *, say: Callable[[str], None], worker: str | None = None) -> int:
    """Run trials of a study until it has ended; how many were run.

    Args:
        say: told what happens, a line at a time.
    """
    num_run = 0
    with RemoteStudy(Client(url), name, worker=worker) as study:
        while True:
            try:
                trial = study.ask()
            except StudyWaiting:  # which has waited
                continue
            except StudyEnded as ended:
                say(str(ended))
                return num_run
            say(f"trial {trial.number}: {_run(study, trial, command)}")
            num_run += 1


def _run(study: RemoteStudy, trial: RemoteTrial, command: Sequence[str]) -> str:
    """Run a trial and tell how it ended; that in a word or two."""
    values = {**flattened(trial.config), **{name: getattr(trial, name) for name in _OWN}}
    words = filled(command, values)
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=_environment(values),
                start_new_session=True,
            )
        except OSError as error:
            raise SpecError(f"the command {words[0]!r} cannot be run: {error}") from error
        was_stopped = _wait(process, study, trial)
        duration_s = time.monotonic() - begin
        said, complained = _end_of(out), _end_of(err)
    outcome = {"output": (said + complained)[-MAX_OUTPUT:], "duration_s": duration_s}
    try:
        if was_stopped:
            told = study.prune(trial, **outcome)
        elif process.returncode != 0:
            told = study.fail(trial, f"{complained}\nthe command ended with exit code {process.returncode}", **outcome)
        else:
            told = _told(study, trial, said, outcome)
    except ServiceError as error:
        if error.status != 409:
            raise
        return f"not recorded: {error}"
    return str(told["status"])


def _told(study: RemoteStudy, trial: RemoteTrial, said: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    line = next((line for line in reversed(said.splitlines()) if line.strip()), "")
    try:
        metrics = json.loads(line)
    except ValueError:
        metrics = None
    if isinstance(metrics, bool) or not isinstance(metrics, (dict, int, float)):
        rule = "the last line that a command prints is a JSON object of metrics, or a number"
        return study.fail(trial, f"{rule}; got {line[:200]!r}", **outcome)
    return study.tell(trial, metrics, **outcome)


def _wait(process: subprocess.Popen[Any], study: RemoteStudy, trial: RemoteTrial) -> bool:
    """Wait for a command's end; whether it was ended because a user wants the trial stopped."""
    try:
        while process.poll() is None:
            if study.is_stopping(trial):
                _end(process)
                return True
            time.sleep(LOOK_S if process.poll() is None else 0)
        return False
    except BaseException:  # Ctrl-C: the command ends with its worker
        _end(process)
        raise


def _end(process: subprocess.Popen[Any]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(GRACE_S)
            return
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue  # it has just ended, or does not listen


def _environment(values: Mapping[str, Any]) -> dict[str, str]:
    """The parameters as ``HPO_<name>``; the token is none of the command's business."""
    env = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    own = {f"HPO_{_ENV.sub('_', name)}": v if isinstance(v, str) else json.dumps(v) for name, v in values.items()}
    return {**env, **own, "HPO_TRIAL": str(values["number"])}


def _end_of(file: Any) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MAX_OUTPUT))
    return str(file.read())
