"""Files that are written whole: the old one or the new one, on the disk before anyone finds it."""

import os
from pathlib import Path

import pytest

from raytune_hpo.errors import HpoError
from raytune_hpo.files import make_private, write_whole


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_folder_after_it(tmp_path, monkeypatch):
    path = tmp_path / "spec.json"
    path.write_text("old")
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(path.read_text()))
    write_whole(path, "new")
    assert seen == ["old", "new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["spec.json"]


def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "spec.json"
    path.write_text("old")

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(HpoError, match="cannot be written: No space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["spec.json"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    make_private(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(HpoError, match="file/below cannot be made: Not a directory; name a folder that can be"):
        make_private(tmp_path / "file" / "below")


def test_what_a_link_points_to_is_written_and_a_pipe_is_written_to(tmp_path):
    newest, link = tmp_path / "run-7.csv", tmp_path / "newest.csv"
    newest.write_text("old")
    link.symlink_to(newest)
    write_whole(link, "new")
    assert link.is_symlink() and newest.read_text() == "new"
    reader, writer = os.pipe()
    write_whole(Path(f"/dev/fd/{writer}"), "new")
    os.close(writer)
    with open(reader) as pipe:
        assert pipe.read() == "new"
