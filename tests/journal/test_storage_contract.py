"""What every storage promises."""

import threading

import pytest

from raytune_hpo.errors import JournalError, SequenceConflict, SpecError, StudyExists, StudyNotFound
from raytune_hpo.journal import Storage, open_storage
from tests.journal.story import completed, created, reported, short_study, started


def hold(storage, name="mnist", create=True, owner="me"):
    return storage.journal(name, create=create, owner=owner)


def same(facts, others):
    """Equality that takes NaN for what it is."""
    return [repr(f) for f in facts] == [repr(f) for f in others]


def test_it_is_a_storage(storage):
    assert isinstance(storage, Storage)
    assert open_storage(storage) is storage


def test_what_was_appended_is_read_again(storage):
    facts = short_study()
    journal = hold(storage)
    journal.append(facts[:5], expect=0)
    journal.append(facts[5:], expect=5)
    assert same(journal.read(), facts)
    assert same(storage.read("mnist"), facts)
    assert same(storage.read("mnist", 4), facts[4:])
    assert list(journal.read(len(facts))) == list(journal.read(len(facts) + 9)) == []


def test_a_study_outlives_its_journal(storage):
    facts = short_study()
    journal = hold(storage)
    journal.append(facts, expect=0)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.append([started(9)], expect=len(facts))
    again = hold(storage, create=False)
    again.append([started(9)], expect=len(facts))
    assert same(again.read(), [*facts, started(9)])


def test_an_append_must_know_the_length(storage):
    journal = hold(storage)
    journal.append([created()], expect=0)
    for expect in (0, 2):
        with pytest.raises(SequenceConflict, match="holds 1"):
            journal.append([started(0)], expect=expect)
    journal.append([started(0)], expect=1)
    assert list(journal.read()) == [created(), started(0)]


def test_an_empty_append_changes_nothing(storage):
    journal = hold(storage)
    journal.append([], expect=0)
    assert list(journal.read()) == []
    with pytest.raises(SequenceConflict):
        journal.append([], expect=1)


def test_a_reading_is_of_the_moment_when_it_began(storage):
    journal = hold(storage)
    journal.append([started(n) for n in range(5)], expect=0)
    reading = storage.read("mnist")
    first = next(reading)
    journal.append([started(n) for n in range(5, 10)], expect=5)
    assert [f.number for f in (first, *reading)] == [0, 1, 2, 3, 4]


def test_one_writes_at_a_time(storage):
    journal = hold(storage, owner="alice")
    with pytest.raises(StudyExists, match=r"alice.*hpo\.attach\('mnist'\)"):
        hold(storage, owner="bob")
    with pytest.raises(StudyExists, match="alice"):
        storage.delete("mnist")
    other = hold(storage, "cifar", owner="bob")
    other.append([created("cifar")], expect=0)
    journal.close()
    hold(storage, owner="bob").append([created()], expect=0)


def test_an_unknown_study_is_refused_with_the_known_ones(storage):
    with pytest.raises(StudyNotFound, match="no study"):
        hold(storage, create=False)
    hold(storage).close()
    for ask in (
        lambda: hold(storage, "mnits", create=False),
        lambda: storage.read("mnits"),  # at once, not at the first fact
        lambda: storage.trial_facts("mnits", 0),
        lambda: storage.delete("mnits"),
    ):
        with pytest.raises(StudyNotFound, match="did you mean 'mnist'"):
            ask()
    with pytest.raises(StudyNotFound, match="newest: 'mnist'"):
        storage.read("quite another")


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\nb"])
def test_a_name_is_text_that_can_be_read(storage, name):
    with pytest.raises(SpecError, match="printable"):
        hold(storage, name)


def test_names_may_be_of_any_language(storage):
    hold(storage, "Größe/数据 'x' \"y\"; --").append([created()], expect=0)
    assert [row.name for row in storage.studies()] == ["Größe/数据 'x' \"y\"; --"]


def test_the_facts_of_one_trial(storage):
    facts = short_study(num_trials=20)
    hold(storage).append(facts, expect=0)
    assert storage.trial_facts("mnist", 7) == [started(7), reported(7, 1), reported(7, 2), completed(7)]
    assert storage.trial_facts("mnist", 99) == []


def test_studies_are_listed_in_the_order_of_their_making(storage):
    assert storage.studies() == []
    hold(storage, "b").append([created("b"), started(0)], expect=0)
    hold(storage, "a")
    rows = storage.studies()
    assert [(row.name, row.num_facts) for row in rows] == [("b", 2), ("a", 0)]
    assert 1.7e9 < rows[0].created_at <= rows[1].created_at


def test_a_deleted_study_is_gone_and_its_name_is_free(storage):
    journal = hold(storage)
    journal.append(short_study(), expect=0)
    journal.close()
    storage.delete("mnist")
    assert storage.studies() == []
    with pytest.raises(StudyNotFound):
        storage.read("mnist")
    assert list(hold(storage).read()) == []


def test_many_threads_append_in_turn(storage):
    journal = hold(storage)
    turn, length = threading.Lock(), 0

    def work():
        nonlocal length
        for _ in range(20):
            with turn:
                journal.append([started(length), reported(length, 1)], expect=length)
                length += 2

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(journal.read())) == length == 160


def test_of_two_threads_with_the_same_length_one_wins(storage):
    journal = hold(storage)
    outcomes = []

    def work():
        try:
            journal.append([started(0)], expect=0)
            outcomes.append("won")
        except SequenceConflict:
            outcomes.append("lost")

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 4 + ["won"]


def test_a_fact_that_cannot_be_written_leaves_nothing_behind(storage):
    if storage.url == "memory":
        return  # keeps the objects themselves
    journal = hold(storage)
    bad = started(1)
    bad.config["lr"] = object()
    with pytest.raises(JournalError, match="object cannot be written"):
        journal.append([started(0), bad], expect=0)
    journal.append([started(0)], expect=0)
    assert len(list(journal.read())) == 1


def test_a_long_study_comes_page_by_page(storage):
    journal = hold(storage)
    facts = [reported(n, 1) for n in range(9_001)]
    journal.append(facts, expect=0)
    assert [f.number for f in storage.read("mnist", 1)] == list(range(1, 9_001))
    reading = storage.read("mnist")
    next(reading)
    del reading  # nobody has to read to the end
    journal.append([started(0)], expect=9_001)
