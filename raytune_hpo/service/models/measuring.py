"""Measuring: a process that imports and loads everything once, then runs each trial in a fork, within limits.

A trial can harm neither the service nor the next trial: a fork that grows too large or is killed is one failed trial.
Messages are lines of JSON. The process reads the task, trials and verdicts, and writes reports and ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import io
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from raytune_hpo.core.messages import Answer, Assignment, EndTrial, Parameter
from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.metrics import MetricRules
from raytune_hpo.runtime.output import routed
from raytune_hpo.runtime.plan import rules_of
from raytune_hpo.runtime.trial_run import Objective, TrialRun, timed_out
from raytune_hpo.runtime.wire import pack_ended, unpack_ended
from raytune_hpo.service.models import installed
from raytune_hpo.service.models.objective import model_of
from raytune_hpo.service.models.training import Training
from raytune_hpo.space import Space
from raytune_hpo.spec import StudySpec

MAX_LINE = 4 << 20  # bytes
_PR_SET_PDEATHSIG = 1  # of prctl(2)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
Report = Callable[[int, Mapping[str, Any]], Awaitable[Answer]]


class NotReady(HpoError):
    """The process failed to load what the study needs, so it can run none of its trials."""


class _TooLong(Exception):
    """A message of the process is too long."""


# ------------------------------------------------------------------------------------------------ in the service


class Measurer:
    """The process that runs the trials of one study: started for the first trial, and again whenever it was lost.

    Args:
        task: the first message to ``main``: the study's spec, and the paths of what it needs.
        timeout_s, memory_bytes: the limits of one trial.
    """

    def __init__(self, task: Mapping[str, Any], *, timeout_s: float, memory_bytes: int) -> None:
        self._task, self._timeout_s, self._memory_bytes = task, timeout_s, memory_bytes
        self._process: asyncio.subprocess.Process | None = None

    async def measure(self, trial: Assignment, report: Report) -> EndTrial:
        """Run a trial, and return how it ended.

        Raises:
            NotReady: no trial of this study can run here.
        """
        if self._process is None:
            self._process = await self._begin()
        started_at = time.time()
        try:
            return await asyncio.wait_for(self._followed(self._process, trial, report), self._timeout_s)
        except asyncio.TimeoutError:
            await self.close()
            return timed_out(trial.number, trial.attempt, self._timeout_s, started_at)
        except (ConnectionError, EOFError):
            await self.close()
            return _lost(trial, "the process that measures was lost")
        except _TooLong:
            await self.close()
            return _lost(
                trial, f"its metrics are more than a message may hold, {MAX_LINE >> 20} MiB; write them to a file"
            )

    async def close(self) -> None:
        """End the process, and the trial that runs in it."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _begin(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "raytune_hpo.service.models.measuring",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=MAX_LINE,
            start_new_session=True,
            env={**os.environ, **ONE_THREAD},
        )
        self._process = process
        try:
            answer = await _exchanged(process, self._task)
        except (ConnectionError, EOFError):
            answer = {"error": "the process that measures was lost before it was ready"}
        if "error" in answer:
            await self.close()
            raise NotReady(str(answer["error"]))
        return process

    async def _followed(self, process: asyncio.subprocess.Process, trial: Assignment, report: Report) -> EndTrial:
        """Wait for a trial's end; meanwhile, pass on its reports and send it the answers."""
        said: Mapping[str, Any] = {
            "number": trial.number,
            "attempt": trial.attempt,
            "config": trial.config,
            "next_step": trial.next_step,
            "memory_bytes": self._memory_bytes,
        }
        while True:
            heard = await _exchanged(process, said)
            if "report" in heard:
                step, metrics = heard["report"]
                answer = await report(step, metrics)
                said = {"verdict": answer.verdict.value, "next_step": answer.next_step}
            elif "lost" in heard:
                return _lost(trial, heard["lost"])
            else:
                (ended,) = unpack_ended([heard["ended"]])
                return ended


async def _exchanged(process: asyncio.subprocess.Process, said: Mapping[str, Any]) -> dict[str, Any]:
    """Send a message, and return the answer.

    Raises:
        EOFError, ConnectionError: the process is gone.
        _TooLong: its answer is longer than ``MAX_LINE``.
    """
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(said).encode() + b"\n")
    await process.stdin.drain()
    try:
        line = await process.stdout.readline()
    except ValueError as error:
        raise _TooLong from error
    if not line:
        raise EOFError
    heard: dict[str, Any] = json.loads(line)
    return heard


def _lost(trial: Assignment, reason: str) -> EndTrial:
    return EndTrial(
        number=trial.number, attempt=trial.attempt, status=Status.FAILED, at=0.0, error=reason, reason=reason
    )


# ------------------------------------------------------------------------------------------------ in the process


class _Pipes:
    """Lines in and out. Unbuffered, so that a fork reads on where its parent stopped."""

    def __init__(self) -> None:
        self._in = io.FileIO(0, closefd=False)
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)  # so that prints of other code do not mix with messages

    def hear(self) -> dict[str, Any] | None:
        line = self._in.readline()
        return json.loads(line) if line else None

    def say(self, message: Mapping[str, Any]) -> None:
        self._out.write(json.dumps(message) + "\n")


class _Reporter:
    """Sends a trial's reports, and waits for each answer. Checkpoints and growing spaces are not supported here."""

    is_last_call = False

    def __init__(self, pipes: _Pipes, next_step: int | None) -> None:
        self._pipes, self.next_step = pipes, next_step

    def report(self, step: int, metrics: Mapping[str, Any], saves: bool) -> Verdict:
        self._pipes.say({"report": [step, metrics]})
        answer = self._pipes.hear()
        if answer is None:  # the service is gone; its next process starts the trial anew
            os._exit(1)
        self.next_step = answer["next_step"]
        return Verdict(answer["verdict"])

    def draw(self, name: str, domain: Mapping[str, Any]) -> Parameter:
        return Parameter(is_held=False)

    def keep(self, step: int, checkpoint: Mapping[str, Any]) -> None:
        pass

    def offer(self, metrics: Mapping[str, Any]) -> bool:
        return False

    def hold(self) -> bool:
        return True


def main() -> None:
    """Load what the task needs, then run trials until standard input ends."""
    end_with_parent()
    pipes = _Pipes()
    task = pipes.hear() or {}
    try:
        spec = StudySpec.from_json(task["spec"])
        objective, space = _objective(spec, task)
    except Exception as error:
        pipes.say({"error": f"its trials cannot run: {type(error).__name__}: {error}"})
        return
    rules = rules_of(spec)
    pipes.say({"ready": True})
    while (trial := pipes.hear()) is not None:
        pid = os.fork()
        if pid == 0:
            trial["config"] = space.unpack(trial["config"])
            _run(pipes, trial, objective, rules)
        _, status = os.waitpid(pid, 0)
        if (code := os.waitstatus_to_exitcode(status)) != 0:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            pipes.say({"lost": f"the trial's process ended with {how}; it may have needed more memory than there is"})


def _objective(spec: StudySpec, task: Mapping[str, Any]) -> tuple[Objective, Space]:
    """The objective to call, and the space whose configurations it is called with, as its author wrote it."""
    model = model_of(spec)
    if model is not None:
        return Training(model, None if task["table"] is None else Path(task["table"])), spec.space
    name = installed.stored_name(spec.settings)
    assert name is not None
    found = installed.load(name, None if task["folder"] is None else Path(task["folder"]))
    return found.objective, found.space


def _run(pipes: _Pipes, trial: Mapping[str, Any], objective: Objective, rules: MetricRules) -> None:
    """Run a trial in the fork, and end the fork."""
    code = 1
    try:
        end_with_parent()
        _limit_memory(trial["memory_bytes"])
        assignment = Assignment(number=trial["number"], attempt=trial["attempt"], config=trial["config"])
        with routed():
            end = TrialRun(assignment, objective, rules, _Reporter(pipes, trial["next_step"]))()
        pipes.say({"ended": pack_ended([end])[0]})
        code = 0
    finally:
        os._exit(code)


def end_with_parent() -> None:
    """Have the kernel end this process when its parent dies (Linux); elsewhere it ends at its next report."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory(more: int) -> None:
    """Limit the fork's memory to ``more`` bytes above what it has, where the system reports that."""
    status = Path("/proc/self/status")
    if not status.exists():
        return
    words = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    limit = int(words["VmData"].split()[0]) * 1_024 + more
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))


if __name__ == "__main__":
    main()
