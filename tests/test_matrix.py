"""The matrix of versions says what it will try, and does not pass over what it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import matrix  # noqa: E402 - from tools


def test_every_python_of_the_package_and_each_lower_bound_is_a_row():
    classifiers = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"Programming Language :: Python :: {python}"' in classifiers for python in matrix.PYTHONS)
    bounds = matrix.lower_bounds()
    pinned = {pin for row in matrix.rows() for pin in row.pins if row.resolution == "highest"}
    assert pinned == {f"{name}=={bounds[name]}" for name in ("ray", "numpy", "pandas", "scikit-learn")}
    [lowest] = [row for row in matrix.rows() if row.resolution == "lowest-direct"]
    assert list(lowest.pins) == matrix.dependencies()


def test_what_a_row_runs_is_there():
    assert [test for test in (*matrix.TESTS, *matrix.RAY_TESTS) if not (ROOT / test).exists()] == []


def test_an_interpreter_is_asked_for_its_version():
    here = ".".join(map(str, sys.version_info[:2]))
    found = matrix.interpreter(here)
    assert found is not None
    asked = subprocess.check_output([found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True)
    assert asked.strip() == here


def test_a_missing_interpreter_is_named_with_the_way_out():
    outcome = matrix.tried(matrix.Row("next", "3.99"), Path("none.whl"), smoke_only=True, ray=False)
    assert outcome.status == "missing"
    assert "pyenv install 3.99" in outcome.detail
    assert "| next | 3.99 |" in matrix.table([outcome]) and "missing" in matrix.table([outcome])


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Everything that a row runs is taken as done, up to its trial run, which fails."""

    def step(name: str, *command: str | Path, cwd: Path) -> str:
        if name == "smoke":
            raise matrix.StepFailed(name, "AssertionError: sampler")
        return "numpy==1.26.0\nray==2.40.0\nclick==8.1.0" if name == "freeze" else ""

    monkeypatch.setattr(matrix, "step", step)
    return matrix


def test_a_row_that_fails_says_where_and_with_which_versions(commands: ModuleType):
    here = ".".join(map(str, sys.version_info[:2]))
    outcome = commands.tried(commands.Row("here", here), ROOT / "none.whl", smoke_only=False, ray=False)
    assert (outcome.status, outcome.detail) == ("smoke", "AssertionError: sampler")
    assert outcome.versions == {"numpy": "1.26.0", "ray": "2.40.0"}
    assert "smoke failed" in commands.table([outcome])


def test_tests_are_installed_beside_the_libraries_of_the_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked = []
    monkeypatch.setattr(matrix, "step", lambda name, *command, cwd: asked.append(command))
    frozen = "Using Python 3.12.1 environment at: env\nnumpy==1.26.0\nraytune_hpo @ file:///tmp/some.whl\n"
    matrix._install_tests(Path("python"), frozen, ("uv", "pip", "install"), tmp_path)
    assert (tmp_path / "frozen.txt").read_text() == "numpy==1.26.0"
    assert asked[0][-1] == tmp_path / "frozen.txt" and (tmp_path / "tests" / "conftest.py").is_file()
