"""Launcher: a small separate process that starts one program, watches it, ends it and measures it.

It must be small, because the kernel's peak memory of a child starts at that of the process from which it was forked: a
program of 8 MB started from a Python of 400 MB has "used" 400. So this file imports only a little of the standard library;
``launching`` sends it as compiled code to ``python -I -S``.

File descriptor 0 is the control pipe: a job comes first, later single bytes that ask to end the program; when it closes, the
caller is gone, so the program is ended too. File descriptor 1 carries the answers, as frames. The launcher is the sub-reaper
of everything that the program starts: processes that leave its group or session are found all the same, and signals go only
to processes that have not been reaped, so that no process id can have been reused meanwhile.
"""

from __future__ import annotations

import errno
import marshal
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False  # as type checkers take it; importing typing would cost each run some milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

STOP = b"s"  # on the control pipe: end the program, first with SIGTERM
HEAD_BYTES = TAIL_BYTES = 65_536  # of each stream that are kept
LEFTOVER_GRACE_S = 1.0  # for processes that a program has left running when it ends by itself
SAMPLE_S = 0.05  # between two samples of the memory of the process tree
MAX_LINE = 65_536  # bytes of a report
MAX_FILE = 2**30  # bytes of a stream that are written to a file for the hook ``check``
_CHUNK = 65_536
_SUBREAPER, _PARENT_DEATH_SIGNAL = 36, 1  # of prctl
_LIBC: Any = None


def main(job: dict[str, Any]) -> None:
    """Run a job (see ``launching.Job``) and answer with frames."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller handles Ctrl-C, and then ends the program
    launch = _Launch(job)
    try:
        launch.run()
    finally:
        launch.kill_all()  # processes are left only after an error here


def send(kind: str, content: Any) -> None:
    """Send a frame: its length in four bytes, and the pair in ``marshal``'s format; both ends are the same Python."""
    data = marshal.dumps((kind, content))
    data = len(data).to_bytes(4, "big") + data
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        return  # the caller is gone, which the control pipe shows as well


class _Kept:
    """Keeps the first and the last bytes of a stream; all of it also goes to a file, if there is one."""

    def __init__(self, path: str | None) -> None:
        self.head = bytearray()
        self.tail = bytearray()
        self.num_bytes = 0
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def add(self, data: bytes) -> None:
        if self._file is not None and self.num_bytes + len(data) <= MAX_FILE:
            os.write(self._file, data)
        self.num_bytes += len(data)
        room = HEAD_BYTES - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        if data:
            self.tail += data
            if len(self.tail) > 2 * TAIL_BYTES:  # cut rarely, since each cut copies
                del self.tail[:-TAIL_BYTES]

    def content(self) -> bytes:
        tail = bytes(self.tail[-TAIL_BYTES:])
        left_out = self.num_bytes - len(self.head) - len(tail)
        gap = f"\n... {left_out} bytes left out ...\n".encode() if left_out else b""
        return bytes(self.head) + gap + tail


class _Launch:
    """One run, as an event loop."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._pid = 0
        self._status: int | None = None  # of the program, as wait4 has it
        self._began = self._ended = 0.0
        self._usage = {"user_s": 0.0, "system_s": 0.0, "max_rss": 0}
        self._cause = ""  # why it was ended
        self._kill_at = float("inf")  # when politeness ends
        self._peak_sampled = 0
        self._sample_at = float("inf")
        self._streams: dict[int, _Kept] = {}
        self._report_fd: int | None = None
        self._report_tail = b""
        self._poller = select.poll()
        self._wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if hasattr(os, "pipe2") else _nonblocking_pipe()
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only so that it wakes the poll below
        signal.signal(signal.SIGTERM, lambda *_: self._end("stopped"))
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._is_reaper = become_subreaper()

    def run(self) -> None:
        try:
            self._spawn()
        except OSError as error:
            send("refused", (error.errno, error.strerror))
            return
        for fd in (0, self._wake, *self._streams):
            self._poller.register(fd, select.POLLIN)
        if self._report_fd is not None:
            self._poller.register(self._report_fd, select.POLLIN)
        while self._status is None:
            self._look(min(self._deadline(), self._kill_at, self._sample_at))
            self._mind()
        left = self._end_the_rest()
        self._drain()
        out, err = (kept.content() for kept in self._streams.values())
        send("ended", {**self._measured(), "stdout": out, "stderr": err, "num_left": 0 if self._cause else left})

    def kill_all(self) -> None:
        """Kill every process below this one."""
        while pids := children_of_ours():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)  # it is ours and not reaped, so its process id is not reused
            os.waitpid(pids[0], 0)

    # -------------------------------------------------------------------------------------------- the program

    def _spawn(self) -> None:
        """Start the program; the child itself takes the start time, right before ``exec``.

        Raises:
            OSError: it could not be started.
        """
        job = self._job
        if job["reports"]:
            self._report_fd = os.open(job["reports"], os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        stdin = os.open(job["stdin"] or os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        pipes = [os.pipe(), os.pipe()]
        told, tell = os.pipe()
        self._began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._become(stdin, pipes[0][1], pipes[1][1], tell)
        for fd in (stdin, pipes[0][1], pipes[1][1], tell):
            os.close(fd)
        words = b""
        while data := os.read(told, 64):  # until exec closes the pipe
            words += data
        os.close(told)
        began, failed, number = words.partition(b"!")
        if failed or not began:
            os.waitpid(pid, 0)
            raise OSError(int(number or errno.EIO), os.strerror(int(number or errno.EIO)))
        self._pid, self._began = pid, float(began)
        if job["sample_s"]:
            self._sample_at = self._began
        for (fd, _), path in zip(pipes, (job["stdout_file"], None), strict=True):
            os.set_blocking(fd, False)
            self._streams[fd] = _Kept(path)

    def _become(self, stdin: int, out: int, err: int, tell: int) -> None:
        """Run ``exec`` in the child. Errors are sent through the pipe, as numbers."""
        job = self._job
        try:
            os.setsid()
            prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)  # Python ignores some signals, which programs do not expect
            for name, (soft, hard) in job["rlimits"].items():
                resource.setrlimit(getattr(resource, name), (soft, hard))
            if job["cpus"]:
                os.sched_setaffinity(0, job["cpus"])
            if job["nice"]:
                os.nice(job["nice"])
            if job["cgroup"]:
                with open(f"{job['cgroup']}/cgroup.procs", "w") as procs:
                    procs.write("0")
            if job["cwd"]:
                os.chdir(job["cwd"])
            for fd, target in ((stdin, 0), (out, 1), (err, 2)):
                os.dup2(fd, target)
            os.write(tell, repr(time.monotonic()).encode())
            os.execve(job["path"], job["argv"], job["env"])
        except OSError as error:
            os.write(tell, b"!%d" % (error.errno or errno.EIO))
        os._exit(127)

    # -------------------------------------------------------------------------------------------- events

    def _deadline(self) -> float:
        limit = self._job["timeout_s"]
        return float("inf") if limit is None or self._cause else self._began + limit

    def _look(self, until: float) -> None:
        """Wait for events and handle them; the program's end first, since its time is measured."""
        wait_ms = None if until == float("inf") else max(0.0, (until - time.monotonic()) * 1000)
        happened = dict(self._poller.poll(wait_ms))
        if self._wake in happened:
            self._reap()
            os.read(self._wake, 512)
            self._reap()  # again, for processes that ended before the wake-up was read
        for fd in happened:
            if fd in self._streams:
                self._read(fd)
            elif fd == self._report_fd:
                self._read_reports()
            elif fd == 0:
                if os.read(0, 64) == b"":
                    self._poller.unregister(0)
                    self._end("gone")
                else:
                    self._end("stopped")

    def _mind(self) -> None:
        """Enforce limits that are due, unless the program has ended."""
        now = time.monotonic()
        if self._status is not None:
            return
        if now >= self._deadline():
            self._end("timeout")
        if now >= self._kill_at:
            self._kill_at = now + SAMPLE_S  # repeatedly, since new processes may have been forked meanwhile
            self._signal(signal.SIGKILL)
        if now >= self._sample_at:
            self._sample()
            self._sample_at = time.monotonic() + self._job["sample_s"]

    def _end(self, cause: str) -> None:
        """Ask the program to end; it is killed after its grace period."""
        if not self._cause:
            self._cause = cause
            self._kill_at = time.monotonic() + self._job["grace_s"]
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        """Signal the program's group, and every process outside it whose parent we are by now: each once, as a second signal
        would interrupt its handling of the first.
        """
        if number == signal.SIGKILL and self._job["cgroup"]:
            _kill_group(self._job["cgroup"])
        is_there = self._status is None  # not reaped, so its process id is not reused
        others = [pid for pid in children_of_ours() if not is_there or group_of(pid) != self._pid]
        if is_there:
            send_signal(-self._pid, number)
        for pid in others:
            send_signal(pid, number)

    def _reap(self) -> None:
        """Reap all processes that have ended, and record the resources that they used."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._status, self._ended = status, time.monotonic()
            self._usage["user_s"] += used.ru_utime
            self._usage["system_s"] += used.ru_stime
            self._usage["max_rss"] = max(self._usage["max_rss"], used.ru_maxrss)

    def _end_the_rest(self) -> int:
        """End processes that the program has left running, and return how many there were."""
        self._reap()
        left = len(children_of_ours()) if self._is_reaper else 0
        if not self._is_reaper:
            send_signal(-self._pid, signal.SIGKILL)
            return 0
        if left:
            grace_s = LEFTOVER_GRACE_S if not self._cause else max(0.0, self._kill_at - time.monotonic())
            self._signal(signal.SIGTERM)
            until = time.monotonic() + grace_s
            while children_of_ours():
                if time.monotonic() >= until:
                    self._signal(signal.SIGKILL)
                self._look(time.monotonic() + 0.01)
                self._reap()
        return left

    # -------------------------------------------------------------------------------------------- output and reports

    def _read(self, fd: int) -> None:
        """Read what a stream holds now; a program must never block on a full pipe."""
        data = read_now(fd)
        if data:
            self._streams[fd].add(data)
        elif data is not None:
            self._poller.unregister(fd)

    def _drain(self) -> None:
        """Read what is left in the pipes, without waiting for processes that may still hold them open."""
        for fd, kept in self._streams.items():
            while (data := read_now(fd)) and kept.num_bytes < MAX_FILE:
                kept.add(data)
        if self._report_fd is not None:
            self._read_reports()
            if self._has_ended_by_itself():  # a program that was killed may have been in the middle of a line
                self._send_report(self._report_tail)

    def _has_ended_by_itself(self) -> bool:
        return not self._cause and self._status is not None and os.WIFEXITED(self._status)

    def _read_reports(self) -> None:
        assert self._report_fd is not None
        while data := read_now(self._report_fd):
            *lines, self._report_tail = (self._report_tail + data).split(b"\n")
            for line in lines:
                self._send_report(line)
            self._report_tail = self._report_tail[: MAX_LINE + 1]  # enough to see that it is too long

    def _send_report(self, line: bytes) -> None:
        if len(line) > MAX_LINE:
            send("long report", line[:80])
        elif line.strip():
            send("report", line)

    # -------------------------------------------------------------------------------------------- measuring

    def _sample(self) -> None:
        """Sample the memory of the process tree, and end it if it exceeds its limit."""
        resident = sum(map(resident_bytes, tree_of_ours()))
        self._peak_sampled = max(self._peak_sampled, resident)
        if self._job["max_bytes"] is not None and resident > self._job["max_bytes"]:
            self._end("memory")

    def _measured(self) -> dict[str, Any]:
        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes
        peak, by = self._usage["max_rss"] * unit, "wait4"
        if self._peak_sampled > peak:
            peak, by = self._peak_sampled, "sampled"
        if (found := _number_in(f"{self._job['cgroup']}/memory.peak")) is not None:
            peak, by = found, "cgroup"
        assert self._status is not None
        return {
            "wall_s": self._ended - self._began,
            "user_s": self._usage["user_s"],
            "system_s": self._usage["system_s"],
            "peak_bytes": peak,
            "peak_by": by,
            "status": self._status,
            "cause": self._cause,
        }


# ------------------------------------------------------------------------------------------------ processes


def prctl(option: int, value: int) -> bool:
    """Call prctl(2), which Python does not wrap; False if the system does not have it."""
    return _LIBC is not None and _LIBC.prctl(option, value, 0, 0, 0) == 0


def send_signal(pid: int, number: int) -> None:
    """Signal a process or, with a negative number, a process group."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # it has just ended, or now belongs to another user (sudo)


def group_of(pid: int) -> int:
    """The process group of a process; 0 if it has just ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def read_now(fd: int) -> bytes | None:
    """What can be read without blocking; None if that is nothing yet, and empty at the end of the stream."""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return None


def _kill_group(group: str) -> None:
    """Kill every process of a control group at once, where the kernel can (5.14)."""
    try:
        with open(f"{group}/cgroup.kill", "w") as file:
            file.write("1")
    except OSError:
        return  # then the processes are killed one by one


def become_subreaper() -> bool:
    """Become the parent of every descendant whose own parent ends; False where the system cannot do that (macOS)."""
    global _LIBC
    if sys.platform != "linux":
        return False
    import ctypes

    _LIBC = ctypes.CDLL(None)
    return prctl(_SUBREAPER, 1)


def children_of_ours() -> list[int]:
    """The child processes, including those that have ended and are not reaped."""
    return _children(os.getpid())


def tree_of_ours() -> Iterator[int]:
    """Every process below this one."""
    waiting = children_of_ours()
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += _children(pid)


def _children(pid: int) -> list[int]:
    """The children of all threads of a process."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    except OSError:  # it has just ended, or the kernel was built without these lists
        return found if os.path.exists("/proc/thread-self/children") else _children_by_scan(pid)
    return found


def _children_by_scan(pid: int) -> list[int]:
    """The children of a process, found by scanning all processes of the machine."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        try:
            with open(f"/proc/{int(name)}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue  # no process, or one that has ended meanwhile
        if parent == pid:
            found.append(int(name))
    return found


def resident_bytes(pid: int) -> int:
    """The resident memory of a process, in bytes; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def _number_in(path: str) -> int | None:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _nonblocking_pipe() -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    return ends
