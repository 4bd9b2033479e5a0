"""What mkdocs does not know of the pages: links to the project's other files, and comments that are meant for the tests."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
_LINK = re.compile(r"(?<=\]\()(?P<target>\.\./[^)#\s]*)(?P<anchor>#[^)]*)?(?=\))")
_MARK = re.compile(r"^ *<!--\s*(given|tested by|not run)\s*:.*?-->\n", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """What pages link to beside docs/ (figures, labs, notebooks) is copied into the site as it is."""
    for path in sorted({path for page in files.documentation_pages() for path in _outside(page)}):
        files.append(File.generated(config, _place(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links lead to the copies, and the marks that tell the tests about code blocks are gone."""
    folder = Path(page.file.abs_src_path or "").parent
    up = posixpath.relpath(".", posixpath.dirname(page.file.src_uri) or ".")

    def led(link: re.Match[str]) -> str:
        path = _resolved(folder, link["target"])
        return f"{up}/{_place(path)}" if _is_outside(path) else link[0]

    return _LINK.sub(led, _MARK.sub("", markdown))


def _outside(page: File) -> Iterator[Path]:
    folder = Path(page.abs_src_path or "").parent
    for link in _LINK.finditer(page.content_string):
        path = _resolved(folder, link["target"])
        if _is_outside(path) and path.is_file():
            yield path


def _resolved(folder: Path, target: str) -> Path:
    """The file that a link means; of a folder, what its README says."""
    path = Path(os.path.normpath(folder / target))
    return path / "README.md" if path.is_dir() else path


def _is_outside(path: Path) -> bool:
    return path.is_relative_to(ROOT) and not path.is_relative_to(DOCS)


def _place(path: Path) -> str:
    """Where a file of the project stands in the site; Markdown as text, or it would become a page."""
    name = path.relative_to(ROOT).as_posix()
    return f"project/{name}.txt" if name.endswith(".md") else f"project/{name}"
