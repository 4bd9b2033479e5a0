"""A study that runs: what ``start`` and ``attach`` return, and how ``fit`` waits for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from raytune_hpo.callbacks import Callback, Follower
from raytune_hpo.ledger import Ledger, StudyStatus
from raytune_hpo.progress import Progress
from raytune_hpo.results import Results
from raytune_hpo.runtime.plan import Handle
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Fact

REFRESH_S = 0.2


class Run:
    """A running study. It goes on without this object where its runtime lives elsewhere (on a cluster).

    Args:
        spec: the live one, if this process has it: its space has functions that the stored one can only name.
    """

    def __init__(self, handle: Handle, spec: StudySpec | None = None) -> None:
        self._handle, self._spec = handle, spec
        self._followers: list[Follower] = []

    @property
    def name(self) -> str:
        return self._handle.name

    def status(self) -> StudyStatus:
        """Counts by status, the best so far, and whether and why the study has stopped."""
        return self._handle.status()

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
        """Have callbacks told the study's facts, by this process and as long as it lives; see ``raytune_hpo.callbacks``.

        ``wait`` and ``close`` give those that are behind some time.
        """
        self._followers.append(Follower(callbacks, self, self._spec))

    def facts(self, start: int = 0) -> Iterator[Fact]:
        """The study's facts from position ``start`` up to now."""
        return self._handle.facts(start)

    def results(self) -> Results:
        """The trials up to now."""
        return Results.from_ledger(Ledger.fold(self._handle.facts(), self._spec))

    def stop(self, reason: str = "stopped by the user") -> None:
        """End the study. Running trials wait until it is taken up again."""
        self._handle.stop(reason)

    def enqueue(self, config: Mapping[str, Any]) -> None:
        """Have a configuration tried before the next suggestion.

        Raises:
            SpaceError: it is not in the space.
        """
        self._handle.enqueue(config)

    def close(self) -> None:
        """Let go of what this process holds for the run."""
        self._finish_callbacks()
        self._handle.close()

    def _finish_callbacks(self) -> None:
        while self._followers:
            self._followers.pop().finish()

    def watch(self, *, progress: bool) -> Results:
        """Show progress until the study has ended, or until Ctrl-C, which ends it; the results it has by then."""
        with Progress(enabled=progress) as line:
            try:
                while not self._handle.wait(REFRESH_S):
                    line.update(self._handle.status())
            except KeyboardInterrupt:
                self._handle.stop("interrupted")
            line.update(self._handle.status())
        return self.results()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        status = self.status()
        state = "running" if status.is_running else f"stopped: {status.stopped}"
        return f"<Run {self.name!r}: {status.num_finished} trials finished, {state}>"
