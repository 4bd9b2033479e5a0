"""Where checkpoints are kept: folders and URLs, what is read from them, and what is said when it cannot be."""

from __future__ import annotations

import json
import pickle

import pytest

from raytune_hpo.checkpoints import fetching
from raytune_hpo.checkpoints.folders import measured
from raytune_hpo.checkpoints.places import MAX_NAME, checked_place, place_of
from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.checkpoints.store import CheckpointStore, copy_of
from raytune_hpo.errors import CheckpointGone, SpecError


def write(folder):
    (folder / "layers").mkdir()
    (folder / "layers" / "w").write_bytes(b"\x00\x01" * 500)


@pytest.fixture(scope="session")
def s3():
    """A real server that speaks S3, on this machine, and its bucket."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("FSSPEC_S3_ENDPOINT_URL", f"http://{host}:{port}")
        import s3fs

        s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}").mkdir("bucket")
        yield "s3://bucket/some/where"
    server.stop()


@pytest.fixture(params=["folder", "file", "s3", "memory"])
def url(request, tmp_path):
    return {
        "folder": lambda: str(tmp_path / "kept"),
        "file": lambda: f"file://{tmp_path}/kept",
        "s3": lambda: request.getfixturevalue("s3") + f"/{request.node.name}",
        "memory": lambda: f"memory://{tmp_path.name}",
    }[request.param]()


def test_what_is_saved_is_read_again_and_deleted(url):
    store = CheckpointStore(url)
    record = store.save(3, 1, 50, write)
    assert json.loads(json.dumps(record)) == record
    checkpoint = Checkpoint(3, 50, record)
    assert checkpoint.size_bytes == 1000
    assert (checkpoint.path / "layers" / "w").read_bytes() == b"\x00\x01" * 500
    other = store.save(3, 1, 60, write)
    store.delete(record)
    store.delete(record)  # twice is no harm
    assert (Checkpoint(3, 60, other).path / "layers" / "w").is_file()


def test_empty_folders_and_linked_ones_come_back(url, tmp_path):
    def save(folder):
        (folder / "logs" / "old").mkdir(parents=True)
        write(folder)
        (folder / "last").symlink_to("layers")

    path = Checkpoint(1, 2, CheckpointStore(url).save(1, 1, 2, save)).path
    assert (path / "logs" / "old").is_dir() and (path / "last" / "w").stat().st_size == 1000
    assert list(Checkpoint(1, 3, CheckpointStore(url).save(1, 1, 3, lambda folder: None)).path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="a folder that can be written, got .*file"):
        CheckpointStore(str(tmp_path / "file")).check()


def test_what_is_gone_is_said_to_be_with_its_trial_and_step(url):
    store = CheckpointStore(url)
    record = store.save(3, 1, 50, lambda folder: (folder / "w").write_text(url))
    store.delete(record)
    with pytest.raises(CheckpointGone, match="the checkpoint of trial 3 at step 50 .* cannot be read"):
        _ = Checkpoint(3, 50, record).path


def test_what_was_changed_is_not_what_was_saved(tmp_path):
    record = CheckpointStore(str(tmp_path)).save(3, 1, 50, write)
    (tmp_path / "3-1-50" / "layers" / "w").write_bytes(b"other")
    with pytest.raises(CheckpointGone, match="not what was saved"):
        _ = Checkpoint(3, 50, record).path


def test_the_contents_are_verified_once_but_a_folder_that_is_gone_later_is_missed(tmp_path, monkeypatch):
    looks = []
    monkeypatch.setattr(fetching, "measured", lambda folder: looks.append(folder) or measured(folder))
    store = CheckpointStore(str(tmp_path))
    checkpoint = Checkpoint(3, 50, store.save(3, 1, 50, lambda folder: (folder / "w").write_text("only here")))
    assert checkpoint.path == checkpoint.path == tmp_path / "3-1-50" and len(looks) == 1
    elsewhere = pickle.loads(pickle.dumps(checkpoint))
    assert elsewhere == checkpoint
    (tmp_path / "3-1-50" / "w").write_bytes(b"other")
    with pytest.raises(CheckpointGone, match="not what was saved"):
        _ = elsewhere.path
    store.delete(checkpoint.record)
    with pytest.raises(CheckpointGone, match="no such folder"):
        _ = checkpoint.path


def test_what_others_keep_cannot_be_read_here():
    with pytest.raises(CheckpointGone, match="worker that ran the trial keeps it"):
        _ = Checkpoint(3, 50, {"kept": "in my head"}).path


def test_a_copy_of_a_folder_is_a_checkpoint_too(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "w").write_text("1")
    store = CheckpointStore(str(tmp_path / "kept"))
    record = store.save(0, 1, 1, copy_of(tmp_path / "mine"))
    (tmp_path / "mine" / "w").write_text("2")
    assert (Checkpoint(0, 1, record).path / "w").read_text() == "1"
    with pytest.raises(NotADirectoryError):
        copy_of(tmp_path / "nothing")


def test_a_study_keeps_its_own_and_sweeps_the_rest(tmp_path):
    store = CheckpointStore(str(tmp_path))
    records = [store.save(number, 1, 5, write) for number in range(3)]
    store.sweep_unknown([records[1]])
    assert [p.name for p in tmp_path.iterdir()] == ["1-1-5"]
    CheckpointStore("s3://nowhere/else").sweep_unknown([])  # a remote one is not listed: that costs


@pytest.mark.parametrize(
    ("name", "folder"),
    [("digits", "digits"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("größe x", "gr%C3%B6%C3%9Fe x"), ("a:b*", "a%3Ab%2A")],
)
def test_checkpoints_lie_beside_an_sqlite_file_under_the_studys_name(name, folder):
    assert place_of(None, "sqlite:////data/studies.db", name) == f"/data/studies.db.checkpoints/{folder}"


def test_places_are_no_other_studys():
    long = [place_of(None, "sqlite:////d.db", "x" * 199 + end) for end in "ab"]
    assert long[0] != long[1] and all(len(p.rpartition("/")[2]) <= MAX_NAME for p in long)
    assert place_of("/mnt", "sqlite:////a.db", "s") != place_of("/mnt", "sqlite:////b.db", "s")
    assert place_of("/mnt", "sqlite:////a.db", "s") == place_of("/mnt", "sqlite:////a.db", "s")
    assert place_of("/mnt", "memory", "s") != place_of("/mnt", "memory", "s")
    assert place_of(None, "memory", "s") != place_of(None, "memory", "s")
    assert place_of("s3://b/p/", "sqlite:////a.db", "s").startswith("s3://b/p/s-")


@pytest.mark.parametrize("given", [3, "", " ", object(), "nonsense://x"])
def test_a_place_that_is_none_is_refused(given):
    with pytest.raises(SpecError, match="checkpoints is a folder or a URL that fsspec knows"):
        checked_place(given)


def test_a_folder_is_absolute_before_it_travels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert checked_place("kept") == str(tmp_path / "kept")
    assert checked_place("~/kept").endswith("/kept") and "~" not in checked_place("~/kept")
