"""A damaged SQLite file: an error of ours, or an exact prefix of the facts; never anything else."""

import random
import shutil
import sqlite3

import pytest

from raytune_hpo.errors import HpoError, JournalCorrupt, JournalError, StudyNotFound
from raytune_hpo.journal import open_storage, sqljournal
from tests.journal.story import acknowledged, kill, short_study, started, usual_trial, writing_process


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Files as kill -9 leaves them: half of the facts in the database file, the rest in its log."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqljournal, "SETTLE_S", float("inf"))  # or a slow machine would have less in the log
        return folder, written(folder)


def written(folder):
    facts = [fact for number in range(300) for fact in usual_trial(number)]
    journal = open_storage(folder / "live.db").journal("mnist", create=True, owner="me")
    for position in range(0, 300, 50):
        journal.append(facts[position : position + 50], expect=position)
    sqlite3.connect(folder / "live.db").execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    for position in range(300, 600, 50):
        journal.append(facts[position : position + 50], expect=position)
    for end in ("", "-wal"):
        shutil.copy(folder / f"live.db{end}", folder / f"killed.db{end}")
    journal.close()
    shutil.copy(folder / "live.db", folder / "closed.db")
    return facts


def outcome(path, facts):
    """``(length read, error)`` after reading, and after writing on where that is possible."""
    storage = open_storage(path)
    try:
        read = list(storage.read("mnist"))
    except HpoError as error:
        return None, error
    assert read == facts[: len(read)]
    try:
        journal = storage.journal("mnist", create=False, owner="me")
        journal.append([started(999)], expect=len(read))
        assert list(journal.read()) == [*read, started(999)]
        journal.close()
    except HpoError as error:
        return len(read), error
    return len(read), None


def offsets(size, seed, page=4096):
    draw = random.Random(seed)
    edges = [0, 1, 15, 16, 99, 100, 511, 512, page - 1, page, page + 1, size - 1]
    inside = [draw.randrange(size) for _ in range(25)]
    return sorted({*edges, *inside, *range(page, size, page * max(1, size // page // 12))})


def copied(folder, name, target):
    for end in ("", "-wal"):
        if (folder / f"{name}.db{end}").exists():
            shutil.copy(folder / f"{name}.db{end}", target / f"studies.db{end}")
    return target / "studies.db"


def test_the_whole_files_are_fine(study, tmp_path):
    folder, facts = study
    assert outcome(copied(folder, "killed", tmp_path), facts) == (600, None)
    (tmp_path / "b").mkdir()
    assert outcome(copied(folder, "closed", tmp_path / "b"), facts) == (600, None)


def test_a_file_cut_anywhere(study, tmp_path):
    folder, facts = study
    for offset in offsets((folder / "closed.db").stat().st_size, seed=1):
        path = copied(folder, "closed", tmp_path)
        with open(path, "r+b") as file:
            file.truncate(offset)
        length, error = outcome(path, facts)
        assert error is not None, f"cut at {offset}, {length} facts"


def test_a_file_cut_anywhere_beside_its_log(study, tmp_path):
    folder, facts = study
    for offset in offsets((folder / "killed.db").stat().st_size, seed=2):
        path = copied(folder, "killed", tmp_path)
        with open(path, "r+b") as file:
            file.truncate(offset)
        length, error = outcome(path, facts)
        assert error is not None or length is not None
        if offset == 0:
            assert isinstance(error, JournalCorrupt)
        for shm in tmp_path.glob("*-shm"):
            shm.unlink()


def test_a_log_cut_anywhere_gives_a_prefix(study, tmp_path):
    folder, facts = study
    lengths = []
    for offset in offsets((folder / "killed.db-wal").stat().st_size, seed=3, page=4096 + 24):
        path = copied(folder, "killed", tmp_path)
        with open(f"{path}-wal", "r+b") as file:
            file.truncate(offset)
        length, error = outcome(path, facts)
        assert error is None
        lengths.append(length)
        assert length >= 300 and length % 50 == 0
    assert lengths == sorted(lengths) and len(set(lengths)) > 3


def test_bytes_changed_anywhere(study, tmp_path):
    folder, facts = study
    draw = random.Random(4)
    size = (folder / "closed.db").stat().st_size
    for _ in range(40):
        path = copied(folder, "closed", tmp_path)
        with open(path, "r+b") as file:
            file.seek(draw.randrange(size // 4096) * 4096)
            file.write(bytes(draw.randrange(256) for _ in range(64)))
        length, _ = outcome(path, facts)
        assert length in (None, 600)


def test_an_empty_file_with_a_log_is_refused(study, tmp_path):
    folder, _ = study
    path = copied(folder, "killed", tmp_path)
    for damage in (lambda: path.write_bytes(b""), path.unlink):
        damage()
        for ask in (
            lambda: open_storage(path).read("mnist"),
            lambda: open_storage(path).studies(),
            lambda: open_storage(path).journal("mnist", create=True, owner="me"),
        ):
            with pytest.raises(JournalCorrupt, match="belong together"):
                ask()


def test_an_empty_file_is_a_new_one(tmp_path):
    path = tmp_path / "studies.db"
    path.touch()
    with pytest.raises(StudyNotFound):
        open_storage(path).read("mnist")
    open_storage(path).journal("mnist", create=True, owner="me").append(short_study(), expect=0)


def test_text_is_not_a_database(tmp_path):
    path = tmp_path / "studies.db"
    path.write_text("lr,loss\n" * 1000)
    for ask in (
        lambda: open_storage(path).read("mnist"),
        lambda: open_storage(path).journal("mnist", create=True, owner="me"),
    ):
        with pytest.raises(JournalError, match="not a SQLite database.*RAYTUNE_HPO_STORAGE"):
            ask()
    assert path.read_text().startswith("lr,loss")


@pytest.mark.parametrize("table", ["trials", "raytune_facts"])
def test_the_database_of_another_application_is_left_alone(tmp_path, table):
    path = tmp_path / "studies.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} (trial_id INTEGER)")
    connection.close()
    with pytest.raises(StudyNotFound):
        open_storage(path).read("mnist")
    with pytest.raises(JournalError, match=f"another application: {table}"):
        open_storage(path).journal("mnist", create=True, owner="me")


def change(url_or_path, sql):
    with sqlite3.connect(url_or_path) as connection:
        connection.execute(sql)
    connection.close()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DELETE FROM raytune_facts WHERE seq = 4", "fact 4 is not where it belongs"),
        ("DELETE FROM raytune_facts WHERE seq = 0", "fact 0 is not where it belongs"),
        ("UPDATE raytune_facts SET body = '{}' WHERE seq = 4", "fact 4"),
        ("UPDATE raytune_facts SET body = substr(body, 9) WHERE seq = 4", "fact 4"),
        ("UPDATE raytune_facts SET body = x'ff' WHERE seq = 4", "fact 4"),
        ("UPDATE raytune_facts SET version = 99 WHERE seq = 4", "fact 4.*version 99"),
        ("UPDATE raytune_facts SET version = 'x' WHERE seq = 4", "fact 4"),
        ("UPDATE raytune_facts SET kind = 'Dreamt' WHERE seq = 4", "fact 4.*Dreamt"),
        ("DELETE FROM raytune_schema", "schema version"),
        ("UPDATE raytune_schema SET version = 99", "upgrade raytune_hpo"),
        ("UPDATE raytune_schema SET version = 'x'", "schema version"),
        ("DROP TABLE raytune_facts", "no such table"),
    ],
)
def test_damage_is_named(tmp_path, sql, message):
    path = tmp_path / "studies.db"
    journal = open_storage(path).journal("mnist", create=True, owner="me")
    journal.append(short_study(), expect=0)
    journal.close()
    change(path, sql)
    with pytest.raises(JournalError, match=message):
        list(open_storage(path).read("mnist"))


def test_a_killed_writer_loses_nothing_it_was_told_is_safe(sqlite_url):
    draw = random.Random(7)
    safe = 0
    for _ in range(4):
        process = writing_process(sqlite_url, "mnist", size=5)
        assert acknowledged(process) >= safe  # the next one takes over at once
        for _ in range(draw.randrange(30)):
            safe = acknowledged(process)
        safe = max([safe, *kill(process)])
        facts = list(open_storage(sqlite_url).read("mnist"))
        assert safe <= len(facts) <= safe + 10
        assert facts == [fact for number in range(len(facts) // 2) for fact in usual_trial(number)]
