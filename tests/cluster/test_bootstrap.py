"""The folder in which the package is unpacked: its place is known to every user of the machine."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import pytest

from raytune_hpo.cluster import bootstrap

package = pytest.importorskip("raytune_hpo.cluster.shells").package


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folder for unpacked things is to be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"raytune_hpo-{os.getuid()}"


def unpacked() -> Path:
    return Path(bootstrap._unpacked(*package()))


def test_the_package_is_unpacked_once_into_a_folder_of_its_users_own(home: Path) -> None:
    first = unpacked()
    assert first.parent == home and home.stat().st_mode & 0o777 == 0o700
    inode = first.stat().st_ino
    assert unpacked() == first and first.stat().st_ino == inode
    assert len(list(home.iterdir())) == 1


def test_a_link_in_its_place_is_not_followed(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home.symlink_to(elsewhere)
    with pytest.raises(PermissionError, match="remove it"):
        unpacked()


def test_a_folder_in_which_others_may_write_is_refused(home: Path) -> None:
    home.mkdir()
    home.chmod(0o777)
    with pytest.raises(PermissionError, match="no one else can write"):
        unpacked()


@pytest.mark.skipif(os.getuid() != 0, reason="gives a folder away")
def test_a_folder_of_someone_else_is_refused(home: Path) -> None:
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to this user"):
        unpacked()


@pytest.mark.parametrize("spoil", ["changed", "added", "removed", "link"])
def test_content_that_is_not_what_it_was_is_replaced(home: Path, tmp_path: Path, spoil: str) -> None:
    folder = unpacked()
    file = folder / "raytune_hpo" / "errors.py"
    if spoil == "changed":
        file.write_text("evil")
    elif spoil == "added":
        (file.parent / "json.py").write_text("evil")
    elif spoil == "removed":
        file.unlink()
    else:
        shutil.move(folder, tmp_path / "moved")
        folder.symlink_to(tmp_path / "moved")
    assert unpacked() == folder
    assert bootstrap.digest_of(bootstrap.contents_of(str(folder / "raytune_hpo"))) == package()[0]
    assert not folder.is_symlink()


def test_a_package_that_is_not_what_its_digest_says_is_refused(home: Path) -> None:
    digest, archive = package()
    with pytest.raises(RuntimeError, match=r"is not what was sent; set TMPDIR"):
        bootstrap._unpacked(digest[::-1], archive)


def test_a_file_that_changes_meanwhile_is_sent_as_it_was_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was read twice, for the digest and for the archive; workers unpacked it over and over."""
    readings = itertools.count()
    monkeypatch.setattr(bootstrap, "contents_of", lambda folder: {"errors.py": f"reading {next(readings)}".encode()})
    digest, archive = package.__wrapped__()
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert bootstrap.digest_of({"errors.py": file.read("raytune_hpo/errors.py")}) == digest
