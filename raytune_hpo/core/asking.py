"""Calls of samplers: the one place that calls ``ask`` and ``tell``, so that a suggestion can be recomputed anywhere."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Continue, ReportReader, Sampler, Signal, Suggestion
from raytune_hpo.rng import derive
from raytune_hpo.trial import Trial

_UNREAD = derive(0, "unread")  # for samplers that do not use their generator


class Telling:
    """Tells a sampler of pauses and ends of trials, in the order in which they happened.

    A sampler without ``reads_reports`` is told of each trial once: when it pauses first, or ends.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._told_early: set[int] = set()

    def __call__(self, trial: Trial) -> None:
        if trial.status is not Status.PAUSED:
            if trial.number not in self._told_early:
                self._sampler.tell(trial)
        elif self._sampler.traits.reads_reports:
            assert isinstance(self._sampler, ReportReader)
            self._sampler.observe(trial)
        elif trial.number not in self._told_early:
            self._told_early.add(trial.number)
            self._sampler.tell(trial)


def ask(
    sampler: Sampler, number: int | None, pending: Sequence[Trial], seed: int, *, turn: int | None = None
) -> Suggestion | Continue | Signal:
    """Ask a sampler for a trial's suggestion, with random numbers derived from the study's seed.

    Args:
        number: None: no new trial may begin.
        turn: the number of its random stream; None: the trial's.

    A sampler that learns does its linear algebra in one thread: with more, the order of additions depends on the number of
    cores, and a difference in the last digit grows into other suggestions.

    Raises:
        SpecError: the sampler returns anything but a suggestion or a signal.
    """
    turn = number if turn is None else turn
    assert turn is not None, "every question has a random stream of its own"
    rng = derive(seed, "ask", turn) if sampler.traits.reads_rng else _UNREAD
    alone: AbstractContextManager[object] = nullcontext()
    if not sampler.traits.history_free:
        alone = _libraries().limit(limits=1)
    with alone:
        outcome: object = sampler.ask(number, pending, rng)  # type: ignore[arg-type]  # None only for those that continue
    if isinstance(outcome, Continue) and sampler.traits.continues:
        return outcome
    if not isinstance(outcome, Suggestion | Signal):  # else the study would wait for ever
        raise SpecError(
            f"ask of {type(sampler).__name__} returns a Suggestion or a Signal, got {outcome!r}; "
            "wrap a configuration: Suggestion(config)"
        )
    return outcome


@functools.cache
def _libraries() -> Any:
    """The linear algebra libraries of this process; cached, since finding them takes longer than limiting them."""
    import scipy.linalg  # noqa: F401 - it brings its own
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
