"""A release says the same of itself everywhere, and its files hold what they should."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import raytune_hpo as hpo

ROOT = Path(__file__).resolve().parent.parent
TAGGED = [ROOT / "docs" / "clusters.md", *(path for path in sorted((ROOT / "deploy").rglob("*")) if path.is_file())]


def changelog() -> list[tuple[str, str]]:
    """The versions and dates of the CHANGELOG, in order."""
    return re.findall(r"^## \[(.+)\] - (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_images_are_tagged_with_the_version():
    text = "\n".join(path.read_text(encoding="utf-8") for path in TAGGED)
    assert set(re.findall(r"raytune-hpo:(\d[\w.]*)", text)) == {hpo.__version__}


def test_who_cites_it_cites_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], str(citation["date-released"])) == changelog()[0]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_versions_and_dates_descend():
    versions = [tuple(map(int, version.split("."))) for version, _ in changelog()]
    dates = [date for _, date in changelog()]
    assert versions == sorted(set(versions), reverse=True)
    assert dates == sorted(dates, reverse=True)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in dates)


@pytest.mark.parametrize("name", ["bug_report", "feature_request"])
def test_forms_for_issues_are_forms(name):
    path = ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml"
    if not path.exists():
        pytest.skip("an sdist has no forms for issues")
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"] and form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)


# ------------------------------------------------------------------------------------------------ the files


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and the sdist, built without downloads."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_is_the_package_with_its_labs_and_nothing_else(dist):
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    roots = {name.split("/")[0] for name in held}
    assert roots == {"raytune_hpo", f"raytune_hpo-{hpo.__version__}.dist-info"}
    assert {"raytune_hpo/py.typed", "raytune_hpo/workshop/handouts/labs/train_longer.py"} <= held
    assert not [name for name in held if "__pycache__" in name]


def test_the_sdist_holds_what_the_tests_need(dist):
    [sdist] = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    needed = [
        path for folder in ("tests", "docs", "labs", "benchmarks", "tools") for path in (ROOT / folder).rglob("*.*")
    ]
    kept = [path for path in needed if path.is_file() and not {"__pycache__", "out"} & set(path.parts)]
    assert [path for path in kept if path.relative_to(ROOT).as_posix() not in held] == []
    assert {"Makefile", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "cluster.yaml"} <= held
    assert not [name for name in held if name.startswith((".venv", ".git/", ".github", ".ci"))]
