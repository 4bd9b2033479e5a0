"""Launching: runs a program once, by a launcher process, and returns the measurements."""

from __future__ import annotations

import errno
import functools
import importlib.util
import marshal
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.commands import control_groups, launcher
from raytune_hpo.errors import ObjectiveError, SpecError

GRACE_S = 5.0  # between asking a program to end and killing it
LOOK_S = 0.2  # between two calls of ``is_unwanted``
_MARK = "HPO_RUN"  # in the environment of everything that a run starts
_BOOT = (
    "import os,marshal\n"
    "def read(n):\n b=b''\n while len(b)<n:\n  c=os.read(0,n-len(b))\n  if not c:os._exit(0)\n  b+=c\n return b\n"
    "code,job=marshal.loads(read(int.from_bytes(read(8),'big')))\n"
    "space={'__name__':'launcher'}\nexec(code,space)\nspace['main'](job)"
)


@dataclass(frozen=True, kw_only=True)
class StaticLimits:
    """The resource limits of a program.

    Attributes:
        memory_mb: of all its processes together, in 10^6 bytes.
        cpus: how many CPUs it may run on.
        nice: its niceness, 0 to 19.
        files: how many files each process may have open.
    """

    memory_mb: float | None = None
    cpus: int | None = None
    nice: int = 0
    files: int | None = None

    def record(self) -> dict[str, Any]:
        """Those that are set, for the record of a trial."""
        found = {"memory_mb": self.memory_mb, "cpus": self.cpus, "nice": self.nice or None, "files": self.files}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to be launched.

    Attributes:
        argv: the program and its arguments; the program is looked up in the PATH of ``env``.
        stdin: a file that it reads; /dev/null without.
        timeout_s: the time after which it is ended.
        reports: a named pipe from which reports are read, a line each.
        samples_memory: whether to sample the memory of all its processes.
        stdout_file: a file for its whole output.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: str | None = None
    stdin: str | None = None
    timeout_s: float | None = None
    limits: StaticLimits = field(default_factory=StaticLimits)
    reports: str | None = None
    samples_memory: bool = False
    stdout_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The measurements of one run of a program.

    Attributes:
        exit_code: None if a signal ended it; ``signal`` is the signal's name.
        cause: why it was ended early: "timeout", "memory", "stopped", or "" if it ended by itself.
        wall_s: seconds from ``exec`` to its end.
        user_s, system_s: CPU seconds of it and of all its descendants that have ended.
        peak_mb: peak memory in 10^6 bytes. ``peak_by`` says how it was measured: "cgroup": all its processes together;
            "sampled": the same, sampled every 50 ms; "wait4": the largest process.
        stdout, stderr: their beginnings and ends.
        num_left: processes that it left running, and that were ended.
    """

    exit_code: int | None
    signal: str | None = None
    cause: str = ""
    wall_s: float
    user_s: float
    system_s: float
    peak_mb: float
    peak_by: str
    stdout: str = ""
    stderr: str = ""
    num_left: int = 0


def found_program(program: str, env: Mapping[str, str], cwd: str | None = None) -> str:
    """The path of a program.

    Raises:
        SpecError: there is no executable of this name; the message has the places that were searched.
    """
    search = env.get("PATH", os.defpath)
    place = os.path.join(cwd or os.getcwd(), program) if os.path.dirname(program) else program
    found = shutil.which(place, path=search)
    if found is not None:
        return os.path.abspath(found)
    if os.path.dirname(program):
        why = "is not executable; chmod +x it" if os.path.isfile(place) else "does not exist"
        raise SpecError(f"the program {program!r} {why}")
    raise SpecError(f"there is no program {program!r} in $PATH ({search}); install it, or give its path")


def run_program(
    job: Job,
    *,
    on_report: Callable[[str], object] | None = None,
    is_unwanted: Callable[[], bool] | None = None,
) -> Ran:
    """Run a program to its end.

    Any exception meanwhile, also one of ``on_report``, ends the program and everything that it has started.

    Args:
        on_report: called with each line of the program's reports, the last one with or without its end.
        is_unwanted: called every ``LOOK_S`` seconds; the run is ended once it returns True.

    Raises:
        SpecError: the program cannot be found or started.
        ObjectiveError: the launcher was killed, or a line of the reports is too long.
    """
    launch = _Launch(job)
    try:
        launch.begin()
        ran = launch.wait(on_report, is_unwanted)
    except BaseException:
        launch.end()
        raise
    finally:
        launch.close()
    return ran


def end_all() -> None:
    """End every program that this process runs, for trials whose threads are no longer waited for."""
    for launch in list(_under_way):
        launch.stop()


_under_way: set[_Launch] = set()


class _Launch:
    """A launcher process and the pipes to it.

    Raises:
        SpecError: the program cannot be found.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._path = job, found_program(job.argv[0], job.env, job.cwd)
        self._mark = uuid.uuid4().hex
        self._cgroup: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._has_its_job = False  # until then it starts nothing, and ends with its control pipe
        self._sending = threading.Lock()
        self._buffer = b""

    def begin(self) -> None:
        """Start the launcher, and send it its job."""
        limits = self._job.limits
        self._cgroup = control_groups.made(self._mark, limits.memory_mb, limits.cpus)
        message = marshal.dumps((_code(), self._message()))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._control, self._answers = self._process.stdin, self._process.stdout
        _under_way.add(self)
        self._send(len(message).to_bytes(8, "big") + message)
        self._has_its_job = True

    def _message(self) -> dict[str, Any]:
        job = self._job
        max_bytes = None if job.limits.memory_mb is None else int(job.limits.memory_mb * 1e6)
        rlimits: dict[str, tuple[int, int]] = {"RLIMIT_CORE": (0, 0)}
        if max_bytes is not None and self._cgroup is None:
            rlimits["RLIMIT_DATA"] = (max_bytes, max_bytes)
        if job.limits.files is not None:
            rlimits["RLIMIT_NOFILE"] = (job.limits.files, job.limits.files)
        env = {**job.env, _MARK: self._mark}
        return {
            "path": self._path,
            "argv": [os.fsencode(word) for word in job.argv],
            "env": {os.fsencode(name): os.fsencode(value) for name, value in env.items()},
            "cwd": job.cwd,
            "stdin": job.stdin,
            "stdout_file": job.stdout_file,
            "timeout_s": job.timeout_s,
            "grace_s": GRACE_S,
            "rlimits": rlimits,
            "cpus": [] if job.limits.cpus is None else own_cpus()[: job.limits.cpus],
            "nice": job.limits.nice,
            "cgroup": self._cgroup,
            "reports": job.reports,
            "max_bytes": max_bytes,
            "sample_s": launcher.SAMPLE_S if job.samples_memory or max_bytes is not None else 0.0,
        }

    def wait(self, on_report: Callable[[str], object] | None, is_unwanted: Callable[[], bool] | None) -> Ran:
        """Wait for the end, and pass on the program's reports until then."""
        while True:
            while is_unwanted is not None and not self._holds_a_frame():
                if select.select([self._answers], [], [], LOOK_S)[0]:
                    break
                if is_unwanted():
                    self.stop()
                    is_unwanted = None
            frame = self._frame()
            if frame is None:
                self._sweep()
                raise ObjectiveError("the launcher of the program was killed, and the program with it")
            kind, content = frame
            if kind == "report" and on_report is not None:
                on_report(content.decode("utf-8", "replace"))
            elif kind == "long report" and on_report is not None:
                raise ObjectiveError(
                    f"a report is a line of at most {launcher.MAX_LINE:,} bytes, got a longer one, which begins with "
                    f"{content.decode('utf-8', 'replace')!r}; write what is large to a file"
                )
            elif kind == "refused":
                why = _why_refused(self._path, self._job.cwd, *content)
                raise SpecError(f"the program {self._path!r} could not be started: {why}")
            elif kind == "ended":
                return _ran(content)

    def _holds_a_frame(self) -> bool:
        return len(self._buffer) >= 4 + int.from_bytes(self._buffer[:4], "big") > 4

    def _frame(self) -> tuple[str, Any] | None:
        """The next frame; None if the launcher is gone."""
        size = self._read(4)
        data = None if size is None else self._read(int.from_bytes(size, "big"))
        return None if data is None else marshal.loads(data)

    def _read(self, num: int) -> bytes | None:
        while len(self._buffer) < num:
            data = os.read(self._answers.fileno(), 65_536)
            if not data:
                return None
            self._buffer += data
        data, self._buffer = self._buffer[:num], self._buffer[num:]
        return data

    def _send(self, data: bytes) -> None:
        """Write to the launcher. If it is gone, the end of its answers says so."""
        # Two threads may send at once. And once the pipe is closed, its number may be that of another file.
        with self._sending:
            try:
                while data and not self._control.closed:
                    data = data[os.write(self._control.fileno(), data) :]
            except OSError:
                return

    def stop(self) -> None:
        """Ask the launcher to end the program, first with SIGTERM."""
        self._send(launcher.STOP)

    def end(self) -> None:
        """End the program, and wait until it has."""
        if not self._has_its_job:
            return
        self.stop()
        while (frame := self._frame()) is not None and frame[0] not in ("ended", "refused"):
            continue  # drop the remaining reports

    def close(self) -> None:
        _under_way.discard(self)
        if self._process is not None:
            with self._sending:
                self._control.close()
            self._answers.close()
            self._process.wait()
        control_groups.remove(self._cgroup)

    def _sweep(self) -> None:
        """Kill orphans of a launcher that was killed; the mark in their environment identifies them."""
        mark = f"{_MARK}={self._mark}".encode()
        for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
            try:
                with open(f"/proc/{int(name)}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        os.kill(int(name), signal.SIGKILL)
            except (OSError, ValueError):
                continue  # no process, not ours, or one that has ended meanwhile


@functools.cache
def _code() -> Any:
    """The launcher as compiled code: if the package was sent to this machine, there may be no file to run."""
    loader = importlib.util.find_spec(launcher.__name__).loader  # type: ignore[union-attr]
    return loader.get_code(launcher.__name__)  # type: ignore[union-attr]


def _why_refused(path: str, cwd: str | None, number: int, text: str) -> str:
    """Why the kernel has refused to start a program. For a missing interpreter it says that there is no such file."""
    if number == errno.ENOEXEC:
        return f"{text}; a script begins with a line such as #!/bin/sh, others are made for this kind of machine"
    if cwd is not None and not os.path.isdir(cwd):
        return f"its working directory {cwd!r} is not there"
    try:
        with open(path, "rb") as file:
            first = os.fsdecode(file.readline(4096)).rstrip("\n")
    except OSError:
        return text  # it may be executed, but not read
    interpreter = first.removeprefix("#!").strip(" \t").partition(" ")[0].partition("\t")[0]
    if first.startswith("#!") and shutil.which(interpreter) is None:
        return f"its first line {first!r} names the interpreter {interpreter!r}, which is not there or not executable"
    return text


def _ran(content: Mapping[str, Any]) -> Ran:
    status = content["status"]
    code = os.waitstatus_to_exitcode(status)
    return Ran(
        exit_code=code if code >= 0 else None,
        signal=None if code >= 0 else signal.Signals(-code).name,
        cause=content["cause"],
        wall_s=content["wall_s"],
        user_s=content["user_s"],
        system_s=content["system_s"],
        peak_mb=content["peak_bytes"] / 1e6,
        peak_by=content["peak_by"],
        stdout=content["stdout"].decode("utf-8", "replace"),
        stderr=content["stderr"].decode("utf-8", "replace"),
        num_left=content["num_left"],
    )


def own_cpus() -> list[int]:
    """The CPUs that this process may run on; empty if the system does not say (macOS)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
