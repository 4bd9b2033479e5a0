"""Autofilled metrics of Ray Tune's results: counts and times, added at each report."""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

# The metrics of a result that are not the script's own.
FILLED = frozenset(
    (
        "timestamp checkpoint_dir_name done training_iteration date time_this_iter_s time_total_s pid hostname node_ip "
        "config time_since_restore iterations_since_restore timesteps_total episodes_total trial_id experiment_tag"
    ).split()
)
_TOTALS = (("timesteps_this_iter", "timesteps_total"), ("episodes_this_iter", "episodes_total"))


class AutoFilled:
    """Counts the results of one run of a trial, and completes them.

    Args:
        state: the ``state`` from which the trial resumes; empty at its start.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._begun_at = self._last_at = time.monotonic()
        self._since_restore = 0
        self.restore(state or {})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from another state."""
        self.iteration = int(state.get("training_iteration", 0))
        self.time_total_s = float(state.get("time_total_s", 0.0))
        self._totals = {total: state[total] for _, total in _TOTALS if state.get(total) is not None}

    @property
    def state(self) -> dict[str, Any]:
        """The counts and times that a checkpoint keeps."""
        return {"training_iteration": self.iteration, "time_total_s": self.time_total_s, **self._totals}

    def complete(self, metrics: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
        """A result: the metrics with the autofilled ones. Values that the script reports itself are not replaced."""
        now, moment = time.monotonic(), datetime.now()
        took = float(metrics.get("time_this_iter_s", now - self._last_at))
        self._last_at = now
        self.iteration += 1
        self._since_restore += 1
        self.time_total_s += took
        for here, total in _TOTALS:
            if metrics.get(here) is not None:
                self._totals[total] = self._totals.get(total, 0) + metrics[here]
        return {
            "timestamp": int(moment.timestamp()),
            "checkpoint_dir_name": None,
            "done": False,
            "training_iteration": self.iteration,
            "date": moment.strftime("%Y-%m-%d_%H-%M-%S"),
            "time_this_iter_s": took,
            "time_total_s": self.time_total_s,
            "pid": os.getpid(),
            "hostname": _host()[0],
            "node_ip": _host()[1],
            "config": config,
            "time_since_restore": now - self._begun_at,
            "iterations_since_restore": self._since_restore,
            **self._totals,
            **metrics,
        }


@functools.cache
def _host() -> tuple[str, str]:
    """This machine's name and address."""
    name = socket.gethostname()
    try:
        return name, socket.gethostbyname(name)
    except OSError:  # a name that cannot be resolved
        return name, "127.0.0.1"
