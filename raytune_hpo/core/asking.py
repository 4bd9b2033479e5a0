"""The one way in which a sampler is asked, so that it says the same wherever it is asked again."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from raytune_hpo.errors import SpecError
from raytune_hpo.protocols import Sampler, Signal, Suggestion
from raytune_hpo.rng import derive
from raytune_hpo.trial import Trial


def ask(sampler: Sampler, number: int, pending: Sequence[Trial], seed: int) -> Suggestion | Signal:
    """What the sampler suggests for a trial; its random numbers are derived from the study's seed.

    A sampler that learns does its linear algebra in one thread: with more, sums are added in another order, and the
    difference in the last digit grows into other suggestions where the next process has more cores than the last.

    Raises:
        SpecError: it answers with anything but a suggestion or a signal.
    """
    rng = derive(seed, "ask", number)
    alone: AbstractContextManager[object] = nullcontext()
    if not sampler.traits.history_free:
        alone = _libraries().limit(limits=1)
    with alone:
        outcome: object = sampler.ask(number, pending, rng)
    if not isinstance(outcome, Suggestion | Signal):  # a study would take it for a sampler that waits, and hang
        raise SpecError(
            f"ask of {type(sampler).__name__} returns a Suggestion or a Signal, got {outcome!r}; "
            "wrap a configuration: Suggestion(config)"
        )
    return outcome


@functools.cache
def _libraries() -> Any:
    """The libraries for linear algebra of this process; looking for them takes longer than limiting them."""
    import scipy.linalg  # noqa: F401 - it brings its own
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
