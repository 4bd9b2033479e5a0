"""Whoever changes, takes away or adds a fact after it was written is found out."""

import pytest
from sqlalchemy import create_engine

from raytune_hpo.errors import JournalCorrupt, SequenceConflict, StudyNotFound
from raytune_hpo.journal import Integrity, MemoryStorage, integrity_of, open_storage
from tests.journal.story import acknowledged, completed, created, kill, short_study, started, writing_process


def write(url, name="mnist", batches=4):
    """A created study, and batches of three facts each; positions 1 to 3, 4 to 6 ..."""
    storage = open_storage(url, patience_s=20)
    journal = storage.journal(name, create=True, owner="me")
    journal.append([created(name)], expect=0)
    for batch in range(batches):
        number = 2 * batch
        journal.append([started(number), completed(number), started(number + 1)], expect=1 + 3 * batch)
    journal.close()
    return storage


def change(url, *statements):
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_facts_that_nobody_touched_are_those_that_were_written(database_url):
    storage = write(database_url)
    found = storage.integrity("mnist")
    assert found == Integrity(num_batches=5, num_untold=0)
    assert str(found) == "digests of 5 batches hold: no fact was changed, taken away or added since it was written"
    assert integrity_of(storage, "mnist") == found
    with pytest.raises(StudyNotFound, match="did you mean 'mnist'"):
        storage.integrity("mnits")


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        (["UPDATE raytune_facts SET body = replace(body, '0.5', '0.25') WHERE seq = 5"], [(4, 6)]),
        (["UPDATE raytune_facts SET kind = 'Printed' WHERE seq = 5"], [(4, 6)]),
        (["UPDATE raytune_facts SET number = 99 WHERE seq = 5"], [(4, 6)]),
        (["UPDATE raytune_facts SET version = 1 WHERE seq = 5"], [(4, 6)]),
        (["DELETE FROM raytune_facts WHERE seq = 12"], [(10, 11)]),
        (["DELETE FROM raytune_facts WHERE seq >= 10"], [(10, 10)]),
        (["DELETE FROM raytune_facts WHERE seq >= 6"], [(4, 5), (7, 7), (10, 10)]),
        (
            [
                "DELETE FROM raytune_facts WHERE seq BETWEEN 4 AND 6",
                "UPDATE raytune_facts SET seq = seq - 3 WHERE seq IN (7, 8, 9)",
                "UPDATE raytune_facts SET seq = seq - 3 WHERE seq IN (10, 11, 12)",
            ],
            [(4, 10)],
        ),
        (
            [
                "INSERT INTO raytune_facts SELECT study_id, 13, kind, version, number, writer, batch, body "
                "FROM raytune_facts WHERE seq = 12"
            ],
            [(10, 13)],
        ),
        (["DELETE FROM raytune_digests WHERE seq = 7"], [(4, 12)]),
        (["UPDATE raytune_digests SET digest = 'x' WHERE seq = 7"], [(7, 12)]),
        (["UPDATE raytune_facts SET writer = 9, batch = 9"], []),  # who wrote it is not what was written
    ],
)
def test_what_was_changed_is_named_by_its_batch(database_url, statements, broken):
    storage = write(database_url)
    write(database_url, "another")
    change(database_url, *[f"{s}{' AND' if 'WHERE' in s else ' WHERE'} study_id = 1" for s in statements])
    found = storage.integrity("mnist")
    assert list(found.broken) == broken
    assert not broken or f"{broken[0][0]}" in str(found)
    assert storage.integrity("another") == Integrity(num_batches=5, num_untold=0)


def test_a_last_batch_that_goes_with_its_digest_is_not_missed(database_url):
    storage = write(database_url)
    change(database_url, "DELETE FROM raytune_facts WHERE seq >= 10", "DELETE FROM raytune_digests WHERE seq >= 10")
    assert storage.integrity("mnist") == Integrity(num_batches=4, num_untold=0)


@pytest.fixture
def earlier_version(database_url):
    """A database that a release without digests wrote."""
    write(database_url, batches=2)
    change(database_url, "DROP TABLE raytune_digests", "UPDATE raytune_schema SET version = 1")
    return database_url


def test_a_study_of_an_earlier_version_is_read_and_continued_and_cannot_be_told_about(earlier_version):
    storage = open_storage(earlier_version)
    assert storage.integrity("mnist") == Integrity(num_batches=0, num_untold=7)
    assert "cannot be told" in str(storage.integrity("mnist"))
    assert len(list(storage.read("mnist"))) == 7
    journal = storage.journal("mnist", create=False, owner="me")
    journal.append([started(8), started(9)], expect=7)
    journal.append([started(10)], expect=9)
    journal.close()
    assert storage.integrity("mnist") == Integrity(num_batches=2, num_untold=7)
    assert "facts 0 to 6 have no digest" in str(storage.integrity("mnist"))
    change(earlier_version, "UPDATE raytune_facts SET kind = 'Printed' WHERE seq = 8")
    assert storage.integrity("mnist").broken == ((7, 8),)
    change(earlier_version, "UPDATE raytune_facts SET kind = 'Printed' WHERE seq = 2")  # nothing can be said about it
    assert storage.integrity("mnist").broken == ((7, 8),)


def test_a_study_of_an_earlier_version_can_be_deleted(earlier_version):
    storage = open_storage(earlier_version)
    storage.delete("mnist")
    assert storage.studies() == []


def test_a_study_that_is_written_meanwhile_is_whole(database_url):
    process = writing_process(database_url, "mnist", size=2)
    storage = open_storage(database_url)
    try:
        for _ in range(20):
            acknowledged(process)
            found = storage.integrity("mnist")
            assert (found.broken, found.num_untold) == ((), 0)
    finally:
        kill(process)
    journal = storage.journal("mnist", create=False, owner="the next one")  # goes on with the chain
    journal.append([started(10_000)], expect=len(list(journal.read())))
    journal.close()
    assert storage.integrity("mnist").broken == ()


def test_a_copy_in_another_database_has_the_same_digests(tmp_path, database_url):
    write(database_url)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    write(other, "first")  # so that the study has another id there
    write(other)
    kept = [_digests(url) for url in (database_url, other)]
    assert kept[0] == kept[1] != []


def _digests(url):
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT d.seq, d.digest FROM raytune_digests d JOIN raytune_studies s ON s.id = d.study_id "
            "WHERE s.name = 'mnist' ORDER BY d.seq"
        ).all()
    engine.dispose()
    return [tuple(row) for row in rows]


def test_a_storage_without_digests_cannot_tell():
    storage = MemoryStorage()
    storage.journal("mnist", create=True, owner="me").append(short_study(), expect=0)
    assert integrity_of(storage, "mnist") == Integrity(num_batches=0, num_untold=len(short_study()))

    class Bare:  # of someone who derived from nothing of ours
        def read(self, name, start=0):
            return storage.read(name, start)

    assert integrity_of(Bare(), "mnist").num_untold == len(short_study())


@pytest.mark.parametrize("left", [0, 4])
def test_a_study_whose_last_facts_are_gone_takes_no_more(database_url, left):
    storage = write(database_url)
    change(database_url, f"DELETE FROM raytune_facts WHERE seq >= {left}")
    journal = storage.journal("mnist", create=False, owner="me")
    with pytest.raises(JournalCorrupt, match=f"those from {left} on are gone; restore it from a copy, or delete it"):
        journal.append([started(9)], expect=left)
    journal.close()
    storage.delete("mnist")


def test_a_study_that_was_deleted_while_it_ran_says_so(storage):
    journal = storage.journal("mnist", create=True, owner="me")
    journal.append([created()], expect=0)
    with pytest.raises(
        SequenceConflict, match="it holds 1: it was deleted, or facts were taken from it; open it again"
    ):
        journal.append([started(0)], expect=5)
    with pytest.raises(SequenceConflict, match="it holds 1: someone else wrote to it; read it again"):
        journal.append([started(0)], expect=0)
