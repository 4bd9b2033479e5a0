"""The audit: recompute every suggestion and verdict of a study from its journal, and compare.

A suggestion is a function of the spec, the seed, its number, the results behind its basis and what was pending then;
a verdict is one of the reports before it, and so is a scheduler's choice of the paused trial that continues. One pass over
the facts is enough: the sampler is told each result at its place, and a suggestion is recomputed when the pass reaches its
basis, which lies before the fact that records it.

Results cannot be recomputed. Whether they are unchanged since they were written is checked by the journal's digests.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raytune_hpo import registry
from raytune_hpo.codec import to_jsonable
from raytune_hpo.core.asking import ask
from raytune_hpo.core.fold import StudyFold
from raytune_hpo.core.growing import drawn_value
from raytune_hpo.core.keeping import first_kept, resume_point
from raytune_hpo.core.ledger import damaged_at
from raytune_hpo.core.messages import SuggestionRequest
from raytune_hpo.core.suggestions import to_pending
from raytune_hpo.core.versions import installed_versions
from raytune_hpo.errors import InvalidTransition, JournalCorrupt, SpaceError, SpecError, SpecMismatch
from raytune_hpo.facts import Drawn, Fact, Reported, SessionOpened, Started, Status
from raytune_hpo.journal import Integrity
from raytune_hpo.protocols import Continue, Sampler, Scheduler, Suggestion
from raytune_hpo.space import Space
from raytune_hpo.space.growing import domain_of
from raytune_hpo.spec import Part, StudySpec, not_begun, stored_spec
from raytune_hpo.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference between the journal and the recomputation.

    Attributes:
        position: the fact's position in the journal, from 0.
        what: "config", "meta", "parent", "until", "basis", "verdict", "promotion", "checkpoint", or the parameter that was
            drawn.
    """

    number: int
    position: int
    what: str
    journalled: Any
    recomputed: Any

    def __str__(self) -> str:
        return (
            f"trial {self.number} (fact {self.position}): {self.what} {self.journalled!r} in the journal, "
            f"{self.recomputed!r} recomputed"
        )


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """The result of an audit.

    Attributes:
        num_suggestions, num_verdicts, num_promotions: how many were recomputed.
        num_enqueued: the user's own points, which cannot be recomputed.
        differences: in the order of the journal.
        integrity: whether the facts are unchanged since they were written; None if the storage was not asked.
        versions: by package, the versions that computed the study, where they differ from the one here, which is last.
    """

    name: str
    num_facts: int
    num_suggestions: int
    num_verdicts: int
    num_enqueued: int
    num_promotions: int
    differences: tuple[Difference, ...]
    integrity: Integrity | None = None
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not self.differences and (self.integrity is None or not self.integrity.broken)

    def __str__(self) -> str:
        promotions = f", {self.num_promotions} promotions" if self.num_promotions else ""
        counts = (
            f"study {self.name!r}: {self.num_facts} facts, {self.num_suggestions} suggestions{promotions} and "
            f"{self.num_verdicts} verdicts recomputed, {self.num_enqueued} enqueued points skipped"
        )
        if self.differences:
            lines = [f"{counts}; {len(self.differences)} differ:", *map(str, self.differences), *self._hints()]
        else:
            lines = [f"{counts}; all are as journalled"]
        if self.integrity is not None:
            lines.append(str(self.integrity))
        return "\n  ".join(lines)

    def _hints(self) -> Iterator[str]:
        """Possible causes of differences in rounding."""
        for package, (*journalled, here) in self.versions.items():
            yield f"computed with {package} {' and '.join(journalled)}, recomputed with {here}: it may round differently"


def audit(
    facts: Iterable[Fact],
    *,
    space: Space | None = None,
    sampler: Sampler | None = None,
    scheduler: Scheduler | None = None,
    integrity: Integrity | None = None,
) -> AuditReport:
    """Recompute a study.

    Args:
        facts: all of them, in order.
        space: the study's space, if it has functions: a journal has only their names.
        sampler, scheduler: those of the study, with their options, if the registry cannot rebuild them.
        integrity: the result of ``raytune_hpo.journal.integrity_of``, to be included in the report, or in the message of an
            error.

    Raises:
        SpaceError: a function of the space is needed, and none was passed.
        SpecMismatch: what was passed, or what is installed, differs from what the study was made with.
        JournalCorrupt: the facts are not those of a study.
    """
    try:
        report = _recomputed(list(facts), space, sampler, scheduler)
    except (JournalCorrupt, SpaceError, SpecError) as error:
        if integrity is None:
            raise
        raise type(error)(f"{error}; {integrity}") from error  # which can be told of any study
    return replace(report, integrity=integrity)


def _recomputed(
    journal: Sequence[Fact], space: Space | None, sampler: Sampler | None, scheduler: Scheduler | None
) -> AuditReport:
    spec = _spec(journal, space)
    live_sampler = sampler or _rebuilt("sampler", spec.sampler)
    _require("sampler", live_sampler, spec.sampler)
    live_scheduler = scheduler
    if spec.scheduler is not None:
        live_scheduler = scheduler or _rebuilt("scheduler", spec.scheduler)
        _require("scheduler", live_scheduler, spec.scheduler)
    report = _Auditor(spec, live_sampler, live_scheduler, journal).run()
    return replace(report, versions=_other_versions(journal))


class _Auditor:
    """One pass over a journal."""

    def __init__(self, spec: StudySpec, sampler: Sampler, scheduler: Scheduler | None, journal: Sequence[Fact]) -> None:
        self._spec, self._journal = spec, journal
        self._fold = StudyFold(spec, sampler, None if spec.scheduler is None else scheduler)
        self._ledger = self._fold.ledger
        self._differences: list[Difference] = []
        self._num_verdicts = self._num_promotions = 0
        starts = [(p, f) for p, f in enumerate(journal) if isinstance(f, Started)]
        self._num_first = sum(fact.attempt == 1 for _, fact in starts)
        continues = self._fold.sampler.traits.continues
        # The sampler's decisions, in the order in which they were handed out.
        self._decided = {p: f for p, f in starts if f.basis is not None and (f.attempt == 1 or continues)}
        self._positions = list(self._decided)
        self._asked: dict[int, tuple[int, int]] = {}  # (number of the new trial, number of its random stream)
        num_new = num_continued = 0
        for position, fact in starts:
            self._asked[position] = num_new, num_new + num_continued
            num_new += fact.attempt == 1
            num_continued += fact.attempt > 1 and position in self._decided
        self._due: defaultdict[int, list[int]] = defaultdict(list)  # their positions by the basis
        for position, fact in self._decided.items():
            assert fact.basis is not None
            self._due[min(fact.basis, position)].append(position)

    def run(self) -> AuditReport:
        for position, fact in enumerate(self._journal):
            try:
                self._recompute_due(position)
                if isinstance(fact, Reported):
                    self._check_verdict(position, fact)
                elif isinstance(fact, Started):
                    self._check_beginning(position, fact)
                elif isinstance(fact, Drawn):
                    self._check_drawn(position, fact)
                self._fold.apply(fact)
            except InvalidTransition as error:
                raise damaged_at(position, fact, error) from error
        num_suggestions = sum(fact.attempt == 1 for fact in self._decided.values())
        return AuditReport(
            name=self._spec.name,
            num_facts=len(self._journal),
            num_suggestions=num_suggestions,
            num_verdicts=self._num_verdicts,
            num_enqueued=self._num_first - num_suggestions,
            num_promotions=self._num_promotions,
            differences=tuple(sorted(self._differences, key=lambda d: d.position)),
        )

    # -------------------------------------------------------------------------------------------- suggestions

    def _recompute_due(self, seen: int) -> None:
        for position in self._due.get(seen, ()):
            fact = self._decided[position]
            if fact.basis is not None and fact.basis > position:  # a suggestion cannot have seen what came after it
                self._differ(fact.number, position, "basis", fact.basis, f"at most {position}")
            for what, journalled, recomputed in self._compared(fact, self._ask(position, fact)):
                if _canonical(journalled) != _canonical(recomputed):
                    self._differ(fact.number, position, what, journalled, recomputed)

    def _ask(self, position: int, fact: Started) -> Any:
        number, turn = self._asked[position]
        limit = self._ledger.spec.limits.num_trials
        is_full = limit is not None and number >= limit + len(self._ledger.retried)
        asked = None if fact.attempt > 1 and is_full else number
        try:
            return ask(self._fold.sampler, asked, self._pending(position), self._spec.seed, turn=turn)
        except SpaceError as error:
            raise SpaceError(
                f"trial {number} of study {self._spec.name!r} cannot be recomputed: {error} "
                f"(raytune-hpo audit {self._spec.name} --file FILE.py)"
            ) from error

    def _compared(self, fact: Started, outcome: Any) -> Iterator[tuple[str, Any, Any]]:
        if fact.attempt > 1:
            self._num_promotions += 1
            yield "promotion", [fact.number, fact.until], _chosen(outcome)
            return
        if not isinstance(outcome, Suggestion):
            yield "config", fact.config, str(getattr(outcome, "value", outcome))
            return
        space = self._spec.space
        # Users' functions may be random themselves, so derived values are not compared.
        yield "config", space.chosen(fact.config or {}), space.chosen(space.pack(outcome.config))
        yield "meta", fact.meta, outcome.meta
        yield "parent", fact.parent, outcome.parent
        yield "until", fact.until, outcome.until

    def _pending(self, position: int) -> tuple[Trial, ...]:
        """The pending trials of an ask: those that were unfinished, and suggestions that were not handed out yet."""
        if not self._fold.sampler.traits.reads_pending:
            return ()
        first, end = bisect_left(self._positions, self._ledger.seen), bisect_left(self._positions, position)
        prepared = [self._prepared(self._decided[p]) for p in self._positions[first:end]]
        return (*self._ledger.pending(), *prepared)

    def _prepared(self, fact: Started) -> Trial:
        """A trial as it was before it was handed out."""
        if fact.attempt > 1:
            return replace(self._ledger.trials[fact.number], status=Status.WAITING)
        assert fact.basis is not None and fact.config is not None
        config = self._spec.space.unpack(fact.config)
        request = SuggestionRequest(number=fact.number, turn=fact.number, basis=fact.basis, history=0)
        return to_pending(request, Suggestion(config, meta=fact.meta, parent=fact.parent))

    def _check_drawn(self, position: int, fact: Drawn) -> None:
        """Recompute a parameter that an objective asked for, unless a user chose its value."""
        if fact.is_given or fact.number >= len(self._ledger.trials):
            return
        trial = self._ledger.trials[fact.number]
        value = drawn_value(self._spec.seed, trial, fact.name, domain_of(fact.domain))
        if _canonical(value) != _canonical(fact.value):
            self._differ(fact.number, position, f"parameter {fact.name!r}", fact.value, value)

    # -------------------------------------------------------------------------------------------- resumed trials

    def _check_beginning(self, position: int, fact: Started) -> None:
        """Check from which checkpoint a trial resumes, and the scheduler's choice to promote it."""
        if fact.attempt > 1 and fact.basis is not None and position not in self._decided:
            self._num_promotions += 1
            chosen = self._fold.promotion(final=False) or self._fold.promotion(final=True)
            if _chosen(chosen) != [fact.number, fact.until]:
                self._differ(fact.number, position, "promotion", [fact.number, fact.until], _chosen(chosen))
        begin = fact.from_trial, fact.from_step
        if fact.attempt > 1:
            trial = self._ledger.trials[fact.number]
            expected = resume_point(self._ledger, trial)
            is_so = begin in (expected, (None, trial.last_step))
        else:  # a child's; one without any found none that was kept
            expected = first_kept(self._ledger, fact.parent, fact.from_step)
            is_so = begin in (expected, (None, None))
        if not is_so:
            self._differ(fact.number, position, "checkpoint", list(begin), list(expected))

    # -------------------------------------------------------------------------------------------- verdicts

    def _check_verdict(self, position: int, fact: Reported) -> None:
        if self._fold.scheduler is None:
            return
        self._num_verdicts += 1
        verdict = self._fold.judge(fact)
        if verdict is not fact.verdict:
            self._differ(fact.number, position, "verdict", fact.verdict.value, verdict.value)

    def _differ(self, number: int, position: int, what: str, journalled: Any, recomputed: Any) -> None:
        found = Difference(number=number, position=position, what=what, journalled=journalled, recomputed=recomputed)
        self._differences.append(found)


def _chosen(outcome: Any) -> Any:
    """The trial that was chosen to continue, and until which step; None if there was none."""
    return [outcome.number, outcome.until] if isinstance(outcome, Continue) else None


# ---------------------------------------------------------------------------------------------- the study's parts


def _spec(journal: Sequence[Fact], space: Space | None) -> StudySpec:
    if not journal:
        raise not_begun()
    stored = registry.current_spec(stored_spec(journal[0]))
    if space is None:  # derived values are not compared, so their functions are not needed
        return replace(stored, space=stored.space.without_functions())
    live = replace(stored, space=space)
    live.require_same(stored)
    return live


def _other_versions(journal: Sequence[Fact]) -> dict[str, tuple[str, ...]]:
    """By package: the versions of the sessions, in order, and the one here; packages with a single version are left out."""
    sessions = [fact.versions for fact in journal if isinstance(fact, SessionOpened)]
    here = installed_versions()
    found = {}
    for package in dict.fromkeys(name for versions in sessions for name in versions):
        journalled = tuple(dict.fromkeys(versions[package] for versions in sessions if package in versions))
        if journalled != (here.get(package),):
            found[package] = (*journalled, here.get(package, "none"))
    return found


def _rebuilt(role: str, part: Part) -> Any:
    return registry.make(role, {**part.options, "name": part.name})


def _require(role: str, live: object, part: Part) -> None:
    """Check that a part is the study's own: another version or other options would give other suggestions."""
    found = registry.describe(role, live)
    if (str(found), found.version) != (str(part), part.version):
        raise SpecMismatch(
            f"the study was made with {role} {part} version {part.version}, this audit has {found} version "
            f"{found.version}; use the release that made it, or pass the {role}"
        )


def _canonical(value: Any) -> str:
    """A text that is the same for equal JSON: floats compare bit for bit, 1 differs from 1.0, tuples equal lists."""
    return json.dumps(to_jsonable(value), sort_keys=True)
