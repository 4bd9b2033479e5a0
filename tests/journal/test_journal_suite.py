"""The contract suite itself: each way to break the contract of a storage is caught by the check that is there for it."""

import threading
import time

import pytest

from raytune_hpo import testing
from raytune_hpo.errors import JournalError, SequenceConflict
from raytune_hpo.journal import Integrity, MemoryStorage, Storage, open_storage
from raytune_hpo.journal.memory import MemoryJournal


class Wrapped:
    """A storage that does what the one in memory does; the ones below each break one thing."""

    url = "wrapped"

    def __init__(self):
        self.inner = MemoryStorage()

    def journal(self, name, *, create, owner):
        return self.inner.journal(name, create=create, owner=owner)

    def read(self, name, start=0):
        return self.inner.read(name, start)

    def rows(self, name, start=0):
        return self.inner.rows(name, start)

    def trial_facts(self, name, number):
        return self.inner.trial_facts(name, number)

    def studies(self):
        return self.inner.studies()

    def delete(self, name):
        self.inner.delete(name)

    def close(self):
        self.inner.close()


class WrappedJournal:
    def __init__(self, inner: MemoryJournal):
        self.inner = inner

    def append(self, facts, *, expect):
        self.inner.append(facts, expect=expect)

    def read(self, start=0):
        return self.inner.read(start)

    def close(self):
        self.inner.close()


def with_journal(journal_class):
    """A storage whose journals are of that class."""

    class Storing(Wrapped):
        def journal(self, name, *, create, owner):
            return journal_class(super().journal(name, create=create, owner=owner))

    Storing.__name__ = journal_class.__name__
    return Storing


class IgnoresTheLength(WrappedJournal):
    def append(self, facts, *, expect):
        self.inner.append(facts, expect=len(list(self.inner.read())))


class WritesOneByOne(WrappedJournal):
    def append(self, facts, *, expect):
        if not facts:
            self.inner.append(facts, expect=expect)
        for position, fact in enumerate(facts, expect):
            self.inner.append([fact], expect=position)
            time.sleep(0.001)


class AcknowledgesBeforeItWrites(WrappedJournal):
    """Keeps what it is given, and writes it with the append after the next."""

    def __init__(self, inner):
        super().__init__(inner)
        self.kept = []

    def append(self, facts, *, expect):
        self.kept.append((facts, expect))
        if len(self.kept) > 2:
            facts, expect = self.kept.pop(0)
            self.inner.append(facts, expect=expect)


class ChecksBeforeItLocks(WrappedJournal):
    def append(self, facts, *, expect):
        if len(list(self.inner.read())) != expect:
            raise SequenceConflict(f"holds {len(list(self.inner.read()))}")
        time.sleep(0.02)  # room for the others
        self.inner.append(facts, expect=len(list(self.inner.read())))


class WritesAfterClosing(WrappedJournal):
    def close(self):
        pass


class TakesNothingBack(WrappedJournal):
    """Refuses a fact that cannot be written only when it comes to it."""

    def append(self, facts, *, expect):
        for position, fact in enumerate(facts, expect):
            if "<object object" in repr(fact):
                raise TypeError("no JSON")
            self.inner.append([fact], expect=position)


class ReadsOnAndOn(Wrapped):
    def read(self, name, start=0):
        facts = self.inner._find(name).facts
        return (facts[position] for position in _count(start, facts))


def _count(start, facts):
    while start < len(facts):
        yield start
        start += 1


class GivesItsOwnAway(Wrapped):
    def read(self, name, start=0):
        return iter(self.inner._find(name).facts[start:])


class LosesWhatIsLast(Wrapped):
    def read(self, name, start=0):
        facts = list(self.inner.read(name))
        return iter(facts[start : max(0, len(facts) - 1)])


class FindsOutLate(Wrapped):
    def read(self, name, start=0):
        yield from self.inner.read(name, start)


class LetsEveryoneWrite(Wrapped):
    def journal(self, name, *, create, owner):
        if any(row.name == name for row in self.studies()):
            self.inner._find(name).owner = None
        return super().journal(name, create=create, owner=owner)


class CreatesWhatIsAskedFor(Wrapped):
    def journal(self, name, *, create, owner):
        return super().journal(name, create=True, owner=owner)


class FoldsNames(Wrapped):
    def journal(self, name, *, create, owner):
        return super().journal(name.lower(), create=create, owner=owner)

    def read(self, name, start=0):
        return super().read(name.lower(), start)


class SortsStudies(Wrapped):
    def studies(self):
        return sorted(super().studies(), key=lambda row: row.name)


class MissesRequeues(Wrapped):
    def trial_facts(self, name, number):
        return [fact for fact in super().trial_facts(name, number) if type(fact).__name__ != "Requeued"]


class CountsDigestsWrongly(Wrapped):
    def integrity(self, name):
        return Integrity(num_batches=1, num_untold=0, broken=((3, 4),))


class DeletesAll(Wrapped):
    def delete(self, name):
        super().delete(name)
        for row in self.studies():
            super().delete(row.name)


def run(storage_class, check, lasts=False):
    testing.journal_cases(storage_class, lambda made: made, lasts=lasts)[check]()


@pytest.mark.parametrize("check", [check.__name__.removeprefix("check_") for check in testing.JOURNAL_CHECKS])
def test_an_honest_wrapper_passes(check):
    assert isinstance(Wrapped(), Storage)
    run(Wrapped, check)
    run(with_journal(WrappedJournal), check)


@pytest.mark.parametrize(
    ("storage", "check"),
    [
        (with_journal(IgnoresTheLength), "sequence"),
        (with_journal(IgnoresTheLength), "empty_append"),
        (with_journal(WritesOneByOne), "readers_meanwhile"),
        (with_journal(ChecksBeforeItLocks), "threads_append"),
        (with_journal(WritesAfterClosing), "closed"),
        (with_journal(TakesNothingBack), "all_or_nothing"),
        (ReadsOnAndOn, "reading_is_a_snapshot"),
        (GivesItsOwnAway, "readers_change_nothing"),
        (LosesWhatIsLast, "append_and_read"),
        (LosesWhatIsLast, "durable"),
        (FindsOutLate, "unknown_study"),
        (LetsEveryoneWrite, "one_writer"),
        (CreatesWhatIsAskedFor, "unknown_study"),
        (FoldsNames, "names"),
        (SortsStudies, "list_of_studies"),
        (MissesRequeues, "trial_facts"),
        (CountsDigestsWrongly, "integrity"),
        (DeletesAll, "delete"),
    ],
)
def test_a_broken_storage_is_caught(storage, check):
    with pytest.raises(AssertionError):
        run(storage, check)


@pytest.mark.parametrize(
    ("journal", "says"),
    [
        (WritesOneByOne, r"of a batch of 50, the killed writer left \d"),
        (AcknowledgesBeforeItWrites, r"had acknowledged \d+ facts, \d+ are left"),
    ],
)
def test_a_journal_that_does_not_survive_its_writer_is_caught(tmp_path, journal, says):
    def open_at(words):
        storage = with_journal(journal)()
        storage.inner = open_storage(words)
        return storage

    with pytest.raises(AssertionError, match=says):
        testing.journal_cases(lambda: f"sqlite:///{tmp_path}/s.db", open_at)["killed_writer"]()


def test_a_writer_that_ends_by_itself_is_told_with_its_reason(tmp_path):
    class Breaks(WrappedJournal):
        def append(self, facts, *, expect):
            raise JournalError("the disk is full")

    def open_at(words):
        storage = with_journal(Breaks)()
        storage.inner = open_storage(words)
        return storage

    with pytest.raises(AssertionError, match="the process ended by itself: .*the disk is full"):
        testing.journal_cases(lambda: f"sqlite:///{tmp_path}/s.db", open_at)["killed_writer"]()


def test_a_journal_that_fails_beside_readers_leaves_none_of_them_reading():
    class Breaks(WrappedJournal):
        def append(self, facts, *, expect):
            if expect > 9:
                raise JournalError("the disk is full")
            super().append(facts, expect=expect)

    before = threading.active_count()
    with pytest.raises(AssertionError, match="the disk is full"):
        run(with_journal(Breaks), "readers_meanwhile")
    assert threading.active_count() == before


def test_a_storage_that_only_says_that_it_lasts_is_caught():
    cases = testing.journal_cases(lambda: "memory")  # each opening of "memory" is another one
    with pytest.raises(AssertionError, match="StudyNotFound"):
        cases["durable"]()


def test_a_storage_without_all_methods_is_caught():
    with pytest.raises(AssertionError, match="all methods"):
        testing.journal_cases(lambda: None, lambda words: object())["is_a_storage"]()


def test_a_storage_that_takes_studies_nowhere_is_caught_where_the_place_is_impossible():
    def open_at(words):
        if words == "refused":
            raise JournalError("refused cannot be used: it is a file")
        if words == "breaks":
            raise NotADirectoryError("breaks/below")
        return MemoryStorage()

    case = "place_that_cannot_be_made"
    assert case not in testing.journal_cases(lambda: "memory", open_at)
    testing.journal_cases(lambda: "memory", open_at, impossible="refused")[case]()
    with pytest.raises(AssertionError, match="a study at nowhere should be refused"):
        testing.journal_cases(lambda: "memory", open_at, impossible="nowhere")[case]()
    with pytest.raises(AssertionError, match="It ended with NotADirectoryError"):
        testing.journal_cases(lambda: "memory", open_at, impossible="breaks")[case]()


def test_a_delete_that_does_nothing_is_told_by_the_rule():
    class DeletesNothing(Wrapped):
        def delete(self, name):
            pass

    with pytest.raises(AssertionError, match="A deleted study is gone, its name is free again"):
        run(DeletesNothing, "delete")
