"""The contract of a storage, the base class of those that have a URL, and the messages that all of them share."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from raytune_hpo.codec import Row, to_row
from raytune_hpo.display.text import writable
from raytune_hpo.errors import JournalError, SequenceConflict, SpecError, StudyExists, StudyNotFound
from raytune_hpo.facts import Fact
from raytune_hpo.journal.digests import Integrity

if TYPE_CHECKING:  # protocols.py needs numpy and the spaces, remembering does not
    from raytune_hpo.protocols import Journal

PATIENCE_S = 600.0  # how long an append waits for a database that is gone, slow or full
_SHOWN = 5  # studies named in a message


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRow:
    """One line in the list of studies."""

    name: str
    created_at: float
    num_facts: int


class StoredStudies(Protocol):
    """The methods of a Storage that need no right to write; a storage on another machine has only these."""

    def read(self, name: str, start: int = 0) -> Iterator[Fact]:
        """The study's facts from position ``start`` on, as they were when the reading began; disturbs no writer.

        Raises:
            StudyNotFound: at once.
            JournalCorrupt: at the first fact that is missing or cannot be read.
        """
        ...

    def trial_facts(self, name: str, number: int) -> list[Fact]:
        """All facts of one trial, in order, found by index; empty if there are none."""
        ...

    def studies(self) -> list[StudyRow]:
        """The studies in the order in which they were created."""
        ...

    def delete(self, name: str) -> None:
        """Delete a study and its checkpoints (``checkpoints.deleting.delete_all``).

        Raises:
            StudyExists: a process has the right to write it.
        """
        ...

    def close(self) -> None:
        """Release the storage's own resources; journals are closed by their users."""
        ...


@runtime_checkable
class Storage(StoredStudies, Protocol):
    """Holds studies by name. Thread-safe; every exception that leaves it is one of ``raytune_hpo.errors``.

    Attributes:
        url: where it is, fit for a message: passwords are hidden.
    """

    url: str

    def journal(self, name: str, *, create: bool, owner: str) -> Journal:
        """Acquire the right to write one study, exclusively until the journal is closed or its process has ended.

        Args:
            create: whether a study that does not exist is created, or refused.
            owner: the writer's name, for the message that others get.

        Raises:
            StudyExists: another writer has the right, here or in another process.
            StudyNotFound: it does not exist, and ``create`` is False.
        """
        ...

    def rows(self, name: str, start: int = 0) -> Iterator[Row]:
        """The facts of ``read`` in their stored form, not decoded, for passing them on."""
        ...


class BaseStorage(ABC):
    """Base class of the storages that users name by a URL; see ``Storage`` for the contract of the methods.

    A subclass is registered under its URL scheme as an entry point of ``raytune_hpo.journals``.

    Attributes:
        is_movable: whether every node of a cluster reaches the same studies by the same URL, so that the optimizer may move
            from one node to another.
        needs: modules that the optimizer's process needs beyond this package, and the packages that provide them.
    """

    is_movable: ClassVar[bool] = False
    needs: ClassVar[Mapping[str, str]] = MappingProxyType({})
    url: str

    @classmethod
    @abstractmethod
    def open(cls, words: str, *, patience_s: float = PATIENCE_S) -> BaseStorage:
        """Open the storage of a URL. Creates nothing and connects to nothing before it is used.

        Args:
            words: the URL as it was typed, with the scheme.
            patience_s: how long an append waits for a place that is gone, slow or full.

        Raises:
            SpecError: the URL names no such storage; the message repeats no password.
        """

    @classmethod
    def absolute(cls, words: str) -> str:
        """The URL in a form that means the same from every folder of this machine."""
        return words

    @abstractmethod
    def journal(self, name: str, *, create: bool, owner: str) -> Journal: ...

    @abstractmethod
    def read(self, name: str, start: int = 0) -> Iterator[Fact]: ...

    @abstractmethod
    def studies(self) -> list[StudyRow]: ...

    @abstractmethod
    def delete(self, name: str) -> None: ...

    def prepare(self) -> None:
        """Create whatever studies are stored in, unless it is there: what prevents that is then known before a study is.

        Raises:
            JournalError: it cannot be created.
        """
        return

    def integrity(self, name: str) -> Integrity:
        """Whether the study's facts are unchanged since they were written, as far as this storage keeps digests.

        Raises:
            StudyNotFound: it does not exist.
        """
        return Integrity(num_batches=0, num_untold=sum(1 for _ in self.rows(name)))

    def rows(self, name: str, start: int = 0) -> Iterator[Row]:
        return map(to_row, self.read(name, start))

    def trial_facts(self, name: str, number: int) -> list[Fact]:
        return [fact for fact in self.read(name) if getattr(fact, "number", None) == number]

    def close(self) -> None:
        """Release the storage's own resources, if it has any."""
        return


def integrity_of(studies: StoredStudies, name: str) -> Integrity:
    """Whether a study's facts are unchanged since they were written, as far as they have digests.

    Raises:
        StudyNotFound: it does not exist.
    """
    # Not part of the contract: storages of plug-ins, and those of earlier versions of this package, keep no digests.
    verify = getattr(studies, "integrity", None)
    if verify is None:
        return Integrity(num_batches=0, num_untold=sum(1 for _ in studies.read(name)))
    found: Integrity = verify(name)
    return found


def check_name(name: str) -> str:
    """Check a study's name, and return it.

    Raises:
        SpecError: it is empty, or has characters that no database keeps.
    """
    if not check_is_text(name).strip() or not name.isprintable():
        raise SpecError(f"a study's name is printable text that is not blank, got {name!r}")
    return name


def check_is_text(name: str) -> str:
    """Check the name of a study that is looked up, which may have been written by another release; return it.

    Raises:
        SpecError: it is not text, or has lone surrogates, which no database keeps.
    """
    if not isinstance(name, str):
        raise SpecError(f"a study's name is text, got {name!r}; raytune-hpo studies lists the names")
    if writable(name) != name:
        raise SpecError(
            f"a study's name is text, got {name!r} with bytes that are none; where the locale is ASCII, set PYTHONUTF8=1"
        )
    return name


def taken(name: str, holder: str, *, to_delete: bool = False) -> StudyExists:
    """The error for a study that another process writes.

    Args:
        to_delete: it was to be deleted, not run.
    """
    if to_delete:
        return StudyExists(f"study {name!r} is being run by {holder}; stop it or wait for its end, then delete it")
    return StudyExists(
        f"study {name!r} is being run by {holder}; follow it with hpo.attach({name!r}), close the run that start() returned "
        f"if it has ended (run.close()), or use another name"
    )


def missing(name: str, url: str, known: Sequence[str]) -> StudyNotFound:
    """The error for a missing study; its message lists studies with a similar name, or the newest ones."""
    close = difflib.get_close_matches(name, known, n=_SHOWN)
    if close:
        hint = f"did you mean {' or '.join(map(repr, close))}?"
    elif known:
        hint = f"it holds {len(known)}, the newest: {', '.join(map(repr, reversed(known[-_SHOWN:])))}"
    else:
        hint = "it holds no study; is this the storage that was written?"
    return StudyNotFound(f"no study {name!r} in {url}: {hint}")


def conflict(name: str, expect: int, length: int) -> SequenceConflict:
    """The error for an append after ``expect`` facts to a study that holds ``length``."""
    what, way_out = (
        ("someone else wrote to it", "read it again and continue from there")
        if length > expect
        else ("it was deleted, or facts were taken from it", "open it again to go on with what is left")
    )
    return SequenceConflict(
        f"study {name!r} must hold exactly {expect} facts for these to follow, it holds {length}: {what}; {way_out}"
    )


def closed(name: str) -> JournalError:
    """The error for an append to a journal that has been closed."""
    return JournalError(f"the journal of study {name!r} has been closed; open the study again to write to it")
