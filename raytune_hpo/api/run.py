"""Runs: the handle of a running study, which ``start`` and ``attach`` return and with which ``fit`` waits."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from raytune_hpo.api.callbacks import Callback, Follower
from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.facts import Fact
from raytune_hpo.progress import Progress
from raytune_hpo.progress.card import card
from raytune_hpo.progress.notebook import Live, in_notebook
from raytune_hpo.progress.pace import Pace
from raytune_hpo.results import Results
from raytune_hpo.runtime.plan import Handle, RunPlan
from raytune_hpo.spec import StudySpec

INTERRUPTED = "interrupted"  # the reason of a study's end by Ctrl-C


class Run:
    """The handle of a running study. On a cluster, the study goes on without this object.

    As the last expression of a notebook's cell, it is shown as a card that updates until the study has ended.

    Args:
        plan: the study's plan, if this process has it: its space has functions, of which the stored one has only names.
    """

    def __init__(self, handle: Handle, plan: RunPlan | None = None) -> None:
        self._handle, self._plan = handle, plan
        self._live = Live(handle.snapshot)
        self._followers: list[Follower] = []

    @property
    def name(self) -> str:
        return self._handle.name

    @property
    def _spec(self) -> StudySpec | None:
        return None if self._plan is None else self._plan.spec

    def status(self) -> StudyStatus:
        """Counts by status, the best so far, and whether and why the study has stopped."""
        return self._handle.status()

    def snapshot(self) -> Snapshot:
        """The status with the running trials and the thinned history: the data of a progress display."""
        return self._handle.snapshot()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the study has ended; False if it has not within ``timeout_s`` seconds.

        Raises:
            HpoError: the study cannot go on; what was recorded is safe.
        """
        ended = self._handle.wait(timeout_s)
        if ended:
            self._finish_callbacks()
        return ended

    def follow(self, *callbacks: Callback) -> None:
        """Call callbacks with the study's facts, as long as this process lives; see ``raytune_hpo.api.callbacks``.

        ``wait`` and ``close`` give those that are behind some time.
        """
        self._followers.append(Follower(callbacks, self, self._spec))

    def facts(self, start: int = 0) -> Iterator[Fact]:
        """The study's facts from position ``start`` up to now."""
        return self._handle.facts(start)

    def results(self) -> Results:
        """The trials up to now."""
        return Results.from_ledger(self._handle.ledger(self._spec), self._plan)

    def stop_trial(self, number: int) -> None:
        """Stop one trial: it is pruned at its next report, or at once if it is not running. The study goes on.

        Raises:
            SpecError: the study has no such trial.
        """
        self._handle.stop_trial(number)

    def stop(self, reason: str = "stopped by the user") -> None:
        """End the study. Running trials wait until it is taken up again."""
        self._handle.stop(reason)

    def enqueue(self, config: Mapping[str, Any]) -> None:
        """Enqueue a configuration, to be tried before the next suggestion.

        Raises:
            SpaceError: it is not in the space.
        """
        self._handle.enqueue(config)

    def close(self) -> None:
        """Release this process's resources of the run."""
        self._finish_callbacks()
        self._live.stop()
        self._handle.close()

    def _finish_callbacks(self) -> None:
        while self._followers:
            self._followers.pop().finish()

    def watch(self, progress: Progress, *callbacks: Callback) -> Results:
        """Show progress until the study has ended, or until Ctrl-C, which ends it; returns the results.

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
        status = self.status()
        state = "running" if status.is_running else f"stopped: {status.stopped}"
        total = status.limits.num_trials
        done = f"{status.num_finished:,}" if total is None else f"{status.num_finished:,} of {total:,}"
        paused = f", {status.num_paused:,} paused" if status.num_paused else ""
        return f"<Run {self.name!r}: {done} trials finished{paused}, {state}>"

    def _repr_html_(self) -> str:
        """The current card, for front ends that show HTML but cannot update it."""
        return card(self.snapshot(), None)

    def _ipython_display_(self) -> None:
        """The card that updates itself; where there is no notebook, one line."""
        if in_notebook():
            self._live.show()
        else:
            sys.stdout.write(f"{self!r}\n")
