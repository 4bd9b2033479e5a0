"""Suggestions: computed here when asked for, or elsewhere and ahead of need, and then kept on a shelf.

An idea on the shelf was computed with those before it in mind (they are pending, though nobody runs them yet), so when
one of them goes, all after it go too. Nothing here is durable: what is lost is computed again from facts.
"""

from __future__ import annotations

from collections import deque

from raytune_hpo.core.asking import ask
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import Idea, Job
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Sampler, Signal, Suggestion
from raytune_hpo.trial import Trial


class Shelf:
    """The way from a sampler to the next trial of one study.

    Args:
        sampler: bound to the study.
        beside: suggestions that depend on results are computed by the caller: it asks for a ``job``, has it computed
            anywhere, and brings the Idea to ``put``. Otherwise ``take`` computes them.

    Attributes:
        ahead: how many ideas to have ready before anyone asks.
    """

    def __init__(self, ledger: Ledger, sampler: Sampler, *, beside: bool) -> None:
        self.ahead = 0
        self._ledger, self._sampler = ledger, sampler
        self._thinks_here = sampler.traits.history_free or not beside
        self._ideas: deque[Idea] = deque()
        self._edition = 0  # grows when ideas are thrown away: what was computed with them in mind is void
        self._dry_at = -1  # the length of the history at which the sampler had nothing to suggest

    def take(self) -> Idea | None:
        """What the sampler says for the next trial; None if that has still to be computed."""
        if self._thinks_here:
            return self.think(self._job())
        return self._ideas.popleft() if self._ideas else None

    def job(self, demand: int = 0) -> Job | None:
        """The next suggestion that is worth computing, with ``demand`` workers waiting; None if there is none."""
        ledger = self._ledger
        limit = ledger.spec.limits.num_trials
        enough = len(self._ideas) >= demand + self.ahead or (limit is not None and self._next_number() >= limit)
        dry = self._dry_at == len(ledger.finished)
        if self._thinks_here or ledger.stopped is not None or ledger.enqueued or enough or dry:
            return None
        return self._job()

    def think(self, job: Job) -> Idea:
        """Compute a job, here and now. Reads only."""
        return Idea(job=job, outcome=ask(self._sampler, job.number, job.pending, self._ledger.spec.seed))

    def put(self, idea: Idea) -> None:
        """Keep a computed suggestion until someone asks, unless what it was computed for has changed meanwhile."""
        if idea.job.edition != self._edition or idea.job.number != self._next_number():
            return
        if isinstance(idea.outcome, Signal):
            self._dry_at = idea.job.history
        self._ideas.append(idea)

    def drop_stale(self, max_age: int) -> None:
        """Forget the ideas if the first misses more than ``max_age`` results."""
        if self._ideas and len(self._ledger.finished) - self._ideas[0].job.history > max_age:
            self.clear()

    def clear(self) -> None:
        """Throw all ideas away, and what is being computed with them in mind."""
        self._ideas.clear()
        self._edition += 1

    def _next_number(self) -> int:
        return len(self._ledger.trials) + len(self._ideas)

    def _job(self) -> Job:
        ledger = self._ledger
        pending: tuple[Trial, ...] = ()
        if self._sampler.traits.reads_pending:
            ideas = [to_pending(i.job, i.outcome) for i in self._ideas if isinstance(i.outcome, Suggestion)]
            pending = (*ledger.open.values(), *ideas)
        return Job(
            number=self._next_number(),
            basis=ledger.seen,
            history=len(ledger.finished),
            pending=pending,
            edition=self._edition,
        )


def to_pending(job: Job, suggestion: Suggestion) -> Trial:
    """A suggestion that nobody has been handed yet, as the next asks see it."""
    return Trial(
        number=job.number,
        config=suggestion.config,
        status=Status.WAITING,
        basis=job.basis,
        meta=suggestion.meta,
        parent=suggestion.parent,
    )
