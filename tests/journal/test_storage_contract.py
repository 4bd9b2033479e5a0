"""Every registered storage keeps the contract of ``raytune_hpo.testing.journal_cases``."""

import itertools

import psycopg
import pytest

from raytune_hpo import registry, testing
from raytune_hpo.errors import SpecError, StudyExists
from raytune_hpo.journal import MemoryStorage, integrity_of, open_storage

CHECKS = [check.__name__.removeprefix("check_") for check in testing.JOURNAL_CHECKS]
NUMBERS = itertools.count()


@pytest.fixture
def new_place(request, tmp_path):
    """Words for another, empty place each time, by the scheme of a storage."""

    def memory():
        return MemoryStorage()  # itself: the word alone names another one each time

    def sqlite():
        return f"sqlite:///{tmp_path}/{next(NUMBERS)}.db"

    def postgresql():
        url = request.getfixturevalue("postgres_url")
        name = f"contract{next(NUMBERS)}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{url}?options=-csearch_path%3D{name}"

    return {"memory": memory, "sqlite": sqlite, "postgresql": postgresql}


@pytest.mark.parametrize("scheme", registry.installed("journal"))
@pytest.mark.parametrize("check", CHECKS)
def test_a_storage_keeps_its_contract(scheme, check, new_place):
    cases = testing.journal_cases(new_place[scheme], lasts=scheme != "memory")
    cases[check]()


def test_a_storage_that_is_open_comes_back_as_it_is(storage):
    assert open_storage(storage) is storage


@pytest.mark.parametrize("name", [None, 3, ["a"], b"a", "\udcc3\udca9"])
def test_a_name_that_is_no_text_is_refused_wherever_a_study_is_looked_up(storage, name):
    for is_empty in (True, False):
        for look_up in (
            storage.read,
            storage.rows,
            storage.delete,
            lambda name: storage.trial_facts(name, 0),
            lambda name: integrity_of(storage, name),
            lambda name: storage.journal(name, create=False, owner="me"),
            lambda name: storage.journal(name, create=True, owner="me"),
        ):
            with pytest.raises(SpecError, match="a study's name is text, got "):
                look_up(name)
        if is_empty:
            storage.journal("mnist", create=True, owner="me").close()


def test_who_deletes_a_running_study_is_told_to_stop_it(storage):
    journal = storage.journal("mnist", create=True, owner="alice")
    with pytest.raises(
        StudyExists, match="'mnist' is being run by alice.*; stop it or wait for its end, then delete it$"
    ):
        storage.delete("mnist")
    journal.close()
    storage.delete("mnist")
