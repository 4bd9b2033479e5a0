"""The desk: the optimizer's side of the protocol with workers. No I/O.

Threads of this process, Ray's workers and workers over HTTP send the same messages. Each transport turns them into commands
here, lets the optimizer handle these, and makes the answer from its replies; how messages travel, and how a worker waits for
work, is up to the transport.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.core.messages import (
    Answer,
    AskTrials,
    Command,
    DrawParameter,
    EndTrial,
    KeepCheckpoint,
    Lease,
    LoseWorker,
    OfferCheckpoint,
    Parameter,
    ReplaceWorkers,
    Reply,
    ReportMetrics,
    ReturnTrials,
    Told,
    Wanted,
)
from raytune_hpo.facts import Verdict, changed
from raytune_hpo.runtime.wire import ReportRow

OVER = Lease(is_over=True)
STOP = Answer(verdict=Verdict.STOP)
HELD_S = 15.0  # how long no trial is handed out after a worker has reported a full disk; workers repeat it more often
NOBODYS = Parameter(is_held=False)
FREE = "http-"  # prefix of the names of workers that belong to no pool: they connect over HTTP


class Desk:
    """Turns workers' messages into commands, and replies into answers. Timestamps are set here: workers' clocks may differ.

    Attributes:
        is_over: the study has ended, or cannot continue: no trials are handed out, and no results recorded.
        at_work: the workers that have asked for trials and have not left.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.at_work: set[str] = set()
        self._held_until = 0.0
        self._gone: set[str] = set()
        self._prefix = ""  # of the current pool's workers' names

    def serves(self, worker: str) -> bool:
        """Whether this worker's messages still count: the study continues, and the worker was neither lost nor replaced."""
        return not self.is_over and worker not in self._gone and worker.startswith((self._prefix, FREE))

    def exchange(
        self,
        worker: str,
        ended: Sequence[EndTrial],
        returned: Sequence[int],
        limit: int,
        holding: Sequence[int],
        at: float,
    ) -> list[Command]:
        """A worker tells how trials ended, gives others back, and asks for up to ``limit`` new ones."""
        self.at_work.add(worker)
        told = _told(worker, ended, returned, at)
        if any(end.checkpoint is not None for end in ended):
            self._held_until = 0.0
        if at < self._held_until:
            return told
        return [*told, AskTrials(worker=worker, at=at, limit=limit, holding=frozenset(holding))]

    def leave(self, worker: str, ended: Sequence[EndTrial], returned: Sequence[int], at: float) -> list[Command]:
        """A worker tells how trials ended, and asks for no more."""
        self.at_work.discard(worker)
        return _told(worker, ended, returned, at)

    def report(self, number: int, attempt: int, reports: Sequence[ReportRow], at: float) -> list[Command]:
        """A trial's reports, in order."""
        return [
            ReportMetrics(number=number, attempt=attempt, step=step, metrics=metrics, saves=saves, at=at)
            for step, metrics, saves in reports
        ]

    def keep(self, number: int, attempt: int, step: int, checkpoint: Mapping[str, Any], at: float) -> list[Command]:
        """A running trial has saved a checkpoint."""
        self._held_until = 0.0
        return [KeepCheckpoint(number=number, attempt=attempt, step=step, checkpoint=checkpoint, at=at)]

    def hold(self, at: float) -> None:
        """A worker finds the disk full: no trial is handed out for a while, as each would find it full."""
        self._held_until = at + HELD_S

    def draw(self, number: int, attempt: int, name: str, domain: Mapping[str, Any], at: float) -> list[Command]:
        """An objective that makes its own space asks for a parameter."""
        return [DrawParameter(number=number, attempt=attempt, name=name, domain=domain, at=at)]

    def offer(self, number: int, attempt: int, metrics: Mapping[str, Any], at: float) -> list[Command]:
        """A trial that is about to end could save a checkpoint."""
        return [OfferCheckpoint(number=number, attempt=attempt, metrics=metrics, at=at)]

    def lose(self, worker: str, reason: str, at: float, *, blameless: bool) -> list[Command]:
        """A worker is gone; its later messages are ignored."""
        self._gone.add(worker)
        self.at_work.discard(worker)
        return [LoseWorker(worker=worker, reason=reason, blameless=blameless, at=at)]

    def replace_workers(self, prefix: str, at: float) -> list[Command]:
        """From now on, only workers whose names begin with ``prefix``, and those that belong to no pool, are served."""
        self._prefix = prefix
        self.at_work = {worker for worker in self.at_work if worker.startswith(FREE)}
        return [ReplaceWorkers(prefix=prefix, at=at, spared=FREE)]

    @staticmethod
    def lease(replies: Sequence[Reply]) -> Lease:
        """The lease that answers an exchange; an empty one if no trial is handed out now."""
        return next((reply for reply in replies if isinstance(reply, Lease)), Lease())

    @staticmethod
    def told(replies: Sequence[Reply]) -> list[Told]:
        """What became of the trials whose ends were told, in order."""
        return [reply for reply in replies if isinstance(reply, Told)]

    @staticmethod
    def parameter(replies: Sequence[Reply]) -> Parameter:
        """The parameter that was asked for; a placeholder if the study is over."""
        return next((reply for reply in replies if isinstance(reply, Parameter)), NOBODYS)

    @staticmethod
    def is_wanted(replies: Sequence[Reply]) -> bool:
        """Whether a checkpoint that was offered is wanted."""
        return any(isinstance(reply, Wanted) and reply.is_wanted for reply in replies)

    def answer(self, replies: Sequence[Reply]) -> Answer:
        """The answer to several reports: the first verdict that is final, or else the newest."""
        answers = [reply for reply in replies if isinstance(reply, Answer)]
        return next((answer for answer in answers if answer.verdict.is_final), answers[-1])


def _told(worker: str, ended: Sequence[EndTrial], returned: Sequence[int], at: float) -> list[Command]:
    back = [ReturnTrials(worker=worker, numbers=tuple(returned), at=at)] if returned else []
    return [*[changed(end, at=at) for end in ended], *back]
