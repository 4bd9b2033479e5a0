"""Surroundings: other load on the machine while a program is measured, and the machine's state."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raytune_hpo.commands import control_groups
from raytune_hpo.commands.launching import Ran, own_cpus
from raytune_hpo.display.text import duration, seconds_of
from raytune_hpo.errors import ObjectiveError, SpecError

WINDOW_S = 0.1  # for measuring the load before a run
BUSY_SHARE = 0.1  # of the CPUs: load of others up to this is no disturbance
FULL_SHARE = 0.9  # of the CPUs: if less was in use, the program had all that it could use
_SHORTEST_S = 0.2  # the shortest run for which the kernel's ticks of 10 ms are precise enough


@dataclass(frozen=True, kw_only=True)
class WhenBusy:
    """The policy for other load before a run: measure and flag it, wait for a while, or fail.

    Attributes:
        how: "measure", "wait" or "fail".
    """

    how: str = "measure"
    patience_s: float = 0.0

    @classmethod
    def parsed(cls, text: str) -> WhenBusy:
        """``measure``, ``wait:60s`` or ``fail``.

        Raises:
            SpecError: it is something else.
        """
        how, _, patience = text.partition(":")
        try:
            if how == "wait" and patience:
                return cls(how=how, patience_s=seconds_of(patience))
        except ValueError:
            pass  # told below, with the rule
        if text in ("measure", "fail"):
            return cls(how=text)
        raise SpecError(f"when_busy is measure, wait:60s or fail, got {text!r}")

    def __call__(self, load: Callable[[], float]) -> None:
        """Return when a run may begin; wait for that if the policy says so.

        Args:
            load: how many CPUs others use now.

        Raises:
            ObjectiveError: there is other load, and the policy is to fail.
        """
        if self.how == "measure":
            return
        until = time.monotonic() + self.patience_s
        while (others := load()) > BUSY_SHARE * num_cpus():
            if self.how == "fail":
                raise ObjectiveError(
                    f"others use {others:.1f} of {num_cpus()} CPUs, and when_busy is fail; wait:60s would wait"
                )
            if time.monotonic() >= until:
                return  # it is measured, and flagged

    def __str__(self) -> str:
        return f"wait:{duration(self.patience_s)}" if self.how == "wait" else self.how


class BusyClock:
    """Measures the CPU time of the whole machine since the clock was created."""

    def __init__(self) -> None:
        self._busy, self._at = _busy_s(), time.monotonic()

    def others(self, own_cpu_s: float = 0.0) -> float | None:
        """How many CPUs others have used since then; None if the system does not say, or the time was too short."""
        busy, elapsed = _busy_s(), time.monotonic() - self._at
        if busy is None or self._busy is None or elapsed <= 0:
            return None
        return max(0.0, (busy - self._busy - own_cpu_s) / elapsed)


def load_now() -> float:
    """How many CPUs others use, measured by idling for ``WINDOW_S`` seconds."""
    clock = BusyClock()
    time.sleep(WINDOW_S)
    return clock.others() or 0.0


def is_disturbed(ran: Ran, others: float | None) -> bool:
    """Whether other load took CPUs that a run could have used."""
    if others is None or ran.wall_s < _SHORTEST_S:
        return False
    own = (ran.user_s + ran.system_s) / ran.wall_s
    return others > BUSY_SHARE * num_cpus() and others + own > FULL_SHARE * num_cpus()


def context() -> dict[str, Any]:
    """The machine's state now, for the record; unavailable entries are left out.

    ``pressure_cpu``, ``pressure_memory``: percentage of the last ten seconds in which some process waited for it;
    ``available_mb``: available memory; ``on_battery``; ``cpu_mhz``: the clock rate of the first CPU.
    """
    battery = [_read(path) for path in glob.glob("/sys/class/power_supply/*/status")]
    clock = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    found = {
        "pressure_cpu": _pressure("cpu"),
        "pressure_memory": _pressure("memory"),
        "available_mb": _available_mb(),
        "on_battery": any(text == "Discharging" for text in battery) if battery else None,
        "cpu_mhz": float(clock) / 1000 if clock else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def missing(*, needs_memory: bool) -> list[str]:
    """Limitations of this machine, in sentences for warnings.

    Args:
        needs_memory: whether peak memory is measured or limited.
    """
    gaps = []
    if not own_cpus():
        gaps.append("there is no CPU affinity here, so that a limit on CPUs has no effect")
    if _busy_s() is None or _pressure("cpu") is None:
        gaps.append(
            "this machine does not say how busy it is (/proc/stat, /proc/pressure), so that others may go unnoticed"
        )
    if needs_memory and control_groups.delegated() is None:
        gaps.append("no control group is delegated here: memory of several processes is looked at every 50 ms")
    return gaps


def num_cpus() -> float:
    """How many CPUs this process may use: by its affinity, and by the quota of its control group."""
    allowed = float(len(own_cpus()) or os.cpu_count() or 1)
    words = _read("/sys/fs/cgroup/cpu.max").split()
    if len(words) == 2 and words[0].isdigit():
        return min(allowed, int(words[0]) / int(words[1]))
    return allowed


def _busy_s() -> float | None:
    """The CPU time of all processes of the machine, in seconds."""
    words = _read("/proc/stat").partition("\n")[0].split()
    if len(words) < 8:
        return None
    user, nice, system, _, _, irq, softirq = map(int, words[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _pressure(what: str) -> float | None:
    words = _read(f"/proc/pressure/{what}").partition("\n")[0].split()
    return float(words[1].removeprefix("avg10=")) if len(words) > 1 else None


def _available_mb() -> float | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def _read(path: str) -> str:
    """The text of a small file of the system; empty where there is none."""
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
