"""The timeline of a live study: what it did, when and why, as events computed from its facts.

Most of what people ask about (a promotion, a candidate that is dropped) is not a fact itself but follows from facts. So the
facts are folded, and changes of state between one and the next become events.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytune_hpo.core.fold import StudyFold
from raytune_hpo.display.text import config_line, number, value_text
from raytune_hpo.facts import Approved, BaselineSet, Drifted, Fact, Finished, Frozen, Started, Status, Thawed
from raytune_hpo.live.deciding import Deaf
from raytune_hpo.live.fold import RETRY, LiveFold
from raytune_hpo.live.plan import LivePlan
from raytune_hpo.numerics.sequential import Judgement
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

GUARD = "guard"  # the kind of event in which a guard was broken


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of the timeline.

    Attributes:
        seq: the position of the fact that caused it.
        at: when it happened, in epoch seconds (UTC).
        kind: proposed, canary, promoting, promoted, paused, let go, guard, rolled back, context, baseline, approved, frozen,
            thawed, drifted or unproven.
        said, why: the event and its reason, in words.
        number: the number of the candidate's trial, if it is about one.
    """

    seq: int
    at: float
    kind: str
    said: str
    why: str = ""
    number: int | None = None


@dataclass(frozen=True, kw_only=True)
class Share:
    """What runs from a time on.

    Attributes:
        at: from when on, in epoch seconds (UTC).
        share: the candidate's share of the traffic; 0 if none is under trial.
        candidate, promoted: numbers of the trials that proposed them; None for none, and for the baseline.
    """

    at: float
    share: float
    candidate: int | None
    promoted: int | None


class Timeline:
    """A live study's state and history.

    Args:
        spec, plan: as stored.

    Attributes:
        fold: the state now.
        events, shares: in the order in which they happened.
    """

    def __init__(self, spec: StudySpec, plan: LivePlan) -> None:
        self.fold = LiveFold(plan, StudyFold(spec, Deaf()))
        self.events: list[Event] = []
        self.shares: list[Share] = []
        # The numbers of the trials whose configurations are in ``fold.promoted``.
        self._promoted: defaultdict[str, list[int]] = defaultdict(list)
        self._fact: Fact | None = None

    @property
    def promoted_number(self) -> int | None:
        """The number of the trial that proposed what is promoted in the current context; None for the baseline."""
        stack = self._promoted[self.fold.place]
        return stack[-1] if stack else None

    def events_between(self, begin: float, end: float) -> list[Event]:
        """The events of a period; its end is excluded."""
        first, last = (bisect_left(self.events, at, key=lambda event: event.at) for at in (begin, end))
        return self.events[first:last]

    def windows_between(self, begin: float, end: float) -> list[Trial]:
        """The windows that began in a period; its end is excluded."""
        trials = self.fold.study.ledger.trials
        first, last = (bisect_left(trials, at, key=lambda trial: trial.started_at or 0.0) for at in (begin, end))
        return [trials[i] for i in range(first, last)]

    def take(self, fact: Fact) -> None:
        """Apply the next fact."""
        fold = self.fold
        before, stage = fold.candidate, fold.candidate.stage if fold.candidate is not None else 0
        was_rolling_back, place = fold.is_rolling_back, fold.place
        heights = {name: len(stack) for name, stack in fold.promoted.items()}
        was_unproven = set(fold.unproven)
        fold.apply(fact)
        self._fact = fact
        if isinstance(fact, Finished) and fact.status is Status.FAILED:
            self._say(GUARD, f"Trial {fact.number} broke a guard.", fact.reason or "", fact.number)
        self._of_person(fact)
        if fold.candidate is not before or (before is not None and before.stage != stage):
            self._of_candidate(before, heights)
        self._of_demoted(was_unproven)
        for name, numbers in self._promoted.items():
            del numbers[len(fold.promoted.get(name, ())) :]
        if was_rolling_back and isinstance(fact, Started) and not fold.is_rolling_back:
            self._say("rolled back", f"Rolled back to {self._running()}, read back and confirmed.")
        if fold.place != place:
            self._say("context", f"The context is of class {fold.place}: {self._running()} runs.")
        self._note_share(fact.at)

    def _of_demoted(self, was_unproven: set[str]) -> None:
        """Record which promoted configurations a drift has demoted."""
        for place in self.fold.unproven:
            numbers = self._promoted.get(place, [])
            if place not in was_unproven and numbers:
                where = f" where {place}" if place else ""
                said = f"{numbers[-1]} is unproven{where}: the baseline runs."
                self._say("unproven", said, "It is tried again after observing.", numbers[-1])

    def _of_person(self, fact: Fact) -> None:
        if isinstance(fact, BaselineSet):
            config = config_line(self.fold.baseline or {})
            self._say("baseline", f"{fact.by} set the baseline: {config}.", fact.reason)
        elif isinstance(fact, Approved):
            self._say("approved", f"{fact.by} approved trial {fact.number}.", number=fact.number)
            self._say_canary(fact.number)
        elif isinstance(fact, Frozen):
            self._say("frozen", f"{fact.by} froze it.", fact.reason)
        elif isinstance(fact, Thawed):
            self._say("thawed", f"{fact.by} thawed it.")
        elif isinstance(fact, Drifted):
            statistic, threshold = number(fact.statistic), number(fact.threshold)
            self._say(
                "drifted", f"The system has drifted, as trial {fact.number} showed.", f"{statistic} over {threshold}."
            )

    def _of_candidate(self, before: Any, heights: Mapping[str, int]) -> None:
        """Record that a candidate was proposed, passed a stage, was promoted, or was dropped."""
        fold, now = self.fold, self.fold.candidate
        if now is not None and now is not before:
            if now.is_approved:
                self._say_canary(now.number)
            else:
                self._say("proposed", f"Trial {now.number} waits for a person.", self._changes(now.number), now.number)
        elif now is not None:
            self._say("promoting", f"{now.number} went to {_percent(fold.share)}.", self._gain(now), now.number)
        elif len(fold.promoted.get(before.place, ())) > heights.get(before.place, 0):
            self._promoted[before.place].append(before.number)
            self._say("promoted", f"{before.number} went to 100 %.", self._gain(before), before.number)
        elif before.place in fold.paused:
            said = f"{before.number} is paused until the context is of class {before.place} again."
            self._say("paused", said, self._gain(before), before.number)
        elif not isinstance(self._fact, (Frozen, BaselineSet)):
            why = "It broke a guard." if fold.is_rolling_back else "The context changed."
            if isinstance(self._fact, Finished) and self._fact.status is Status.PRUNED:
                why = f"{(self._fact.reason or 'it was cut short').capitalize()}."
            if before.last_judgement is not Judgement.OPEN and not fold.is_rolling_back and before.judged:
                why = f"No better than what runs: {self._gain(before)}"
            self._say("let go", f"{before.number} is let go.", why, before.number)

    def _say_canary(self, candidate: int) -> None:
        trial, now = self.fold.study.ledger.trials[candidate], self.fold.candidate
        more = f" The model gives {trial.meta['safe']:.2f} that all guards hold." if "safe" in trial.meta else ""
        if trial.meta.get("role") == RETRY:
            more = " It was promoted before the system drifted, and is unproven."
        verb = "began" if now is None or now.opened == candidate else "goes on"
        self._say(
            "canary",
            f"Canary of {candidate} {verb} at {_percent(self.fold.share)}.",
            f"{self._changes(candidate)}{more}",
            candidate,
        )

    def _changes(self, candidate: int) -> str:
        """The changes of a candidate against what runs, in words."""
        config, now = self.fold.study.ledger.trials[candidate].config, self.fold.incumbent() or {}
        names = [name for name in config if config[name] != now.get(name)]
        return ", ".join(f"{name} {value_text(now.get(name))} to {value_text(config[name])}" for name in names) + "."

    def _gain(self, candidate: Any) -> str:
        """The improvement of the goal in the pairs that were judged last, in words."""
        usual = self.fold.usual_loss()
        if not candidate.judged or not usual:
            return ""
        share = float(np.mean(candidate.judged)) / abs(usual)
        word = "better" if share < 0 else "worse"
        return (
            f"{self.fold.goal.metric} {100 * abs(share):.1f} % {word} than control in {len(candidate.judged)} windows."
        )

    def _running(self) -> str:
        return "the baseline" if (number := self.promoted_number) is None else str(number)

    def _say(self, kind: str, said: str, why: str = "", number: int | None = None) -> None:
        assert self._fact is not None
        seq = self.fold.study.ledger.seen - 1
        self.events.append(Event(seq=seq, at=self._fact.at, kind=kind, said=said, why=why, number=number))

    def _note_share(self, at: float) -> None:
        candidate = self.fold.candidate
        is_tried = candidate is not None and candidate.is_approved
        share = self.fold.share if is_tried else 0.0
        tried = candidate.number if candidate is not None and is_tried else None
        now = Share(at=at, share=share, candidate=tried, promoted=self.promoted_number)
        last = self.shares[-1] if self.shares else None
        if last is None or (last.share, last.candidate, last.promoted) != (now.share, now.candidate, now.promoted):
            self.shares.append(now)


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
