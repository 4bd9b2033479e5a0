"""The queue of prepared suggestions: computed when a trial is asked for, or ahead of need in another process.

A prepared suggestion was computed with those before it as pending. So when one is dropped, all after it are dropped too.
Nothing here is durable: what is lost is computed again from facts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from raytune_hpo.core.asking import ask
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import PreparedSuggestion, SuggestionRequest
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Continue, Sampler, Signal, Suggestion
from raytune_hpo.trial import Trial

_MOST_AT_ONCE = 32  # suggestions, where they are computed together: the first of them waits for the last


class Suggestions:
    """Suggestions for the next trials of one study.

    Args:
        sampler: bound to the study.
        ahead: suggestions that depend on results are computed by the caller: it takes a ``request``, has it computed
            anywhere, and brings the outcome to ``put``. Otherwise ``take`` computes them.

    Attributes:
        num_ahead: how many to keep ready.
    """

    def __init__(self, ledger: Ledger, sampler: Sampler, *, ahead: bool) -> None:
        self.num_ahead = 0
        self._ledger, self._sampler = ledger, sampler
        self._computes_here = sampler.traits.history_free or not ahead
        self._prepared: deque[PreparedSuggestion] = deque()
        self._generation = 0  # grows when suggestions are dropped: those computed with them as pending are void
        # When the sampler had nothing to say, and about what it was asked.
        self._nothing_at: tuple[int, bool] | None = None

    def take(self) -> PreparedSuggestion | None:
        """The suggestion, or signal, for the next trial; None if it has still to be computed."""
        if self._computes_here:
            return self.compute(self._next_request())
        return self._prepared.popleft() if self._prepared else None

    def request(self, demand: int = 0) -> SuggestionRequest | None:
        """The next suggestion that is worth computing while ``demand`` workers wait; None if there is none."""
        ledger, traits = self._ledger, self._sampler.traits
        is_full = ledger.num_left is not None and self._num_new() >= ledger.num_left
        if is_full and traits.continues:  # then it may still say which paused trial continues
            is_full = not ledger.paused
        wanted = demand + (self.num_ahead if traits.ahead else 0) - len(self._prepared)
        has_enough = is_full or wanted <= 0
        has_nothing = self._nothing_at == (len(ledger.told), self._may_begin())
        if self._computes_here or ledger.stopped is not None or ledger.enqueued or has_enough or has_nothing:
            return None
        request = self._next_request()
        if not traits.in_batches or request.number is None:
            return request
        num_left = wanted if ledger.num_left is None else ledger.num_left - self._num_new()
        return replace(request, count=min(wanted, num_left, _MOST_AT_ONCE))

    def compute(self, request: SuggestionRequest) -> PreparedSuggestion:
        """Compute a suggestion, here and now. Reads only."""
        outcome = ask(self._sampler, request.number, request.pending, self._ledger.spec.seed, turn=request.turn)
        return PreparedSuggestion(request=request, outcome=outcome)

    def put(self, prepared: PreparedSuggestion) -> None:
        """Queue a computed suggestion, unless its inputs have changed meanwhile."""
        request = prepared.request
        if request.generation != self._generation or request.turn != self._next_turn():
            return
        if isinstance(prepared.outcome, Signal):
            self._nothing_at = request.history, request.number is not None
        self._prepared.append(prepared)

    def drop_stale(self, max_age: int) -> None:
        """Drop all if the first one misses more than ``max_age`` results."""
        if self._prepared and len(self._ledger.told) - self._prepared[0].request.history > max_age:
            self.clear()

    def clear(self) -> None:
        """Drop all suggestions, and invalidate those being computed with them as pending."""
        self._prepared.clear()
        self._generation += 1

    def _num_new(self) -> int:
        """How many of those prepared begin new trials."""
        return sum(not isinstance(p.outcome, Continue) for p in self._prepared) if self._prepared else 0

    def _may_begin(self) -> bool:
        """Whether a new trial may begin after those prepared."""
        num_left = self._ledger.num_left
        return num_left is None or num_left > self._num_new()

    def _next_turn(self) -> int:
        num_continued = self._ledger.num_continued if self._sampler.traits.continues else 0
        return len(self._ledger.trials) + num_continued + len(self._prepared)

    def _next_request(self) -> SuggestionRequest:
        ledger, traits = self._ledger, self._sampler.traits
        pending: tuple[Trial, ...] = ()
        if traits.reads_pending:
            pending = (*ledger.pending(), *self._prepared_trials())
        may_begin = not traits.continues or self._may_begin()  # others are not asked where none may
        return SuggestionRequest(
            number=len(ledger.trials) + self._num_new() if may_begin else None,
            turn=self._next_turn(),
            basis=ledger.seen,
            history=len(ledger.told),
            pending=pending,
            generation=self._generation,
        )

    def _prepared_trials(self) -> Iterator[Trial]:
        """The prepared suggestions as pending trials, for the next asks."""
        for prepared in self._prepared:
            outcome = prepared.outcome
            if isinstance(outcome, Suggestion):
                yield to_pending(prepared.request, outcome)
            elif isinstance(outcome, Continue):
                yield replace(self._ledger.trials[outcome.number], status=Status.WAITING)


def to_pending(request: SuggestionRequest, suggestion: Suggestion) -> Trial:
    """A suggestion that is not handed out yet as a pending trial, for the next asks."""
    assert request.number is not None
    return Trial(
        number=request.number,
        config=suggestion.config,
        status=Status.WAITING,
        basis=request.basis,
        meta=suggestion.meta,
        parent=suggestion.parent,
    )
