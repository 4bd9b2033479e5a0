"""The code blocks of a page in Markdown, and what the comments before them say about running them.

    <!-- given: x = 3 -->                           Python that is run and that a reader need not see
    <!-- tested by: tests/a_test.py::test_this -->  something else runs it; several are separated by commas
    <!-- not run: it costs money -->                nothing does, and why

The last two speak of the block that follows them. What is given is a block of its own, in the place where it stands: what
the next one needs, or what must be true after the one before. Blocks without a language are output and drawings.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

RUN = ("python", "bash")
PARSED = ("yaml", "toml", "json", "ini")
SHOWN = ("", "text")

HELP = (
    "put before it <!-- tested by: tests/path.py::name --> naming the test that runs it, or <!-- not run: reason -->; "
    "a block without a language is output"
)
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<info>[^`]*)$")
_COMMENT = re.compile(r"^ *<!--(?P<text>.*?)-->", re.DOTALL)
_MARK = re.compile(r"^\s*(?P<word>given|tested by|not run)\s*:(?P<text>.*)$", re.DOTALL)


class PageError(AssertionError):
    """Something on a page that its author should mend."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block of a page.

    Attributes:
        line: of the page, on which ``code`` begins.
        tests: that run it, as ``path::name``.
        reason: why nothing runs it; empty where something does.
    """

    language: str
    code: str
    line: int
    tests: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_marked(self) -> bool:
        """Whether it is somebody else's to run, or nobody's."""
        return bool(self.tests or self.reason)


class _Comment(NamedTuple):
    word: str
    text: str
    line: int


def blocks(text: str) -> list[Block]:
    """The blocks of a page.

    Raises:
        PageError: a comment that belongs to no block, a block that does not end, or one that is neither run nor marked.
    """
    return list(_Reader(text))


class _Reader:
    """Goes through a page line by line; ``_marks`` are the comments that wait for their block."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._at = 0
        self._marks: list[_Comment] = []

    def __iter__(self) -> Iterator[Block]:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if fence := _FENCE.match(line):
                yield self._block(fence)
            elif line.lstrip().startswith("<!--"):
                yield from self._comment()
            else:
                if line.strip():
                    self._refuse_lonely_marks()
                self._at += 1
        self._refuse_lonely_marks()

    def _comment(self) -> Iterator[Block]:
        """Go past a comment; what it gives is a block, what it says is kept for the next one."""
        begin = self._at
        found = _COMMENT.match("\n".join(self._lines[begin:]))
        if found is None:
            raise PageError(f"line {begin + 1}: a comment begins here and does not end")
        self._at += found[0].count("\n") + 1
        mark = _MARK.match(found["text"])
        if mark is not None and mark["word"] == "given":
            yield Block(language="python", code=textwrap.dedent(mark["text"].lstrip(" ")) + "\n", line=begin + 1)
        elif mark is not None:
            self._marks.append(_Comment(mark["word"], mark["text"], begin + 1))

    def _block(self, fence: re.Match[str]) -> Block:
        begin = self._at + 1
        ends = (n for n in range(begin, len(self._lines)) if self._lines[n].strip().startswith(fence["ticks"]))
        end = next((n for n in ends if not self._lines[n].strip(" `~")), None)
        if end is None:
            raise PageError(f"line {begin}: a block begins here and does not end")
        self._at = end + 1
        language = fence["info"].split()[0] if fence["info"].split() else ""
        code = textwrap.dedent("\n".join(self._lines[begin:end])) + "\n"
        block = Block(language=language, code=code, line=begin + 1, **self._said())
        _check(block)
        return block

    def _said(self) -> dict[str, Any]:
        """What the comments before a block say about it."""
        said = {mark.word: mark for mark in self._marks}
        if len(said) < len(self._marks):
            raise PageError(f"line {self._marks[-1].line}: a block has one comment of a kind, this is another one")
        self._marks = []
        nothing = _Comment("", "", 0)
        tests, reason = (said.get(word, nothing) for word in ("tested by", "not run"))
        return {
            "tests": tuple(test.strip() for test in tests.text.split(",") if test.strip()),
            "reason": reason.text.strip(),
        }

    def _refuse_lonely_marks(self) -> None:
        if self._marks:
            mark = self._marks[0]
            raise PageError(f"line {mark.line}: {mark.word!r} speaks of the block that follows it, and none does")


def _check(block: Block) -> None:
    """A block can be run, read, looked at, or says who runs it."""
    if block.language not in (*RUN, *PARSED, *SHOWN) and not block.is_marked:
        raise PageError(f"line {block.line}: nobody knows how to run a block in {block.language!r}; {HELP}")
