"""The site builds without a warning, holds every page, explains every public name, and fetches nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from types import FunctionType

import pytest

import raytune_hpo as hpo
from raytune_hpo import optml, registry
from raytune_hpo.cli import main
from raytune_hpo.core.ledger import StudyStatus

pytestmark = pytest.mark.slow
pytest.importorskip("mkdocs", reason="the site is built with the packages of raytune_hpo[docs]")

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
# Public names whose contents have pages of their own.
MODULES = ("errors", "integrations", "optml", "samplers", "schedulers", "sklearn", "testing")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, in which a broken link, a page without a place and a docstring that cannot be read are errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [*command, "--config-file", str(ROOT / "docs/site/mkdocs.yml")],
        capture_output=True, text=True, env=environment, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stderr}\na page without a place gets one under nav in docs/site/mkdocs.yml"
    return folder


def test_every_page_is_there_and_marks_for_the_tests_are_not(site: Path) -> None:
    for page in PAGES:
        made = site / page.relative_to(ROOT / "docs").with_suffix(".html")
        assert made.is_file(), f"{page} was left out"
        assert not re.search(r"<!--\s*(given|tested by|not run)", made.read_text(encoding="utf-8")), page


def test_every_public_name_is_explained(site: Path) -> None:
    anchors = {anchor for page in site.glob("api/*.html") for anchor in _ids(page)}
    names = [name for name in hpo.__all__ if name not in MODULES and name != "__version__"]
    homes = [f"{getattr(hpo, name).__module__}.{name}" for name in names]
    parts = [path.replace(":", ".") for path in (*registry.SAMPLERS.values(), *registry.SCHEDULERS.values())]
    errors = [f"raytune_hpo.errors.{name}" for name in vars(hpo.errors) if name.endswith("Error")]
    searches = ["raytune_hpo.sklearn.search.TunedSearchCV"]
    algorithms = [f"{found.__module__}.{found.__qualname__}" for found in map(optml.__dict__.get, optml.__all__)]
    assert [home for home in (*homes, *parts, *errors, *searches, *algorithms) if home not in anchors] == []


def test_every_integration_is_explained(site: Path) -> None:
    text = (site / "api/integrations.html").read_text(encoding="utf-8")
    missing = [name for name in hpo.integrations.__all__ if not re.search(rf">\s*{name}(\.\w+)?\s*<", text)]
    assert missing == []


def test_members_of_the_objects_that_everyone_meets_are_explained(site: Path) -> None:
    anchors = {anchor for page in site.glob("api/*.html") for anchor in _ids(page)}
    kinds = (hpo.Tuner, hpo.Study, hpo.Run, hpo.Results, hpo.Trial, hpo.Confirmation, StudyStatus)
    members = [
        f"{kind.__module__}.{kind.__qualname__}.{name}"
        for kind in kinds
        for name, member in vars(kind).items()
        if not name.startswith("_") and isinstance(member, (property, cached_property, FunctionType))
    ]
    assert [member for member in members if member not in anchors] == []


def test_every_command_is_explained(site: Path) -> None:
    text = (site / "api/command-line.html").read_text(encoding="utf-8")
    assert [
        name for name in main.commands if f'id="raytune-hpo-{name}"' not in text and f'id="{name}"' not in text
    ] == []


def test_figures_and_labs_that_pages_link_to_come_along(site: Path) -> None:
    assert (site / "project/benchmarks/results/sample_efficiency.json").is_file()
    assert 'href="../project/labs/select_model.py"' in (site / "migration/scikit-learn.html").read_text(
        encoding="utf-8"
    )


class References(HTMLParser):
    """What a page fetches when it is opened, and what its elements are called."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.ids.add(attributes.get("id") or "")
        if tag in ("script", "img", "iframe", "link"):
            self.fetched += [value for value in (attributes.get("src"), attributes.get("href")) if value]


def _read(page: Path) -> References:
    references = References()
    references.feed(page.read_text(encoding="utf-8"))
    return references


def _ids(page: Path) -> set[str]:
    return _read(page).ids


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        away = [url for url in _read(page).fetched if re.match(r"(https?:)?//", url)]
        assert away == [], f"{page.relative_to(site)} would not open offline"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style
