"""Storage in memory: studies live as long as this object."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import get_args

from raytune_hpo.checkpoints.deleting import delete_all
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Fact, changed
from raytune_hpo.journal.storage import (
    PATIENCE_S,
    BaseStorage,
    StudyRow,
    check_is_text,
    check_name,
    closed,
    conflict,
    missing,
    taken,
)

_PLAIN = {"int", "int | None", "float", "float | None", "str", "str | None", "bool", "Status", "Verdict"}
_CHANGEABLE = {kind: tuple(f.name for f in fields(kind) if f.type not in _PLAIN) for kind in get_args(Fact)}


def _copied(fact: Fact) -> Fact:
    """The fact with dicts and lists of its own, as if it went to a disk or came from one."""
    from raytune_hpo.space.values import fresh  # it comes with numpy, which a storage is opened without

    return changed(fact, **{name: fresh(getattr(fact, name)) for name in _CHANGEABLE[type(fact)]})


@dataclass
class _Study:
    name: str
    created_at: float = field(default_factory=time.time)
    facts: list[Fact] = field(default_factory=list)  # only ever grows, so a prefix of it is a snapshot
    by_number: dict[int, list[Fact]] = field(default_factory=dict)
    owner: str | None = None  # who has the right to write

    def extend(self, facts: Sequence[Fact]) -> None:
        self.facts.extend(facts)
        for fact in facts:
            if (number := getattr(fact, "number", None)) is not None:
                self.by_number.setdefault(number, []).append(fact)

    def read(self, start: int) -> Iterator[Fact]:
        return map(_copied, islice(self.facts, start, len(self.facts)))


class MemoryStorage(BaseStorage):
    """Studies in memory. Two of these share nothing; hand the object around to share it."""

    def __init__(self) -> None:
        self.url = "memory"
        self._studies: dict[str, _Study] = {}
        self._mutex = threading.Lock()

    @classmethod
    def open(cls, words: str, *, patience_s: float = PATIENCE_S) -> MemoryStorage:
        if words != "memory":
            raise SpecError('studies in memory are named by the word "memory" alone, without ://')
        return cls()

    def journal(self, name: str, *, create: bool, owner: str) -> MemoryJournal:
        with self._mutex:
            if create:
                self._studies.setdefault(check_name(name), _Study(name))
            study = self._find(name)
            if study.owner is not None:
                raise taken(name, study.owner)
            study.owner = owner
        return MemoryJournal(study)

    def read(self, name: str, start: int = 0) -> Iterator[Fact]:
        return self._find(name).read(start)

    def trial_facts(self, name: str, number: int) -> list[Fact]:
        return list(map(_copied, self._find(name).by_number.get(number, ())))

    def studies(self) -> list[StudyRow]:
        studies = list(self._studies.values())
        return [StudyRow(name=s.name, created_at=s.created_at, num_facts=len(s.facts)) for s in studies]

    def delete(self, name: str) -> None:
        with self._mutex:
            study = self._find(name)
            if study.owner is not None:
                raise taken(name, study.owner, to_delete=True)
            del self._studies[name]
        delete_all(study.facts, self.url, name)

    def _find(self, name: str) -> _Study:
        try:
            return self._studies[check_is_text(name)]
        except KeyError:
            raise missing(name, self.url, list(self._studies)) from None


class MemoryJournal:
    """The right to write one study in memory."""

    def __init__(self, study: _Study) -> None:
        self._study = study
        self._open = True
        self._mutex = threading.Lock()

    def append(self, facts: Sequence[Fact], *, expect: int) -> None:
        study = self._study
        with self._mutex:
            if not self._open:
                raise closed(study.name)
            if len(study.facts) != expect:
                raise conflict(study.name, expect, len(study.facts))
            study.extend(list(map(_copied, facts)))

    def read(self, start: int = 0) -> Iterator[Fact]:
        return self._study.read(start)

    def close(self) -> None:
        with self._mutex:
            if self._open:
                self._open = False
                self._study.owner = None
