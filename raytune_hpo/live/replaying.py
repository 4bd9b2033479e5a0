"""Replay of a live study: every decision computed again, from the facts alone, and compared with the journal.

People's commands, measurements and the results of changes are inputs. Recomputed is what follows from them: which window
came next, with which configuration, when the system had drifted, and when it had to freeze.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raytune_hpo import registry
from raytune_hpo.codec import to_jsonable
from raytune_hpo.core.fold import StudyFold
from raytune_hpo.core.ledger import damaged_at
from raytune_hpo.errors import InvalidTransition, SpecError, nearest
from raytune_hpo.facts import Drifted, Fact, Frozen, Started
from raytune_hpo.live.deciding import Window, due_facts, windows_due
from raytune_hpo.live.fold import LiveFold
from raytune_hpo.live.plan import LivePlan
from raytune_hpo.options import whole
from raytune_hpo.protocols import Sampler
from raytune_hpo.spec import StudySpec, not_begun, stored_spec


@dataclass(frozen=True, kw_only=True)
class OtherDecision:
    """A decision that differs in the replay. ``position``: the fact's position in the journal, from 0."""

    position: int
    what: str
    journalled: Any
    recomputed: Any

    def __str__(self) -> str:
        return f"fact {self.position}: {self.what} {self.journalled!r} in the journal, {self.recomputed!r} recomputed"


@dataclass(frozen=True, kw_only=True)
class LiveReplay:
    """The result of a replay. ``num_decisions``: windows, candidates, drifts and freezes that were computed again."""

    name: str
    num_facts: int
    num_decisions: int
    differences: tuple[OtherDecision, ...]

    def __str__(self) -> str:
        counts = f"live study {self.name!r}: {self.num_facts} facts, {self.num_decisions} decisions computed again"
        if not self.differences:
            return f"{counts}; all are as journalled"
        return "\n  ".join([f"{counts}; {len(self.differences)} differ:", *map(str, self.differences)])


def stored_plan(facts: Sequence[Fact]) -> tuple[StudySpec, LivePlan]:
    """The spec and the plan of a stored live study.

    Raises:
        SpecError: it is not a live study.
        JournalCorrupt: there are no facts.
    """
    if not facts:
        raise not_begun()
    spec = registry.current_spec(stored_spec(facts[0]))
    if "live" not in spec.settings:
        raise SpecError(f"{spec.name!r} is not a live study; name one that is")
    return replace(spec, space=spec.space.without_functions()), LivePlan.stored(spec.settings["live"])


def live_parts(facts: Sequence[Fact], without_context: Sequence[str] = ()) -> tuple[StudySpec, LivePlan, Sampler]:
    """The spec, plan and sampler of a stored live study; without some columns of its context, to see their effect.

    Raises:
        SpecError: it is not a live study, has no such column, or has a sampler that is not installed.
    """
    spec, plan = stored_plan(facts)
    for column in without_context:
        if column not in plan.context:
            raise SpecError(f"the context has no column {column!r}; {nearest(column, plan.context)}")
    options = dict(spec.sampler.options)
    if without_context:
        context = {name: edges for name, edges in plan.context.items() if name not in without_context}
        plan = replace(plan, context=context)
        options["context"] = list(context)
    return spec, plan, registry.make("sampler", {**options, "name": spec.sampler.name})


def replayed(
    facts: Sequence[Fact], spec: StudySpec, plan: LivePlan, sampler: Sampler, until: int | None = None
) -> LiveReplay:
    """Compute all decisions again, up to fact number ``until``.

    Raises:
        SpecError: ``until`` is not a number of facts.
        JournalCorrupt: a fact cannot follow those before it.
    """
    if until is not None:
        whole("until", until, least=0)
    replay = _Replay(LiveFold(plan, StudyFold(spec, sampler)))
    considered = facts[:until]
    for position, fact in enumerate(considered):
        try:
            replay.take(position, fact)
        except InvalidTransition as error:
            raise damaged_at(position, fact, error) from error
    return LiveReplay(
        name=spec.name,
        num_facts=len(considered),
        num_decisions=replay.num_decisions,
        differences=tuple(replay.differences),
    )


class _Replay:
    """One pass over a journal."""

    def __init__(self, fold: LiveFold) -> None:
        self.fold = fold
        self.num_decisions = 0
        self.differences: list[OtherDecision] = []
        self._due: list[Window] = []

    def take(self, position: int, fact: Fact) -> None:
        if isinstance(fact, Started):
            self._compare_window(position, fact)
        elif isinstance(fact, Drifted):
            self._compare(position, "drift", fact, [f for f in due_facts(self.fold, fact.at) if isinstance(f, Drifted)])
        elif isinstance(fact, Frozen) and self.fold.reason_to_freeze(fact.at) is not None:
            self._compare(position, "freeze", fact, [f for f in due_facts(self.fold, fact.at) if isinstance(f, Frozen)])
        self.fold.apply(fact)

    def _compare_window(self, position: int, fact: Started) -> None:
        if not self._due:
            self._due = windows_due(self.fold, fact.at)
        window = self._due.pop(0) if self._due else None
        self.num_decisions += 1
        space = self.fold.study.ledger.spec.space
        pairs: list[tuple[str, Any, Any]] = [("window", fact.number, None if window is None else window.number)]
        if window is not None:
            pairs += [
                ("configuration", space.chosen(fact.config or {}), space.chosen(space.pack(window.config))),
                ("meta", fact.meta, window.meta),
                ("basis", fact.basis, window.basis),
            ]
        for what, journalled, recomputed in pairs:
            if to_jsonable(journalled) != to_jsonable(recomputed):
                self._differ(position, f"{what} of trial {fact.number}", journalled, recomputed)
        if window is None or window.number != fact.number:
            self._due = []

    def _compare(self, position: int, what: str, fact: Fact, recomputed: Sequence[Fact]) -> None:
        self.num_decisions += 1
        if list(recomputed) != [fact]:
            self._differ(position, what, _said(fact), [_said(other) for other in recomputed])

    def _differ(self, position: int, what: str, journalled: Any, recomputed: Any) -> None:
        found = OtherDecision(position=position, what=what, journalled=journalled, recomputed=recomputed)
        self.differences.append(found)


def _said(fact: Fact) -> Mapping[str, Any] | str:
    return fact.reason if isinstance(fact, Frozen) else repr(fact)
