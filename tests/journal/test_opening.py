"""What a user may type for a storage."""

import subprocess
import sys
from pathlib import Path

import pytest

from raytune_hpo.errors import SpecError
from raytune_hpo.journal import MemoryStorage, open_storage
from tests.journal.story import ROOT


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RAYTUNE_HPO_STORAGE", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("foo.db", "foo.db"),
        ("./foo", "foo"),
        ("~/foo.db", "home/foo.db"),
        (Path("foo"), "foo"),
        ("sqlite:///foo.db", "foo.db"),
        ("sqlite+pysqlite:///foo.db?synchronous=FULL", "foo.db"),
        ("sqlite:///~/foo.db", "home/foo.db"),
        ("a b/ü%?#.db", "a b/ü%?#.db"),
    ],
)
def test_files(here, text, path):
    target = here / path
    target.parent.mkdir(exist_ok=True)
    storage = open_storage(text)
    assert storage.url == f"sqlite:///{target}"
    assert not target.exists()  # nothing is created before it is used
    storage.journal("mnist", create=True, owner="me").close()
    assert target.exists()


def test_the_default_is_a_file_at_home_unless_the_environment_says_otherwise(here, monkeypatch):
    storage = open_storage(None)
    assert storage.url == f"sqlite:///{here}/home/.raytune_hpo/studies.db"
    storage.journal("mnist", create=True, owner="me").close()
    monkeypatch.setenv("RAYTUNE_HPO_STORAGE", "other.db")
    assert open_storage().url == f"sqlite:///{here}/other.db"


def test_memory_is_new_each_time_and_an_object_stays_itself():
    storage = open_storage("memory")
    assert isinstance(storage, MemoryStorage)
    assert open_storage(storage) is storage
    assert open_storage("memory") is not storage


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_postgresql_url_hides_its_password(scheme):
    storage = open_storage(f"{scheme}://ann:secret@db.example/hpo")
    assert storage.url == "postgresql://ann:***@db.example/hpo"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mysql://host/db", "postgresql://.*got 'mysql'"),
        ("redis://host", "got 'redis'"),
        ("sqlite+aiosqlite:///a.db", "aiosqlite"),
        ("postgresql+asyncpg://host/db", "asyncpg"),
        ("sqlite://", 'use .*"memory"'),
        ("sqlite:///:memory:", 'use .*"memory"'),
        (":memory:", 'use "memory"'),
        ("sqlite:///file:a.db?uri=true", "plain file"),
        ("sqlite://a.db", "three slashes"),
        ("sqlite:///a.db?sync=full", "sync"),
        ("sqlite:///a.db?synchronous=off", "normal or full"),
        ("memroy", r"\./memroy"),
        ("postgresql://user:secret@host:port/db", "cannot be read"),
        (7, "got a int"),
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(here, text, message):
    with pytest.raises(SpecError, match=message) as caught:
        open_storage(text)
    assert "secret" not in str(caught.value)


def test_sqlalchemy_waits_for_a_database():
    code = (
        "import sys; from raytune_hpo.journal import open_storage; open_storage('memory');"
        "assert not {'sqlalchemy', 'numpy', 'psycopg'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
