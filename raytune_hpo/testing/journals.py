"""The contract of storages and their journals: rules that every storage must keep."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from raytune_hpo.codec import decode
from raytune_hpo.errors import HpoError, JournalError, SequenceConflict, SpecError, StudyExists, StudyNotFound
from raytune_hpo.facts import Fact, Printed, Started
from raytune_hpo.journal import Storage, integrity_of, open_storage
from raytune_hpo.protocols import Journal
from raytune_hpo.testing.cases import case
from raytune_hpo.testing.killing import killed_amid
from raytune_hpo.testing.short_study import AT, journal_facts, started

_BATCH = 50  # facts in each append of the writer that is killed
_PATIENCE_S = 30.0  # for a server that has yet to notice that a writer is gone
_ODD_NAMES = (
    "Größe/数据 'x' \"y\"; --",
    "../../up",
    "..",
    "/root",
    "a/b",
    "a%2Fb",
    "A/B",
    "con.",
    " blanks around ",
    "%s {} $HOME *?",
    "x" * 200,
    "数" * 80,
)


@dataclass(frozen=True)
class JournalPlace:
    """A place for studies, empty at first, where a storage can be opened.

    Attributes:
        words: the argument that names the place, or a Storage itself.
        lasts: whether a second storage opened with the same words finds what the first one wrote.
    """

    words: Any
    open_at: Callable[[Any], Storage] = open_storage
    lasts: bool = True

    def open(self) -> Storage:
        return self.open_at(self.words)

    def other(self, storage: Storage) -> Storage:
        """The same studies through another storage object, if the place allows one."""
        return self.open() if self.lasts else storage


def journal_cases(
    make_words: Callable[[], Any],
    open_at: Callable[[Any], Storage] = open_storage,
    *,
    lasts: bool = True,
    impossible: Any = None,
) -> dict[str, Callable[[], None]]:
    """Every check of a storage, each in a place of its own.

    Args:
        make_words: returns words that name a new, empty place at each call, such as a URL in a new folder.
        open_at: opens the storage that the words name; by default, the one registered for them.
        lasts: False if studies live only as long as the storage object, so that no other object finds them.
        impossible: words for a place that cannot be created, such as a folder below a file; they add the case
            ``place_that_cannot_be_made``.
    """

    def run(check: Callable[[JournalPlace], None], make: Callable[[], Any] = make_words) -> None:
        case(check, JournalPlace(make(), open_at, lasts))()

    cases: dict[str, Callable[[], None]] = {
        check.__name__.removeprefix("check_"): partial(run, check) for check in JOURNAL_CHECKS
    }
    if impossible is not None:
        cases["place_that_cannot_be_made"] = partial(run, check_place_that_cannot_be_made, lambda: impossible)
    return cases


# ---------------------------------------------------------------------------------------------- facts


def _are(found: Iterable[Fact], facts: Iterable[Fact]) -> bool:
    """Equality in which NaN equals NaN, and 1 differs from 1.0."""
    return [repr(fact) for fact in found] == [repr(fact) for fact in facts]


def _hold(storage: Storage, name: str = "mnist", *, create: bool = True, owner: str = "me") -> Journal:
    return storage.journal(name, create=create, owner=owner)


@contextlib.contextmanager
def _refused(error: type[HpoError], says: str, why: str) -> Iterator[None]:
    try:
        yield
    except error as caught:
        assert re.search(says, str(caught)), f"{why}: the message should say {says!r}, got {caught}"
    except Exception as caught:
        raise AssertionError(f"{why}: {error.__name__} is expected, got {caught!r}") from caught
    else:
        raise AssertionError(f"{why}: {error.__name__} is expected, nothing was raised")


# ---------------------------------------------------------------------------------------------- appending and reading


def check_is_a_storage(place: JournalPlace) -> None:
    """It has the methods of a storage, names its place, and stores nothing before the first append."""
    storage = place.open()
    assert isinstance(storage, Storage), "a storage has all methods of raytune_hpo.journal.Storage"
    assert storage.url and storage.url.isprintable(), "url says where the studies are, fit for a message"
    assert storage.studies() == [], "a new place holds no study"
    storage.close()


def check_place_that_cannot_be_made(place: JournalPlace) -> None:
    """If a place cannot be created, opening a study raises an error of raytune_hpo.errors."""
    try:
        _hold(place.open())
    except HpoError as error:
        assert str(error), "the message says what is wrong"
    else:
        raise AssertionError(f"a study at {place.words} should be refused: nothing can be kept there")


def check_append_and_read(place: JournalPlace) -> None:
    """Appended facts are read back unchanged, from any position, through the journal and through the storage."""
    storage, facts = place.open(), journal_facts()
    journal = _hold(storage)
    journal.append(facts[:5], expect=0)
    journal.append(facts[5:], expect=5)
    assert _are(journal.read(), facts), "facts come back as they were"
    assert _are(storage.read("mnist"), facts)
    assert _are(storage.read("mnist", 4), facts[4:])
    assert _are((decode(*row) for row in storage.rows("mnist", 2)), facts[2:]), (
        "rows are the facts in their stored form"
    )
    assert list(journal.read(len(facts))) == list(journal.read(len(facts) + 9)) == []
    journal.close()


def check_readers_change_nothing(place: JournalPlace) -> None:
    """A reader that writes into the dicts of the facts that it got changes neither the study nor what others read."""
    storage, fact = place.open(), started(0)
    journal = _hold(storage)
    journal.append([fact], expect=0)
    for read in (lambda: storage.read("mnist"), journal.read, lambda: storage.trial_facts("mnist", 0)):
        for found in read():
            assert isinstance(found, Started) and isinstance(found.config, dict), "a configuration is read as a dict"
            found.config.clear()
    assert _are(journal.read(), [started(0)]), "what a reader writes into a fact stays with that reader"
    assert fact == started(0), "the caller of append keeps its own"
    journal.close()


def check_durable(place: JournalPlace) -> None:
    """Acknowledged facts are found by a newly opened storage, both at once and after the journal was closed."""
    storage, facts = place.open(), journal_facts()
    journal = _hold(storage)
    journal.append(facts, expect=0)
    assert _are(place.other(storage).read("mnist"), facts), "another reader finds it before the journal is closed"
    journal.close()
    storage.close()
    storage = place.other(storage)
    again = _hold(storage, create=False)
    again.append([started(9)], expect=len(facts))
    assert _are(again.read(), [*facts, started(9)])
    again.close()


def check_closed(place: JournalPlace) -> None:
    """A closed journal refuses appends with an error, and may be closed again."""
    journal = _hold(place.open())
    journal.append([started(0)], expect=0)
    journal.close()
    journal.close()
    with _refused(JournalError, "closed", "an append to a closed journal"):
        journal.append([started(1)], expect=1)


def check_sequence(place: JournalPlace) -> None:
    """An append must give the journal's length; an append with another length writes nothing."""
    journal = _hold(place.open())
    journal.append([started(0)], expect=0)
    for expect in (0, 2):
        with _refused(SequenceConflict, "holds 1", f"an append that expects {expect} facts where there is 1"):
            journal.append([started(1), started(2)], expect=expect)
    journal.append([started(1)], expect=1)
    assert list(journal.read()) == [started(0), started(1)]
    journal.close()


def check_empty_append(place: JournalPlace) -> None:
    """An append of no facts changes nothing, and must still give the length."""
    journal = _hold(place.open())
    journal.append([], expect=0)
    assert list(journal.read()) == []
    with _refused(SequenceConflict, "", "an empty append that expects a fact"):
        journal.append([], expect=1)
    journal.close()


def check_all_or_nothing(place: JournalPlace) -> None:
    """An append with a fact that cannot be written writes none of its facts, and the next append succeeds."""
    storage = place.open()
    journal, facts = _hold(storage), [started(0), started(1), started(2)]
    bad = Started(number=1, worker="w", at=AT, config={"lr": object()})
    try:
        journal.append([started(0), bad, started(2)], expect=0)
    except JournalError:
        assert list(journal.read()) == [], "a fact that cannot be written leaves none of its batch behind"
        journal.append(facts, expect=0)
    except Exception as error:
        raise AssertionError(f"a fact that cannot be written is a JournalError, got {error!r}") from error
    assert len(list(storage.read("mnist"))) == 3
    journal.close()


def check_big_facts(place: JournalPlace) -> None:
    """A fact of a megabyte, and a batch of thousands of facts, are stored like any other."""
    storage = place.open()
    journal = _hold(storage)
    big = Printed(number=0, attempt=1, text="数x" * 500_000, at=AT)
    many = [started(number) for number in range(9_001)]
    journal.append([big], expect=0)
    journal.append(many, expect=1)
    assert list(storage.read("mnist")) == [big, *many]
    assert [fact.number for fact in storage.read("mnist", 9_000)] == [8_999, 9_000]  # type: ignore[union-attr]
    reading = storage.read("mnist")
    next(reading)
    del reading  # a reader need not read to the end
    journal.append([started(0)], expect=9_002)
    journal.close()


# ---------------------------------------------------------------------------------------------- concurrency


def check_reading_is_a_snapshot(place: JournalPlace) -> None:
    """A reader sees the journal as it was when the reading began."""
    storage = place.open()
    journal = _hold(storage)
    journal.append([started(n) for n in range(5)], expect=0)
    reading = storage.read("mnist")
    first = next(reading)
    journal.append([started(n) for n in range(5, 10)], expect=5)
    assert [first, *reading] == [started(n) for n in range(5)]
    journal.close()


def check_readers_meanwhile(place: JournalPlace) -> None:
    """During writes, readers see whole batches, without gaps, and everything acknowledged before they began."""
    storage = place.open()
    journal = _hold(storage)
    acknowledged, failures, done = [0], [], threading.Event()

    def read() -> None:
        other = place.other(storage)
        try:
            while not done.is_set():
                least = acknowledged[0]
                facts = list(other.read("mnist"))
                assert len(facts) >= least, "what was acknowledged is seen"
                assert len(facts) % 3 == 0, "half of a batch is seen by nobody"
                assert facts == [started(n) for n in range(len(facts))], "facts are in order, without a gap"
        except Exception as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for length in range(0, 150, 3):
            journal.append([started(length), started(length + 1), started(length + 2)], expect=length)
            acknowledged[0] = length + 3
    finally:
        done.set()
        for reader in readers:
            reader.join()
    journal.close()
    if failures:
        raise AssertionError(f"reading beside a writer: {failures[0]!r}") from failures[0]


def check_one_writer(place: JournalPlace) -> None:
    """A study has one writer at a time, through whatever object; other studies can be written meanwhile."""
    storage = place.open()
    other = place.other(storage)
    journal = _hold(storage, owner="alice")
    with _refused(StudyExists, r"alice.*hpo\.attach\('mnist'\)", "a second writer"):
        _hold(other, owner="bob")
    with _refused(StudyExists, "alice", "deleting what is being written"):
        other.delete("mnist")
    another = _hold(other, "cifar", owner="bob")
    another.append([started(7)], expect=0)
    another.close()
    journal.append([started(0)], expect=0)
    journal.close()
    after = _hold(other, owner="bob")
    assert list(after.read()) == [started(0)]
    after.close()


def check_threads_append(place: JournalPlace) -> None:
    """Any thread may append; of several appends with the same length, exactly one succeeds."""
    journal = _hold(place.open())
    won: list[int] = []
    failures: list[Exception] = []

    def work(number: int) -> None:
        for length in range(10):
            try:
                journal.append([started(number)], expect=length)
                won.append(length)
            except SequenceConflict:
                pass  # another thread was first
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise AssertionError(f"threads that append at once: {failures[0]!r}") from failures[0]
    assert len(set(won)) == len(won), "of several appends that expect the same length, one is written"
    assert len(list(journal.read())) == len(won), "what was acknowledged is in the journal, and nothing else"
    journal.close()


def check_killed_writer(place: JournalPlace) -> None:
    """A writer that is killed amid its appends leaves whole batches, all that it acknowledged, and the right to write.

    This tries ``kill -9``, several times. Whether acknowledged facts survive a loss of power, no test can see: an append
    that returns before the data is on disk, as without fsync, passes.
    """
    if not place.lasts:
        return
    length = 0

    def append_for_ever(done: Callable[[], None]) -> None:
        journal = _hold(place.open())
        for first in itertools.count(length, _BATCH):
            journal.append([started(number) for number in range(first, first + _BATCH)], expect=first)
            done()

    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        acknowledged = length + _BATCH * killed_amid(append_for_ever, 4, share)
        storage = place.open()
        journal = _taken_over(storage)
        found = list(journal.read())
        journal.close()
        storage.close()
        length = len(found)
        assert length >= acknowledged, f"the killed writer had acknowledged {acknowledged} facts, {length} are left"
        assert length % _BATCH == 0, f"of a batch of {_BATCH}, the killed writer left {length % _BATCH}"
        assert found == [started(number) for number in range(length)], "facts are in order, without a gap"


def _taken_over(storage: Storage) -> Journal:
    """The journal of a writer that was killed; a server may need a moment to notice that."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return _hold(storage, create=False)
        except StudyExists as error:
            assert time.monotonic() < deadline, f"the right to write ends with its process: {error}"
            time.sleep(0.05)


# ---------------------------------------------------------------------------------------------- studies


def check_unknown_study(place: JournalPlace) -> None:
    """An unknown study raises an error at once, with the nearest name, and is not created by the request."""
    storage = place.open()
    with _refused(StudyNotFound, "no study", "taking up a study that does not exist"):
        _hold(storage, create=False)
    assert storage.studies() == [], "a study that was only asked for is not created"
    _hold(storage).close()
    for ask in (
        lambda: _hold(storage, "mnits", create=False),
        lambda: storage.read("mnits"),
        lambda: storage.rows("mnits"),
        lambda: storage.trial_facts("mnits", 0),
        lambda: storage.delete("mnits"),
    ):
        with _refused(StudyNotFound, "did you mean 'mnist'", "an unknown study, at the call and not at the first fact"):
            ask()


def check_names(place: JournalPlace) -> None:
    """A study's name is any printable text that is not blank, and each has facts of its own."""
    storage = place.open()
    for name in ("", "  ", "a\x00b", "a\nb"):
        with _refused(SpecError, "printable", f"a study called {name!r}"):
            _hold(storage, name)
    for number, name in enumerate(_ODD_NAMES):
        journal = _hold(storage, name)
        journal.append([started(number)], expect=0)
        journal.close()
    other = place.other(storage)
    assert [row.name for row in other.studies()] == list(_ODD_NAMES), "names come back as they were"
    for number, name in enumerate(_ODD_NAMES):
        assert list(other.read(name)) == [started(number)], f"study {name!r} has facts of its own"


def check_trial_facts(place: JournalPlace) -> None:
    """The facts of one trial, in order."""
    storage, facts = place.open(), journal_facts(num_trials=20)
    journal = _hold(storage)
    journal.append(facts, expect=0)
    wanted = [fact for fact in facts if getattr(fact, "number", None) == 7]
    assert _are(storage.trial_facts("mnist", 7), wanted)
    assert storage.trial_facts("mnist", 99) == []
    journal.close()


def check_integrity(place: JournalPlace) -> None:
    """A storage that keeps digests confirms that its facts are as they were written."""
    storage, facts = place.open(), journal_facts()
    journal = _hold(storage)
    for position, fact in enumerate(facts):
        journal.append([fact], expect=position)
    found = integrity_of(storage, "mnist")
    assert found.broken == (), f"nobody changed a fact, got: {found}"
    assert found.num_untold in (0, len(facts)), f"all facts have a digest, or none, got: {found}"
    journal.close()


def check_list_of_studies(place: JournalPlace) -> None:
    """Studies are listed in the order of their creation, with their lengths."""
    storage = place.open()
    for name, facts in (("b", [started(0), started(1)]), ("a", [])):
        journal = _hold(storage, name)
        journal.append(facts, expect=0)
        journal.close()
    _hold(storage, "b").close()  # resuming a study does not change the order
    rows = place.other(storage).studies()
    assert [(row.name, row.num_facts) for row in rows] == [("b", 2), ("a", 0)]
    assert 1.7e9 < rows[0].created_at <= rows[1].created_at, "created_at is the time of its creation, in epoch seconds"


def check_delete(place: JournalPlace) -> None:
    """A deleted study is gone, its name is free again, and other studies stay."""
    storage = place.open()
    for name in ("mnist", "cifar"):
        journal = _hold(storage, name)
        journal.append(journal_facts(), expect=0)
        journal.close()
    storage.delete("mnist")
    other = place.other(storage)
    assert [row.name for row in other.studies()] == ["cifar"]
    assert _are(other.read("cifar"), journal_facts())
    with _refused(StudyNotFound, "no study", "reading a deleted study"):
        other.read("mnist")
    again = _hold(other)
    assert list(again.read()) == [], "a new study of the old name begins empty"
    again.close()


JOURNAL_CHECKS: tuple[Callable[[JournalPlace], None], ...] = (
    check_is_a_storage,
    check_append_and_read,
    check_durable,
    check_readers_change_nothing,
    check_closed,
    check_sequence,
    check_empty_append,
    check_all_or_nothing,
    check_big_facts,
    check_reading_is_a_snapshot,
    check_readers_meanwhile,
    check_one_writer,
    check_threads_append,
    check_killed_writer,
    check_unknown_study,
    check_names,
    check_trial_facts,
    check_integrity,
    check_list_of_studies,
    check_delete,
)
