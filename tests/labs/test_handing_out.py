"""`raytune-hpo labs` hands the workshop to a reader, from a checkout and from a wheel, and spares what the reader wrote."""

import json
import os
import re
import sys
import zipfile
from pathlib import Path

import pytest
from labs_support import ROOT, environment, lab_names, run

from raytune_hpo.cluster import bootstrap
from raytune_hpo.errors import HpoError
from raytune_hpo.workshop import copying


def test_everything_a_reader_needs_is_copied(tmp_path):
    copied = {str(path.relative_to(tmp_path)) for path in copying.copy_labs(tmp_path)}
    for name in lab_names():
        assert {f"labs/{name}.py", f"notebooks/{name}.ipynb", f"notebooks/solutions/{name}.ipynb"} <= copied
    assert {"labs/README.md", "labs/select_model.py", "labs/stop_early.py"} <= copied
    assert "labs/build.py" not in copied, "it makes the notebooks, which readers have"
    assert all((tmp_path / path).read_bytes() == (ROOT / path).read_bytes() for path in copied)


def test_what_a_reader_wrote_is_not_overwritten(tmp_path):
    copying.copy_labs(tmp_path)
    mine, gone = tmp_path / "notebooks" / "curve_fitting.ipynb", tmp_path / "labs" / "README.md"
    mine.write_text("all gaps filled")
    gone.unlink()
    with pytest.raises(HpoError, match=r"notebooks/curve_fitting\.ipynb; name another folder"):
        copying.copy_labs(tmp_path)
    assert mine.read_text() == "all gaps filled"
    assert not gone.exists(), "nothing is copied where not everything can be"


def test_with_force_it_is(tmp_path):
    copying.copy_labs(tmp_path)
    mine = tmp_path / "notebooks" / "curve_fitting.ipynb"
    mine.write_text("all gaps filled")
    copying.copy_labs(tmp_path, force=True)
    assert mine.read_bytes() == (ROOT / "notebooks" / "curve_fitting.ipynb").read_bytes()


def test_copying_twice_changes_nothing(tmp_path):
    assert copying.copy_labs(tmp_path) == copying.copy_labs(tmp_path)


def test_many_files_in_the_way_are_not_all_named(tmp_path):
    for path in copying.copy_labs(tmp_path):
        path.write_text("mine")
    with pytest.raises(HpoError, match=r"labs/.*, \.\.\.; name another folder") as caught:
        copying.copy_labs(tmp_path)
    assert len(str(caught.value)) < 400


def test_folders_beside_the_labs_are_copied_and_what_a_run_left_is_not(tmp_path, monkeypatch):
    for name in ("README.md", "lab.py", "data/points.txt", "out/picture.html", "__pycache__/lab.pyc"):
        path = tmp_path / "here" / "labs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.setattr(copying, "_INSTALLED", tmp_path / "here")
    copied = copying.copy_labs(tmp_path / "there")
    names = [str(path.relative_to(tmp_path / "there" / "labs")) for path in copied]
    assert names == ["README.md", "lab.py", "data/points.txt"]


def test_a_package_without_its_labs_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(copying, "_INSTALLED", tmp_path)
    monkeypatch.setattr(copying, "_CHECKOUT", tmp_path)
    with pytest.raises(HpoError, match="install it again"):
        copying.copy_labs(tmp_path / "workshop")


def test_the_command_line_copies_and_says_where_to_begin(tmp_path):
    command = [sys.executable, "-m", "raytune_hpo.cli", "labs"]
    settings = {"cwd": tmp_path, "env": with_package(ROOT)}
    begin = re.search(r"begin with (\S+)", run(*command, **settings))[1]
    assert begin == "workshop/labs/README.md"
    assert (tmp_path / begin).is_file()
    data = json.loads(run(*command, "elsewhere", "--json", **settings))
    assert all((tmp_path / data["folder"] / path).is_file() for path in data["files"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A folder in which nothing but the built wheel is installed."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    [built] = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    zipfile.ZipFile(built).extractall(folder / "installed")
    return folder / "installed"


def test_a_wheel_hands_out_the_same_as_a_checkout(wheel, tmp_path):
    command = [sys.executable, "-m", "raytune_hpo.cli", "labs", "workshop", "--json"]
    data = json.loads(run(*command, cwd=tmp_path, env=with_package(wheel)))
    here = [str(path.relative_to(tmp_path / "mine")) for path in copying.copy_labs(tmp_path / "mine")]
    assert data["files"] == here
    for name in here:
        assert (tmp_path / "workshop" / name).read_bytes() == (ROOT / name).read_bytes()


def test_what_is_handed_out_does_not_travel_to_workers(wheel):
    """Else a cluster with the wheel and a driver with a checkout would take each other's package for another one."""
    assert (wheel / "raytune_hpo" / "workshop" / "handouts").is_dir()
    assert not [name for name in bootstrap.files_of(str(wheel / "raytune_hpo")) if "handouts" in name]


def with_package(folder: Path) -> dict[str, str]:
    """An environment that imports raytune_hpo from a folder."""
    found = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {**environment(None), "PYTHONPATH": found}
