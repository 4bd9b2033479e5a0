"""What the pages show works: every block of code of the README and of docs/ is run, parsed, or says who runs it."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.docs.blocks import RUN, Block, blocks
from tests.own_ray import start_ray

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PARSERS = {
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "toml": tomllib.loads,
    "json": json.loads,
    "ini": lambda text: ConfigParser(strict=False, interpolation=None).read_string(text),
}


def runs(page: Path) -> bool:
    """Whether there is anything to run on a page; one that cannot be read is found out by the tests."""
    return any(f"```{language}" in page.read_text(encoding="utf-8") for language in RUN)


def each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=[str(page.relative_to(ROOT)) for page in pages])


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two CPUs; of this session's own, if it has started one."""
    import ray

    with contextlib.ExitStack() as stack:
        if not ray.is_initialized():
            start_ray("docs")
            stack.callback(ray.shutdown)
        yield ray.get_runtime_context().gcs_address


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: str) -> dict[str, str]:
    """A folder and a storage of a page's own; the environment for its commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYTUNE_HPO_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": cluster}


@pytest.mark.ray
@pytest.mark.slow
@each([page for page in PAGES if runs(page)])
def test_a_page_does_what_it_shows(page: Path, elsewhere: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks run one after the other, as a reader would type them, in one program."""
    program = ModuleType("__main__")  # whose functions Ray sends by value
    monkeypatch.setitem(sys.modules, "__main__", program)
    namespace = vars(program)
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.is_marked or block.language not in RUN:
            continue
        if block.language == "python":
            run_python(block.code, page, block.line, namespace)
        else:
            run_bash(block, page, elsewhere)


def run_python(code: str, page: Path, line: int, namespace: dict[str, Any]) -> None:
    """Execute code that begins on a line of a page, so that tracebacks and sources lead there."""
    padded = "\n" * max(0, line - 1) + code
    exec(compile(padded, str(page), "exec", dont_inherit=True), namespace)


def run_bash(block: Block, page: Path, environment: dict[str, str]) -> None:
    command = ["bash", "-euo", "pipefail", "-c", block.code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert done.returncode == 0, f"{page}:{block.line}\n{block.code}\n{done.stdout}\n{done.stderr}"


@each(PAGES)
def test_every_block_is_run_or_says_who_runs_it(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        assert [test for test in block.tests if not is_a_test(test)] == [], f"{where} names a test that does not exist"
        if block.language in PARSERS and not block.is_marked:
            PARSERS[block.language](block.code)


def is_a_test(name: str) -> bool:
    """Whether ``path::name`` or ``path::Class::name`` is something that pytest would run."""
    path, *names = name.split("::")
    if not names or not (ROOT / path).is_file():
        return False
    inside: list[ast.stmt] = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    for wanted in names:
        found = [node for node in inside if getattr(node, "name", None) == wanted.partition("[")[0]]
        if not found or not wanted.startswith(("test", "Test")):
            return False
        inside = getattr(found[0], "body", [])
    return True


def test_only_real_tests_are_accepted() -> None:
    here = "tests/docs/test_code_blocks.py"
    assert is_a_test(f"{here}::test_only_real_tests_are_accepted")
    assert not is_a_test(f"{here}::test_that_nobody_wrote")
    assert not is_a_test(f"{here}::run_bash"), "a helper is no test"
    assert not is_a_test("tests/docs/nowhere.py::test_this")
    assert not is_a_test(here)
