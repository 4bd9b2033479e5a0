"""Calls of samplers: the one place that asks, tells and recalls, so that a suggestion can be recomputed anywhere."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from raytune_hpo.codec import is_json
from raytune_hpo.core.lending import lender
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Recalled, Status, changed
from raytune_hpo.protocols import Continue, Recaller, ReportReader, Sampler, Signal, Suggestion
from raytune_hpo.rng import derive
from raytune_hpo.space.values import fresh, show
from raytune_hpo.trial import Trial

_UNREAD = derive(0, "unread")  # for samplers that do not use their generator


class Telling:
    """Tells a sampler of pauses and ends of trials, in the order in which they happened.

    A sampler without ``reads_reports`` is told of each trial once: when it pauses first, or ends.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler, self._lend = sampler, lender(sampler)
        self._told_early: set[int] = set()

    def __call__(self, trial: Trial) -> None:
        if trial.status is not Status.PAUSED:
            if trial.number not in self._told_early:
                self._sampler.tell(self._lend(trial))
        elif self._sampler.traits.reads_reports:
            assert isinstance(self._sampler, ReportReader)
            self._sampler.observe(self._lend(trial))
        elif trial.number not in self._told_early:
            self._told_early.add(trial.number)
            self._sampler.tell(self._lend(trial))


def recall(sampler: Sampler, earlier: Recalled) -> None:
    """Tell a sampler of an earlier study, by a copy that it may keep and change."""
    assert isinstance(sampler, Recaller), "others are refused when the study is built"
    sampler.recall(changed(earlier, rows=[(list(row), score) for row, score in earlier.rows]))


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
        SpecError: the sampler returns anything but a suggestion or a signal, or a suggestion that breaks a rule.
    """
    turn = number if turn is None else turn
    assert turn is not None, "every question has a random stream of its own"
    rng = derive(seed, "ask", turn) if sampler.traits.reads_rng else _UNREAD
    alone: AbstractContextManager[object] = nullcontext()
    if not sampler.traits.history_free:
        alone = _libraries().limit(limits=1)
    pending = list(map(lender(sampler), pending))
    with alone:
        outcome: object = sampler.ask(number, pending, rng)  # type: ignore[arg-type]  # None only for those that continue
    if isinstance(outcome, Continue) and sampler.traits.continues:
        return outcome
    if not isinstance(outcome, Suggestion | Signal):  # else the study would wait for ever
        raise SpecError(
            f"ask of {type(sampler).__name__} returns a Suggestion or a Signal, got {outcome!r}; "
            "wrap a configuration: Suggestion(config)"
        )
    if isinstance(outcome, Suggestion):
        _check_suggestion(sampler, outcome, number)
        # A sampler may go on with what it has returned, which is the trial's from now on.
        return replace(outcome, config=fresh(outcome.config), meta=fresh(outcome.meta))
    return outcome


def check_stored(sampler: Sampler, what: str, value: object) -> None:
    """Check what a journal is to keep of a suggestion.

    Args:
        what: the name of the suggestion's field.

    Raises:
        SpecError: it is not a dict of JSON values, by which alone a replay finds it again as it was.
    """
    is_dict = isinstance(value, (dict, Mapping))  # a dict at once, which is ten times as fast
    if is_dict and is_json(value):
        return
    if not isinstance(value, Mapping):
        raise _refused(sampler, f"{what} is a dict", value, f"Suggestion({what}={{...}})")
    for key, part in value.items():
        if not isinstance(key, str):
            raise _refused(sampler, f"{what} has keys that are text", key, "write str(key)")
        if not is_json(part):
            way_out = "JSON has text, numbers, lists and dicts; .tolist() makes them of numpy's, also in a domain"
            raise _refused(sampler, f"{what} has JSON values", part, way_out, where=f" for {key!r}")


def _check_suggestion(sampler: Sampler, suggestion: Suggestion, number: int | None) -> None:
    """Check a suggestion as far as that needs no space: its configuration may have what is packed before it is stored."""
    config, parent = suggestion.config, suggestion.parent
    if not isinstance(config, (dict, Mapping)):
        raise _refused(sampler, "config is one configuration, a dict", config, "of a list, take one: sample(1, rng)[0]")
    if not all(isinstance(key, str) for key in config):
        raise _refused(sampler, "config has keys that are text", config, "they are the names of the parameters")
    if suggestion.meta is not None:
        check_stored(sampler, "meta", suggestion.meta)
    for field in ("parent", "from_step", "until"):
        value = getattr(suggestion, field)
        if value is not None and type(value) is not int:
            raise _refused(sampler, f"{field} is a whole number of Python's or None", value, "write int(...)")
    if parent is not None and number is not None and not 0 <= parent < number:
        way_out = "take the number of the trial that it was derived from"
        raise _refused(sampler, f"parent is one of the {number} trials before it", parent, way_out)


def _refused(sampler: Sampler, rule: str, value: object, way_out: str, *, where: str = "") -> SpecError:
    part = getattr(sampler, "unbound", sampler)
    kind = type(value)
    named = "" if kind.__module__ == "builtins" else f" ({kind.__module__}.{kind.__qualname__})"
    return SpecError(f"a suggestion's {rule}; ask of {type(part).__name__} gave {show(value)}{named}{where}: {way_out}")


@functools.cache
def _libraries() -> Any:
    """The linear algebra libraries of this process; cached, since finding them takes longer than limiting them."""
    import scipy.linalg  # noqa: F401 - it brings its own
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
