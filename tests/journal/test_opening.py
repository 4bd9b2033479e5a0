"""What a user may type for a storage."""

import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

import raytune_hpo as hpo
from raytune_hpo.cluster.environment import is_movable, optimizer_needs, storage_words
from raytune_hpo.errors import JournalError, SpecError
from raytune_hpo.journal import MemoryStorage, open_storage
from raytune_hpo.journal.opening import storage_class
from raytune_hpo.journal.sqljournal import SqlJournal
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.settings import Settings
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
        ("sqlite://a.db", "three slashes.*; write sqlite:///studies.db"),
        ("C:\\Users\\me\\studies.db", "a path of Windows; in WSL, drive C: is the folder /mnt/c"),
        ("c:/Users/me/studies.db", "a path of Windows"),
        ("sqlite:///C:\\studies.db", "a path of Windows"),
        ("sqlite:///a.db?sync=full", "sync"),
        ("sqlite:///a.db?synchronous=off", "normal or full"),
        ("memroy", r"\./memroy"),
        ("file:a.db", r"write the path alone, and one that begins with file: as \./file:a\.db"),
        ("file:a.db?mode=ro", "write the path alone"),
        ("a.db?synchronous=full", r"got 'a\.db' with options.*: sqlite:///a\.db\?synchronous=full;.*\./a\.db\?sync"),
        ("~no-user-here/a.db", r"home of a user.*~no-user-here has none here; .* \./~no-user-here/a\.db"),
        ("sqlite:///~no-user-here/a.db", "~no-user-here has none here"),
        ("\0.db", "has no NUL character"),
        (Path("\0.db"), "has no NUL character"),
        ("postgresql://user:secret@host:port/db", "cannot be read"),
        (7, "got an object of type int"),
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(here, text, message):
    with pytest.raises(SpecError, match=message) as caught:
        open_storage(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "postgresql:/hpo:s3cret@db/hpo",
        "postgres//hpo:s3cret@db/hpo",
        "postgres:hpo:s3cret@db/hpo",
        "hpo:s3cret@db/hpo.db",
        "hpo:s3cret@db",
        "postgresq1://hpo:s3cret@db/hpo",
        "mysql://hpo:s3cret@db/hpo",
        "hpo:s3cret@db://hpo",
        "sqlite://hpo:s3cret@db/hpo",
        "postgresql://hpo:s3cret@db:port/hpo",
        "postgresql://hpo:s3cret@db/hpo?port=s3cret",
        "postgresql+asyncpg://hpo:s3cret@db/hpo",
    ],
)
def test_no_message_repeats_the_password_of_words_that_are_refused(here, words):
    with pytest.raises(SpecError) as caught:
        open_storage(words)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://hpo:s3cret@127.0.0.1:1/hpo?password=s3cret", "postgresql://hpo:***@127.0.0.1:1/hpo"),
        ("postgresql://hpo@127.0.0.1:1/hpo?password=s3cret", "postgresql://hpo:***@127.0.0.1:1/hpo"),
        ("postgresql://hpo@127.0.0.1:1/hpo", "postgresql://hpo@127.0.0.1:1/hpo"),
        ("postgresql://127.0.0.1:1/hpo?sslpassword=s3cret", "postgresql://127.0.0.1:1/hpo?sslpassword=***"),
        (
            "postgresql://127.0.0.1:1/hpo?application_name=a&gssencmode=s3cret",
            "postgresql://127.0.0.1:1/hpo?application_name=a&gssencmode=***",
        ),
        ("postgresql://127.0.0.1:1/hpo?sslmode=disable&pasword=s3cret", "pasword=***"),
        ("postgresql://127.0.0.1:1/hpo?connect_timeout=s3cret", "connect_timeout=***"),
        ("postgresql://127.0.0.1:1/hpo?keepalives=s3cret", "keepalives=***"),
    ],
)
def test_no_message_repeats_a_password_of_a_server_that_cannot_be_used(url, shown):
    storage = open_storage(url, patience_s=0.1)
    assert storage.url.endswith(shown)
    with pytest.raises(JournalError) as reading:
        storage.studies()
    with pytest.raises(JournalError) as writing:
        storage.journal("mnist", create=True, owner="me")
    chains = ["".join(traceback.format_exception(caught.value)) for caught in (reading, writing)]
    assert "s3cret" not in "".join([repr(storage), repr(storage._database._engine), *chains]).replace(url, "")


def test_an_append_that_gives_up_repeats_no_password_in_its_chain(monkeypatch):
    secret = OperationalError("INSERT", {}, Exception("the option x has the value s3cret"))
    database = open_storage("postgresql://127.0.0.1:1/hpo?x=s3cret")._database
    monkeypatch.setattr(database, "write", lambda: (_ for _ in ()).throw(secret))
    right = SimpleNamespace(check=lambda: None)
    given = {"name": "mnist", "study_id": 1, "writer": 1, "patience_s": 0.2}
    journal = SqlJournal(None, database, right, None, **given)
    with pytest.raises(JournalError, match=r"gave up.*\*\*\*") as caught:
        journal.append([], expect=0)
    assert "has the value s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_plan_is_shown_without_the_words_for_its_storage():
    settings = Settings(
        metric="loss", num_trials=1, storage="postgresql://hpo:s3cret@db/hpo", name="n", sampler="random"
    )
    plan = RunPlan.of({"x": hpo.uniform(0, 1)}, settings)
    assert "s3cret" not in repr(settings) + repr(plan)


@pytest.mark.parametrize(
    ("words", "absolute"),
    [
        ("foo.db", "{here}/foo.db"),
        ("~/foo.db", "{here}/home/foo.db"),
        (Path("foo"), "{here}/foo"),
        (Path("memory"), "{here}/memory"),
        ("sqlite:///foo.db?synchronous=full", "sqlite:///{here}/foo.db?synchronous=full"),
        ("sqlite+pysqlite:///foo.db", "sqlite+pysqlite:///{here}/foo.db"),
        ("sqlite:////foo.db", "sqlite:////foo.db"),
        ("memory", "memory"),
        ("postgresql://ann:secret@db/hpo", "postgresql://ann:secret@db/hpo"),
    ],
)
def test_words_are_made_absolute_where_they_are_typed(here, words, absolute, monkeypatch):
    assert storage_words(words) == absolute.format(here=here)
    monkeypatch.chdir("/")
    if not absolute.startswith("postgresql"):
        kind, _ = storage_class(words)
        assert type(open_storage(storage_words(absolute.format(here=here)))) is kind


def test_a_storage_says_what_a_cluster_must_know():
    assert is_movable("postgresql://db/hpo") and is_movable("postgres://db/hpo")
    assert not any(is_movable(words) for words in (None, "memory", "a.db", "sqlite:///postgres.db"))
    assert optimizer_needs("memory", None) == {}
    assert set(optimizer_needs(None, None)) == {"sqlalchemy"}
    assert set(optimizer_needs("postgresql://db/hpo", None)) >= {"sqlalchemy", "psycopg"}


def test_a_misspelt_scheme_is_answered_with_the_nearest():
    with pytest.raises(SpecError, match="did you mean 'postgresql'"):
        open_storage("postgresq://db/hpo")


def test_the_default_folder_is_private_and_an_open_one_is_closed(here):
    folder = here / "home" / ".raytune_hpo"
    open_storage().journal("mnist", create=True, owner="me").close()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    open_storage()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_users_chose_is_left_as_it_is(here):
    (here / "shared").mkdir(mode=0o755)
    (here / "home").mkdir()
    (here / "home" / ".raytune_hpo").symlink_to(here / "shared")
    open_storage().journal("mnist", create=True, owner="me").close()
    open_storage("shared/own.db").journal("mnist", create=True, owner="me").close()
    assert (here / "shared").stat().st_mode & 0o777 == 0o755


def test_sqlalchemy_waits_for_a_database():
    code = (
        "import sys; from raytune_hpo.journal import open_storage; open_storage('memory');"
        "assert not {'sqlalchemy', 'numpy', 'psycopg'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_user_without_a_home_is_told_to_name_a_storage(here, monkeypatch):
    def no_home(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(SpecError, match="a file below your home, which cannot be found; set HOME"):
        open_storage()


def test_a_folder_is_no_storage_and_its_own_folder_must_be_there(here):
    (here / "folder.db").mkdir()
    storage = open_storage("folder.db")
    for use in (storage.studies, lambda: storage.journal("mnist", create=True, owner="me")):
        with pytest.raises(
            JournalError, match=r"studies are in a file, .*/folder\.db is a folder; name a file in it, or"
        ):
            use()
    with pytest.raises(
        JournalError, match=r"must be in a folder that exists, .*/none does not; create it, or use storage="
    ):
        open_storage("none/a.db").journal("mnist", create=True, owner="me")
    assert open_storage("none/a.db").studies() == []
