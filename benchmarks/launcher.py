"""Cost and accuracy of measuring a program: the launcher's CPU time, its bias on time, and peak memory.

    python benchmarks/launcher.py              # a minute; writes results/launcher.json
    python benchmarks/launcher.py --quick

Each run of a program has a launcher, a small Python process. Its CPU time is that of this process's children minus that
of the program itself. Its bias is the difference to a bare spawn and wait, interleaved with it. Peak memory is compared
with the value that the kernel reports to the program itself, with a parent of a gigabyte: a child inherits its parent's
peak.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time

from common import Figure, at_most, run

from raytune_hpo.commands.launching import Job, run_program

MEGABYTES = 200
PARENT = 1_000_000_000  # bytes
TOUCH = (
    f"x = bytearray({MEGABYTES}_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1\n"
    "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
)


def cpu(quick: bool) -> list[Figure]:
    """CPU time of a run beside that of the program."""
    spent_ms = []
    for _ in range(3 if quick else 50):
        before = _children_s()
        ran = run_program(Job(argv=["true"]))
        spent_ms.append(1_000 * (_children_s() - before - ran.user_s - ran.system_s))
    bare_ms = []
    for _ in range(3 if quick else 50):
        before = _children_s()
        _spawned([sys.executable, "-I", "-S", "-c", ""])
        bare_ms.append(1_000 * (_children_s() - before))
    return [
        at_most(
            40, name="cpu", what="CPU time of the launcher, a run (median)", measured=statistics.median(spent_ms), unit="ms",
            detail={"runs": len(spent_ms), "worst": max(spent_ms), "an_empty_python": statistics.median(bare_ms)},
        )
    ]  # fmt: skip


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bias(quick: bool) -> list[Figure]:
    """What it adds to the time of `sleep 0.1`."""
    ours, bare = [], []
    for _ in range(3 if quick else 100):
        ours.append(run_program(Job(argv=["sleep", "0.1"])).wall_s)
        begin = time.monotonic()
        _spawned(["sleep", "0.1"])
        bare.append(time.monotonic() - begin)
    apart_ms = 1_000 * (statistics.median(ours) - statistics.median(bare))
    return [
        at_most(
            1, name="bias", what="time of `sleep 0.1` against a bare spawn and wait (medians)", measured=abs(apart_ms),
            unit="ms",
            detail={"ours_minus_bare_ms": apart_ms, "quickest_ms": 1_000 * (min(ours) - min(bare)), "runs": len(ours)},
        )
    ]  # fmt: skip


def _spawned(argv: list[str]) -> None:
    os.waitpid(os.posix_spawnp(argv[0], argv, os.environ), 0)


def memory(quick: bool) -> list[Figure]:
    """Peak memory of a program that touches 200 MB, run by a parent that has a gigabyte."""
    ballast = bytearray(PARENT // 10 if quick else PARENT)
    for page in range(0, len(ballast), 4096):
        ballast[page] = 1
    off = []
    for _ in range(2 if quick else 10):
        ran = run_program(Job(argv=[sys.executable, "-I", "-S", "-c", TOUCH]))
        own_mb = 1024 * int(ran.stdout) / 1e6
        off.append(100 * abs(ran.peak_mb / own_mb - 1))
    return [
        at_most(
            3, name="memory", what=f"peak memory of {MEGABYTES} MB, from a parent of {len(ballast) / 1e9:g} GB (worst)",
            measured=max(off), unit="%", detail={"runs": len(off), "median": statistics.median(off)},
        )
    ]  # fmt: skip


if __name__ == "__main__":
    run(__doc__ or "", {"cpu": cpu, "bias": bias, "memory": memory})
