"""SQLite: several processes, read-only places, full disks, files that vanish."""

import gc
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from raytune_hpo.errors import JournalError, SequenceConflict, StudyExists
from raytune_hpo.journal import open_storage
from raytune_hpo.journal.sqlite_files import network_file_system
from tests.journal.story import acknowledged, child, created, kill, short_study, started, usual_trial, writing_process


def hold(storage, name="mnist", owner="me"):
    return storage.journal(name, create=True, owner=owner)


def test_another_process_is_refused_while_one_writes(sqlite_url):
    process = writing_process(sqlite_url, "mnist", size=0)
    acknowledged(process)
    with pytest.raises(StudyExists, match=rf"the child \(process {process.pid} on .*hpo.attach"):
        hold(open_storage(sqlite_url))
    with pytest.raises(StudyExists, match="the child"):
        open_storage(sqlite_url).delete("mnist")
    kill(process)
    hold(open_storage(sqlite_url)).append(short_study(), expect=0)


def test_a_running_study_is_read_without_waiting(sqlite_url):
    process = writing_process(sqlite_url, "mnist", size=1)
    acknowledged(process)
    lengths = []
    for _ in range(20):
        safe = acknowledged(process)
        facts = list(open_storage(sqlite_url).read("mnist"))
        assert len(facts) >= safe
        assert facts == [fact for number in range(len(facts) // 2) for fact in usual_trial(number)]
        lengths.append(len(facts))
    kill(process)
    assert lengths == sorted(lengths)


def test_a_reader_that_stopped_halfway_does_not_hold_up_the_writer(sqlite_url):
    storage = open_storage(sqlite_url)
    journal = hold(storage)
    journal.append([started(n) for n in range(5_000)], expect=0)
    reading = storage.read("mnist")
    next(reading)
    journal.append([started(n) for n in range(5_000, 6_000)], expect=5_000)
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.close()
    assert not busy  # no transaction stays open between pages, so the log does not grow for ever
    assert sum(1 for _ in reading) == 4_999


def test_a_forked_child_does_not_keep_the_lock_of_its_dead_parent(sqlite_url):
    code = (
        "import os, sys, time\n"
        "from raytune_hpo.journal import open_storage\n"
        "journal = open_storage(sys.argv[1]).journal('mnist', create=True, owner='the parent')\n"
        "if pid := os.fork(): print('length', pid, flush=True); time.sleep(60)\n"
        "else: time.sleep(60)\n"
    )
    parent = child(code, sqlite_url)
    grandchild = acknowledged(parent)
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    try:
        hold(open_storage(sqlite_url)).close()
    finally:
        os.kill(grandchild, 9)
    parent.communicate()


def test_ten_at_once_begin_ten_studies_in_a_new_file(sqlite_url):
    outcomes = []

    def work(name):
        journal = hold(open_storage(sqlite_url), name)
        journal.append([created(name)], expect=0)
        journal.close()
        outcomes.append(name)

    threads = [threading.Thread(target=work, args=(f"study {n}",)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == sorted(row.name for row in open_storage(sqlite_url).studies())
    assert len(outcomes) == 10


def test_nothing_but_the_database_is_left_behind(sqlite_url, tmp_path):
    journal = hold(open_storage(sqlite_url))
    journal.append(short_study(), expect=0)
    assert [p.name for p in tmp_path.glob("*.lock")] == ["studies.db.1.lock"]
    journal.close()
    assert [p.name for p in tmp_path.iterdir()] == ["studies.db"]


def test_a_journal_that_was_forgotten_is_let_go(sqlite_url):
    journal = hold(open_storage(sqlite_url))
    journal.append([created()], expect=0)
    del journal
    gc.collect()
    hold(open_storage(sqlite_url), owner="another").append([started(0)], expect=1)


def test_reading_creates_nothing(tmp_path):
    storage = open_storage(tmp_path / "typo.db")
    assert storage.studies() == []
    with pytest.raises(KeyError):
        storage.journal("mnist", create=False, owner="me")
    assert list(tmp_path.iterdir()) == []


def test_an_append_waits_for_a_lock_says_so_once_and_goes_on(sqlite_url, caplog):
    caplog.set_level(logging.INFO, "raytune_hpo")
    journal = hold(open_storage(sqlite_url))
    journal.append([created()], expect=0)
    blocker = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(2.5, blocker.execute, ["COMMIT"])  # SQLite itself waits for 2 s
    timer.start()
    journal.append([started(0)], expect=1)
    timer.join()
    blocker.close()
    assert list(journal.read()) == [created(), started(0)]
    waiting, going_on = [record.getMessage() for record in caplog.records]
    assert "trying again" in waiting and "locked" in waiting
    assert "can be written again" in going_on


@pytest.mark.slow
def test_patience_has_an_end_and_a_close_ends_it_sooner(sqlite_url):
    blocker = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    journal = hold(open_storage(sqlite_url, patience_s=0.1))
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match=r"gave up after 0\.1 s.*locked"):
        journal.append([created()], expect=0)
    blocker.execute("COMMIT")
    journal.append([created()], expect=0)
    journal.close()

    journal = hold(open_storage(sqlite_url))
    blocker.execute("BEGIN IMMEDIATE")
    threading.Timer(2.1, journal.close).start()
    with pytest.raises(JournalError, match="closed"):
        journal.append([started(0)], expect=1)
    blocker.close()


FULL = """
import resource, sys, threading
from raytune_hpo.journal import open_storage
from tests.journal.story import usual_trial
journal = open_storage(sys.argv[1], patience_s=30).journal("mnist", create=True, owner="the child")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))  # no file may grow beyond: the disk is full
threading.Timer(2, resource.setrlimit, [resource.RLIMIT_FSIZE, (soft, hard)]).start()
for start in range(0, 1000, 50):
    facts = [f for n in range(start, start + 50) for f in usual_trial(n)]
    journal.append(facts, expect=2 * start)
print("length", 2000, flush=True)
"""


def test_an_append_waits_while_the_disk_is_full(sqlite_url):
    process = child(FULL, sqlite_url, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=60)
    assert output == "length 2000\n", errors
    assert "cannot be written, trying again" in errors and "can be written again" in errors
    facts = list(open_storage(sqlite_url).read("mnist"))
    assert facts == [fact for number in range(1000) for fact in usual_trial(number)]


FORBIDDEN = """
import os, sys
from raytune_hpo.errors import JournalError
from raytune_hpo.journal import open_storage
storage = open_storage(sys.argv[1])
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)  # root may look everywhere
for use in (lambda: list(storage.read("mnist")), storage.studies, lambda: storage.journal("mnist", create=True, owner="me")):
    try:
        use()
    except JournalError as error:
        print(error)
"""


def test_a_study_in_a_folder_of_somebody_else_is_not_said_to_be_missing(tmp_path):
    hold(open_storage(tmp_path / "studies.db")).close()
    tmp_path.chmod(0o000)
    output, errors = child(FORBIDDEN, str(tmp_path / "studies.db"), stderr=subprocess.PIPE).communicate(timeout=60)
    tmp_path.chmod(0o755)
    assert len(output.splitlines()) == 3 and output.count("folder that this user may open") >= 2, (output, errors)


READ_ONLY = """
import os, sys
from raytune_hpo.errors import JournalError
from raytune_hpo.journal import open_storage
storage = open_storage(sys.argv[1])
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)  # root may write everywhere
print(len(list(storage.read("mnist"))))
try:
    storage.journal("mnist", create=True, owner="me").append([], expect=0)
except JournalError as error:
    print(error)
"""


@pytest.mark.parametrize("closed", [True, False])
def test_a_read_only_place_can_be_read_and_says_the_way_out_to_who_writes(tmp_path, closed):
    path = tmp_path / "studies.db"
    journal = hold(open_storage(path))
    journal.append(short_study(), expect=0)
    if closed:
        journal.close()
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    for piece in tmp_path.glob("studies.db*"):
        piece.chmod(0o644)  # they are private, unless someone wishes otherwise
    tmp_path.chmod(0o555)
    process = child(READ_ONLY, str(path), stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=60)
    tmp_path.chmod(0o755)
    length, message = output.splitlines() if output.count("\n") == 2 else (output, errors)
    assert int(length) == len(short_study())
    assert "RAYTUNE_HPO_STORAGE" in message
    journal.close()


@pytest.mark.parametrize("replace", [True, False])
def test_a_file_that_was_removed_takes_no_more_facts(tmp_path, replace):
    path = tmp_path / "studies.db"
    journal = hold(open_storage(path))
    journal.append([created()], expect=0)
    path.unlink()
    if replace:
        path.write_bytes(b"")
    with pytest.raises(JournalError, match="removed or replaced"):
        journal.append([started(0)], expect=1)
    journal.close()


def damage_removed(piece):
    piece.unlink()


def damage_replaced(piece):
    copy = piece.with_name("copy")
    shutil.copy(piece, copy)
    copy.replace(piece)


def damage_emptied(piece):
    piece.write_bytes(b"")


@pytest.mark.parametrize(
    ("end", "damage"),
    [
        ("", damage_replaced),
        ("-wal", damage_removed),
        ("-wal", damage_replaced),
        ("-wal", damage_emptied),
        ("-shm", damage_removed),
        ("-shm", damage_replaced),
    ],
)
def test_nothing_is_acknowledged_that_a_lost_file_takes_with_it(tmp_path, end, damage):
    path = tmp_path / "studies.db"
    journal = hold(open_storage(path))
    for number in range(5):
        journal.append([started(number)], expect=number)
    damage(tmp_path / f"studies.db{end}")
    for _ in range(2):
        with pytest.raises(JournalError):
            journal.append([started(5)], expect=5)
    journal.close()


LOG_LOST = """
import os, sys, time
from raytune_hpo.errors import JournalError
from raytune_hpo.journal import open_storage, sqljournal
from tests.journal.story import started
sqljournal.SETTLE_S = 0.1
journal = open_storage(sys.argv[1]).journal("mnist", create=True, owner="the child")
for number in range(50):
    if number == 20:
        time.sleep(0.11)
    if number == 30:
        os.unlink(sys.argv[2])
    try:
        journal.append([started(number)], expect=number)
    except JournalError as error:
        print("refused", number, error, flush=True)
        os.kill(os.getpid(), 9)
"""


def test_a_log_that_is_removed_takes_seconds_with_it_and_not_the_study(sqlite_url, tmp_path):
    output, _ = child(LOG_LOST, sqlite_url, str(tmp_path / "studies.db-wal")).communicate(timeout=60)
    assert output.startswith("refused 30") and "studies.db-wal must stay as it is" in output
    numbers = [fact.number for fact in open_storage(sqlite_url).read("mnist")]
    assert len(numbers) >= 21 and numbers == list(range(len(numbers)))


def test_a_log_that_others_checkpoint_away_is_no_loss(tmp_path):
    path = tmp_path / "studies.db"
    journal = hold(open_storage(path))
    with sqlite3.connect(path) as other:
        for length in range(0, 600, 20):
            journal.append([started(n) for n in range(length, length + 20)], expect=length)
            other.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if length % 40 else 'RESTART'})").fetchall()
    other.close()
    assert [fact.number for fact in journal.read()] == list(range(600))
    journal.close()


def modes(folder):
    return {piece.name: oct(stat.S_IMODE(piece.stat().st_mode)) for piece in folder.iterdir()}


def test_a_study_is_private(tmp_path):
    journal = hold(open_storage(tmp_path / "studies.db"))
    journal.append(short_study(), expect=0)
    names = ("studies.db", "studies.db-wal", "studies.db-shm", "studies.db.1.lock")
    assert modes(tmp_path) == dict.fromkeys(names, "0o600")
    journal.close()


def test_who_may_only_read_a_database_cannot_hold_its_lock(tmp_path):
    path = tmp_path / "studies.db"
    hold(open_storage(path)).close()
    (tmp_path / "studies.db.1.lock").write_text("left behind by a killed process")
    for database, lock in ((0o644, "0o600"), (0o664, "0o660"), (0o666, "0o666")):
        path.chmod(database)
        journal = hold(open_storage(path))
        assert modes(tmp_path)["studies.db.1.lock"] == lock
        assert modes(tmp_path)["studies.db-wal"] == oct(database)  # as SQLite does it
        journal.close()


def test_two_writers_that_the_lock_could_not_keep_apart_are_kept_apart_by_the_sequence(tmp_path):
    path = tmp_path / "studies.db"
    first = hold(open_storage(path))
    first.append([created()], expect=0)
    (tmp_path / "studies.db.1.lock").unlink()  # someone cleans up
    second = hold(open_storage(path), owner="another")
    second.append([started(0)], expect=1)
    with pytest.raises(SequenceConflict):
        first.append([started(0)], expect=1)
    first.close()
    with pytest.raises(StudyExists):
        hold(open_storage(path))


def test_synchronous_is_an_option(tmp_path):
    for query, level in (("", 1), ("?synchronous=full", 2)):
        storage = open_storage(f"sqlite:///{tmp_path / 'studies.db'}{query}")
        with storage._database.write() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


MOUNTS = r"""/dev/vda / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/ann/local\040disk ext4 rw 0 0
me@host: /mnt/remote fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/studies.db", None),
        ("/tmp/studies.db", None),
        ("/home/ann/studies.db", "nfs4"),
        ("/home/ann/local disk/studies.db", None),
        ("/homeland/studies.db", None),
        ("/mnt/remote/a/studies.db", "fuse.sshfs"),
    ],
)
def test_network_file_systems_are_known_by_their_mounts(path, kind):
    assert network_file_system(Path(path), MOUNTS) == kind
    assert network_file_system(Path("/proc/self")) is None


def test_a_usual_trial_takes_less_than_a_kilobyte(tmp_path):
    path = tmp_path / "studies.db"
    journal = hold(open_storage(path))
    journal.append([fact for number in range(2_000) for fact in usual_trial(number)], expect=0)
    journal.close()
    assert path.stat().st_size < 2_000 * 1024


def test_appending_and_reading_take_little_of_the_processor(sqlite_url):
    """Processor seconds, which other work on the machine does not change; benchmarks/throughput.py has the real figures."""
    journal = hold(open_storage(sqlite_url))
    facts = [fact for number in range(5_000) for fact in usual_trial(number)]
    begun = time.process_time()
    for position in range(0, len(facts), 100):
        journal.append(facts[position : position + 100], expect=position)
    appended = time.process_time()
    assert sum(1 for _ in journal.read()) == len(facts)
    read = time.process_time()
    for position in range(200):
        journal.append([started(position)], expect=len(facts) + position)
    assert appended - begun < len(facts) / 8_000
    assert read - appended < len(facts) * 80e-6
    assert time.process_time() - read < 200 * 1.5e-3
