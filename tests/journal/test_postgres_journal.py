"""PostgreSQL: sessions that end, servers that restart, commits whose answer never came."""

import logging
import threading
import time

import psycopg
import pytest

from raytune_hpo.errors import JournalError, SequenceConflict, StudyExists, StudyNotFound
from raytune_hpo.journal import open_storage
from tests.journal.story import acknowledged, created, kill, short_study, started, usual_trial, writing_process
from tests.journal.wire import Wire


def hold(url, name="mnist", owner="me"):
    return open_storage(url, patience_s=60).journal(name, create=True, owner=owner)


def ask(url, sql):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def end_session(url):
    """As an administrator would, or a broken network."""
    holder = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 'raytune_facts'::regclass"
    assert ask(url, f"SELECT pg_terminate_backend(({holder}), 5000)") == [(True,)]


def test_a_killed_writer_frees_its_study_and_keeps_its_word(postgres_schema):
    process = writing_process(postgres_schema, "mnist", size=5)
    for _ in range(10):
        safe = acknowledged(process)
    with pytest.raises(StudyExists, match=r"the child \(database session \d+\).*hpo.attach"):
        hold(postgres_schema)
    safe = max([safe, *kill(process)])
    journal = hold(postgres_schema)
    facts = list(journal.read())
    assert safe <= len(facts) <= safe + 10
    assert facts == [fact for number in range(len(facts) // 2) for fact in usual_trial(number)]


def test_an_append_outlives_a_restart_of_the_server(postgres_schema, postgres_server, caplog):
    caplog.set_level(logging.INFO, "raytune_hpo")
    journal = hold(postgres_schema)
    total, stop = 0, threading.Event()

    def work():
        nonlocal total
        while not stop.is_set():
            journal.append([started(total + n) for n in range(10)], expect=total)
            total += 10

    thread = threading.Thread(target=work)
    thread.start()
    for mode in ("immediate", "fast"):
        time.sleep(0.5)
        postgres_server.stop(mode)
        time.sleep(0.3)
        before = total
        postgres_server.start()
        deadline = time.monotonic() + 30
        while total <= before + 50 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert total > before + 50
    stop.set()
    thread.join()
    assert [fact.number for fact in journal.read()] == list(range(total))  # nothing lost, nothing twice
    lines = [record.getMessage() for record in caplog.records if record.name == "raytune_hpo"]
    assert len(lines) == 4 and "trying again" in lines[0] and "written again" in lines[1]
    with pytest.raises(StudyExists):  # the right was taken again with the connection
        hold(postgres_schema)


def test_a_writer_that_lost_its_session_to_another_may_not_go_on(postgres_schema):
    first = hold(postgres_schema, owner="first")
    first.append([created()], expect=0)
    end_session(postgres_schema)
    second = hold(postgres_schema, owner="second")
    with pytest.raises(SequenceConflict, match="taken over by second"):
        first.append([started(0)], expect=1)
    second.append([started(0)], expect=1)
    second.close()
    with pytest.raises(SequenceConflict, match="holds 2"):
        first.append([started(0)], expect=1)


@pytest.fixture
def wire(postgres_server):
    wire = Wire(postgres_server.port)
    yield wire
    wire.close()


@pytest.mark.parametrize("delivered", [True, False])
def test_a_commit_whose_answer_never_came_happens_once(postgres_schema, postgres_server, wire, delivered):
    journal = hold(postgres_schema.replace(str(postgres_server.port), str(wire.port)))
    journal.append([created()], expect=0)
    wire.break_at, wire.deliver = b"COMMIT", delivered
    journal.append([started(0), started(1)], expect=1)
    assert wire.break_at is None  # it did break
    journal.append([started(2)], expect=3)
    assert list(journal.read()) == [created(), started(0), started(1), started(2)]
    with pytest.raises(StudyExists):
        hold(postgres_schema)
    journal.close()


def test_the_tables_live_in_the_schema_of_the_search_path(postgres_schema, postgres_url):
    hold(postgres_schema).append(short_study(), expect=0)
    with pytest.raises(StudyNotFound):
        open_storage(postgres_url).read("mnist")


def test_studies_of_one_id_in_two_schemas_do_not_exclude_each_other(postgres_schema, postgres_url):
    ask(postgres_url, "CREATE SCHEMA twin")
    hold(postgres_schema)
    hold(f"{postgres_url}?options=-csearch_path%3Dtwin")


def test_tables_of_another_application_are_left_alone(postgres_schema):
    ask(postgres_schema, "CREATE TABLE trials (trial_id int)")
    with pytest.raises(JournalError, match="another application: trials"):
        hold(postgres_schema)


def test_a_server_that_is_not_there_is_named_without_its_password():
    storage = open_storage("postgresql://ann:secret@127.0.0.1:1/hpo")
    for ask_it in (lambda: storage.read("mnist"), lambda: storage.journal("mnist", create=True, owner="me")):
        with pytest.raises(JournalError, match=r"ann:\*\*\*@127") as caught:
            ask_it()
        assert "secret" not in str(caught.value)


def test_ten_at_once_begin_ten_studies_in_a_new_schema(postgres_schema):
    threads = [threading.Thread(target=lambda n=n: hold(postgres_schema, f"study {n}").close()) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(open_storage(postgres_schema).studies()) == 10
