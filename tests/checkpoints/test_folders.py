"""Folders of checkpoints: whole or not there, told apart by what is in them, and deleted without taking others along."""

from __future__ import annotations

import pytest

from raytune_hpo.checkpoints.folders import measured, removed, swept, written


def write(text):
    def inside(folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "model").write_text(text)
        (folder / "note").write_text("")

    return inside


def test_a_folder_is_there_whole_once_it_is_written(tmp_path):
    place = written(tmp_path / "study", "0-1-5", write("weights"))
    assert place == tmp_path / "study" / "0-1-5"
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
    assert (written(tmp_path, "0-1-5", write("new")) / "deep" / "model").read_text() == "new"


def test_the_digest_is_of_names_and_contents_and_the_size_of_all_files(tmp_path):
    first, again, other = (written(tmp_path, name, write(text)) for name, text in ("ab", ("a2", "b"), "cc"))
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
