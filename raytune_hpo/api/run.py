"""Run: a handle to a running study, which ``start`` and ``attach`` return and ``fit`` waits for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from numbers import Real
from types import TracebackType
from typing import Any

from raytune_hpo.api.callbacks import Callback, Follower, checked_callbacks
from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.facts import Fact
from raytune_hpo.progress import Progress
from raytune_hpo.progress.card import card
from raytune_hpo.progress.notebook import Live, in_notebook
from raytune_hpo.progress.pace import Pace
from raytune_hpo.results import Results
from raytune_hpo.runtime.plan import Handle, RunPlan
from raytune_hpo.runtime.settings import in_seconds
from raytune_hpo.spec import StudySpec

INTERRUPTED = "interrupted"  # the reason of a study that Ctrl-C stopped


class Run:
    """A handle to a running study. A study on a cluster continues without this object.

    There, methods raise ClusterError once this process has left the cluster, and all but ``facts`` and ``results`` once the
    optimizer has died before the study's end.

    As the last expression of a notebook's cell, it shows a card that updates itself until the study has ended.

    Args:
        plan: the plan by which it runs, if this process has it; its space has functions that the stored one only names.
        follower: with callbacks that were claimed before it began; they follow from the first ``follow`` or ``watch`` on.
    """

    def __init__(self, handle: Handle, plan: RunPlan | None = None, follower: Follower | None = None) -> None:
        self._handle, self._plan = handle, plan
        self._live = Live(handle.snapshot)
        self._follower = follower or Follower()

    @property
    def name(self) -> str:
        """The study's name."""
        return self._handle.name

    @property
    def _spec(self) -> StudySpec | None:
        return None if self._plan is None else self._plan.spec

    def status(self) -> StudyStatus:
        """Counts by status, the best so far, and whether and why the study has stopped."""
        return self._handle.status()

    def snapshot(self) -> Snapshot:
        """The status with the running trials and the thinned history, from which progress displays are drawn."""
        return self._handle.snapshot()

    def wait(self, timeout_s: float | timedelta | None = None) -> bool:
        """Wait until the study has ended; False if it has not within ``timeout_s`` seconds.

        Raises:
            SpecError: the timeout is not a number.
            HpoError: the study cannot continue; what was recorded is safe.
        """
        seconds = in_seconds(timeout_s)
        if seconds is not None and not isinstance(seconds, Real):
            raise SpecError(f"timeout_s is a number of seconds, a timedelta or None, got {timeout_s!r}")
        ended = self._handle.wait(seconds)
        if ended:
            self._follower.finish()
        return ended

    def follow(self, *callbacks: Callback) -> None:
        """Pass the study's facts to callbacks in this process, while it lives; see ``raytune_hpo.api.callbacks``.

        ``wait`` and ``close`` give callbacks that are behind some time to catch up.

        Raises:
            SpecError: one of them cannot be called with a fact, or is a logger that follows another study now.
        """
        self._follower.claim(checked_callbacks(callbacks))
        self._follower.begin(self, self._spec)

    def facts(self, start: int = 0) -> Iterator[Fact]:
        """The study's facts from position ``start`` up to now."""
        return self._handle.facts(start)

    def results(self) -> Results:
        """The trials up to now."""
        return Results.from_ledger(self._handle.ledger(self._spec), self._plan)

    def stop_trial(self, number: int) -> None:
        """Stop one trial: it is pruned at its next report, or at once if it is not running. The study continues.

        Raises:
            SpecError: the study has no such trial.
            ClusterError: the study, on a cluster, has ended.
        """
        self._handle.stop_trial(number)

    def stop(self, reason: str = "stopped by the user") -> None:
        """Stop the study, unless it has ended. Its running trials wait until it is resumed.

        Args:
            reason: why, for the journal.
        """
        self._handle.stop(reason)

    def enqueue(self, config: Mapping[str, Any]) -> None:
        """Enqueue a configuration, which is tried before the next suggestion.

        Raises:
            SpaceError: it is not in the space.
            ClusterError: the study, on a cluster, has ended.
        """
        self._handle.enqueue(config)

    def close(self) -> None:
        """Release the resources that this process holds for the run."""
        self._follower.finish()
        self._live.stop()
        self._handle.close()

    def watch(self, progress: Progress, *callbacks: Callback) -> Results:
        """Show progress until the study has ended, and return its results; Ctrl-C ends the study.

        Args:
            callbacks: as for ``follow``.
        """
        pace = Pace()
        with progress:
            try:
                self.follow(*callbacks)
                while not self._handle.wait(pace.pause_s):
                    with pace:
                        progress.update(self._handle.snapshot())
            except KeyboardInterrupt:
                self._handle.stop(INTERRUPTED)
            progress.update(self._handle.snapshot())
        return self.results()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            status = self.status()
        except HpoError as error:
            return f"<Run {self.name!r}: {error}>"
        state = "running" if status.is_running else f"stopped: {status.stopped}"
        total = status.limits.num_trials
        done = f"{status.num_finished:,}" if total is None else f"{status.num_finished:,} of {total:,}"
        paused = f", {status.num_paused:,} paused" if status.num_paused else ""
        return f"<Run {self.name!r}: {done} trials finished{paused}, {state}>"

    def _repr_html_(self) -> str:
        """The current card, for front ends that show HTML but cannot update it."""
        return card(self.snapshot(), None)

    def _ipython_display_(self) -> None:
        """Show the card that updates itself or, outside notebooks, one line."""
        if in_notebook():
            self._live.show()
        else:
            sys.stdout.write(f"{self!r}\n")
