"""Folders of checkpoints: whole or not there, told apart by what is in them, and deleted without taking others along."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from raytune_hpo.checkpoints.folders import measured, removed, swept, written


def write(text):
    def inside(folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "model").write_text(text)
        (folder / "note").write_text("")

    return inside


def test_a_folder_is_there_whole_once_it_is_written(tmp_path):
    contents = written(tmp_path / "study", "0-1-5", write("weights"))
    place = tmp_path / "study" / "0-1-5"
    assert contents == measured(place)
    assert (place / "deep" / "model").read_text() == "weights"
    assert [p.name for p in place.parent.iterdir()] == ["0-1-5"]


def test_what_breaks_while_it_is_written_leaves_nothing(tmp_path):
    def broken(folder):
        (folder / "half").write_text("x")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        written(tmp_path, "0-1-5", broken)
    assert list(tmp_path.iterdir()) == []


def test_written_again_it_is_the_new_one(tmp_path):
    written(tmp_path, "0-1-5", write("old"))
    written(tmp_path, "0-1-5", write("new"))
    assert (tmp_path / "0-1-5" / "deep" / "model").read_text() == "new"


def test_everything_is_on_the_disk_before_it_has_its_name_and_the_name_before_it_counts(tmp_path, monkeypatch):
    done = []

    def sync(handle):
        done.append(Path(os.readlink(f"/proc/self/fd/{handle}")))

    def rename(folder, place):
        done.append("renamed")
        return os.rename(folder, place)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    written(tmp_path, "0-1-5", write("weights"))
    *first, renamed, last = done
    assert sorted("/".join(path.relative_to(tmp_path).parts[1:]) for path in first) == [
        "",
        "deep",
        "deep/model",
        "note",
    ]
    assert (renamed, last) == ("renamed", tmp_path)


@pytest.mark.parametrize("name", ["note", "deep"])
def test_what_cannot_be_synced_leaves_nothing_and_is_told(tmp_path, monkeypatch, name):
    real = os.fsync

    def full(handle):
        if os.readlink(f"/proc/self/fd/{handle}").endswith(name):
            raise OSError(errno.ENOSPC, "no space")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space") as caught:
        written(tmp_path, "0-1-5", write("weights"))
    assert caught.value.errno == errno.ENOSPC and list(tmp_path.iterdir()) == []


def test_a_forked_process_writes_folders_too(tmp_path):
    written(tmp_path, "0-1-5", write("weights"))  # the threads that sync are in this process alone

    def save(folder):
        (folder / "model").write_text("more")

    child = multiprocessing.get_context("fork").Process(target=written, args=(tmp_path, "0-1-6", save))
    child.start()
    child.join(60)
    assert child.exitcode == 0 and (tmp_path / "0-1-6" / "model").read_text() == "more"


def test_the_digest_is_of_names_and_contents_and_the_size_of_all_files(tmp_path):
    first, again, other = tmp_path / "a", tmp_path / "a2", tmp_path / "c"
    for folder, text in ((first, "b"), (again, "b"), (other, "c")):
        written(tmp_path, folder.name, write(text))
    assert measured(first) == measured(again)
    assert measured(first)[0] == 1
    assert measured(first) != measured(other)
    (again / "note").rename(again / "noted")
    assert measured(first)[1] != measured(again)[1]


def test_a_moved_border_between_name_and_content_is_another_digest(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, name, content in ((one, "ab", "c"), (two, "a", "bc")):
        folder.mkdir()
        (folder / name).write_text(content)
    assert measured(one)[1] != measured(two)[1]


def test_sweeping_leaves_what_is_kept_and_what_is_another_trials(tmp_path):
    for name in ("1-1-5", "1-2-7", "11-1-5", "2-1-1"):
        written(tmp_path, name, write("x"))
    (tmp_path / ".unfinished-1-2-9-abc").mkdir()
    (tmp_path / ".unfinished-2-1-9-abc").mkdir()
    swept(tmp_path, "1-", {"1-2-7"}.__contains__)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".unfinished-2-1-9-abc", "1-2-7", "11-1-5", "2-1-1"]
    removed(tmp_path / "nowhere")
    swept(tmp_path / "nowhere", "1-", {}.__contains__)
