"""Applier for a system that polls: it fetches its configuration over HTTP, and posts what it runs and measures."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from time import sleep
from typing import Any

from raytune_hpo.errors import HpoError
from raytune_hpo.live.appliers import Measurement, is_running
from raytune_hpo.live.pull_board import PullBoard, together
from raytune_hpo.options import positive

_LOOK_S = 0.05


class PullApplier:
    """Leaves configurations for a running system that polls ``raytune-hpo serve`` for them, and posts its measurements.

    ``GET /v1/live/NAME/config?group=`` waits until the configuration differs from the one that the system has;
    ``POST /v1/live/NAME/measurements`` says what a group runs and what it measured. The service has to run on the machine of
    the controller, or share the folder of the applier.

    Args:
        patience_s: how many seconds a change may take until the group reports that it runs it.
    """

    def __init__(self, *, patience_s: float = 20.0) -> None:
        self.patience_s = positive("patience_s", patience_s)
        self._share = 0.0
        self._board: PullBoard | None = None

    def sit(self, folder: Path) -> None:
        """Use the applier's folder for offers as well."""
        self._board = PullBoard(folder)

    @property
    def board(self) -> PullBoard:
        """The board for offers and measurements.

        Raises:
            HpoError: the applier does not belong to a live study yet.
        """
        if self._board is None:
            raise HpoError("a PullApplier leaves word in the folder of its live study; give it to hpo.Live")
        return self._board

    def split(self, share: float, seq: int) -> None:
        """Keep the share, which is offered with the canary group's next configuration."""
        self._share = share

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        """Offer the configuration, and wait until the group reports to run it."""
        self.board.offer(group, config, seq, self._share if group == "canary" else None)
        for _ in range(ceil(self.patience_s / _LOOK_S)):
            running = self.board.running(group)
            if running is not None and is_running(running, config):
                return
            sleep(_LOOK_S)
        raise HpoError(
            f"{group} has not said within {self.patience_s:g} s that it runs {dict(config)}; does it ask /config, and post "
            f"what it runs to /measurements?"
        )

    def read(self, group: str) -> Mapping[str, Any]:
        """The configuration that the group last reported to run."""
        running = self.board.running(group)
        if running is None:
            raise HpoError(f"{group} has not said yet what it runs; it posts that to /measurements")
        return running

    def measure(self, group: str, start: float, end: float) -> Measurement:
        """Aggregate the measurements that were posted for this period."""
        return together(self.board.measured(group, start, end))
