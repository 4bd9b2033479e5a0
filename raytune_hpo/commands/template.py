"""Command templates: words with placeholders ``{name}``, filled so that a value is never more than part of one argument."""

from __future__ import annotations

import json
import re
import shlex
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from raytune_hpo.commands.shell_text import Pieces, shell_pieces
from raytune_hpo.errors import ObjectiveError, SpecError, nearest

MAX_ARGUMENT = 131_071  # bytes of one argument, Linux's limit
_EVALUATING = re.compile(r"(?:^|[\s;|&(])(?:eval|source|let|declare|typeset|\[\[|(?:ba|da|z|k)?sh\s+-\w*c)(?=\s)")
_WITH_PIPEFAIL = ("bash", "zsh", "ksh")


class Template:
    """A command with placeholders for values.

    A text is split into words as a shell would do it, and only then are values put in: inside a word, so that a value
    stays part of one argument whatever it holds. With ``shell`` the text is a program for that shell, and values are quoted.

    Args:
        template: a text, or a list of words; ``{name}`` is a placeholder, ``{{`` and ``}}`` are braces.
        shell: the shell that runs the text, such as "bash"; None: no shell is used.

    Raises:
        SpecError: the text cannot be split, or a placeholder has no name or is where no value can be quoted.
    """

    def __init__(self, template: str | Sequence[str], *, shell: str | None = None) -> None:
        if not isinstance(template, str) and not (template and all(isinstance(word, str) for word in template)):
            raise SpecError(f"a command is a text or a list of words, got {template!r}")
        if "\0" in "".join(template):
            raise SpecError("a command cannot hold the character NUL")
        self.text = template if isinstance(template, str) else shlex.join(template)
        self.shell = shell
        if shell is None:
            words = _split(template) if isinstance(template, str) else list(template)
            self._words = [_pieces(word) for word in words]
        elif isinstance(template, str):
            self._words = [shell_pieces(template)]
        else:
            raise SpecError(f"with a shell, a command is one text, got the list {list(template)!r}")
        if not any(text or name for text, name in self._words[0]):
            raise SpecError("a command needs a program, got an empty one")

    @property
    def names(self) -> frozenset[str]:
        """The names of its placeholders."""
        return frozenset(name for pieces in self._words for _, name in pieces if name is not None)

    @property
    def program(self) -> str | None:
        """The program that it starts; None if that is a parameter."""
        if self.shell is not None:
            return self.shell
        return None if self._words[0][0][1] or len(self._words[0]) > 1 else self._words[0][0][0]

    @property
    def leading(self) -> frozenset[str]:
        """The names at the beginning of a word, where a value that begins with "-" would be taken for an option."""
        if self.shell is not None:
            return self.names
        return frozenset(
            name for pieces in self._words[1:] for text, name in pieces[:1] if name is not None and not text
        )

    @property
    def warnings(self) -> list[str]:
        """Warnings about programs in it that may run a value as code, although it is quoted."""
        words = _EVALUATING.findall(f"{self.text} ")
        if not words or not self.names:
            return []
        return [
            f'{", ".join(sorted({w.strip(" ;|&(") for w in words}))} may run what a value holds; write "$HPO_name" there'
        ]

    def check(self, known: Iterable[str]) -> None:
        """Check that every placeholder can be filled.

        Raises:
            SpecError: a name is unknown.
        """
        known = list(known)
        if unknown := sorted(self.names - set(known)):
            raise SpecError(
                f"the command names {unknown[0]!r}, which the trials do not have; {nearest(unknown[0], known)}"
            )

    def filled(self, values: Mapping[str, Any]) -> list[str]:
        """The arguments of the command, the program first.

        A word with a placeholder of an inactive parameter, which has no value, is left out (in a shell, it is empty).

        Raises:
            ObjectiveError: a value cannot be an argument.
        """
        if self.shell is None:
            words = (_joined(pieces, values) for pieces in self._words)
            return [word for word in words if word is not None]
        quoted = {name: shlex.quote(as_text(name, values[name])) for name in self.names if name in values}
        text = "".join(text + ("" if name is None else quoted.get(name, "")) for text, name in self._words[0])
        options = ["-o", "pipefail"] if self.shell.rpartition("/")[2] in _WITH_PIPEFAIL else []
        return [self.shell, *options, "-c", text]


def as_text(name: str, value: Any) -> str:
    """A value as the text of an argument: text as it is, everything else as JSON.

    Raises:
        ObjectiveError: it cannot be an argument.
    """
    text = value if isinstance(value, str) else json.dumps(value)
    if "\0" in text:
        raise ObjectiveError(f"no argument of a command holds the character NUL, {name!r} does")
    try:
        size = len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise ObjectiveError(f"an argument is text that UTF-8 can hold, {name!r} is not: {text[:80]!r}") from None
    if size > MAX_ARGUMENT:
        raise ObjectiveError(
            f"an argument has at most {MAX_ARGUMENT:,} bytes, {name!r} has {size:,}; have the command read $HPO_CONFIG"
        )
    return text


def _joined(pieces: Pieces, values: Mapping[str, Any]) -> str | None:
    names = [name for _, name in pieces if name is not None]
    if any(name not in values for name in names):
        return None
    return "".join(text + ("" if name is None else as_text(name, values[name])) for text, name in pieces)


def _split(template: str) -> list[str]:
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise SpecError(f"a command is split into words as a shell would do it, got {template!r}: {error}") from None
    if not words:
        raise SpecError("a command needs a program, got an empty one")
    return words


def _pieces(word: str) -> Pieces:
    try:
        found = list(string.Formatter().parse(word))
    except ValueError as error:
        raise SpecError(f"a word of the command has {{name}}, and {{{{ for a brace, got {word!r}: {error}") from None
    pieces: Pieces = []
    for text, name, spec, conversion in found:
        if name == "" or spec or conversion:
            raise SpecError(f"a place in a command is {{name}} and nothing else, and {{{{ is a brace, got {word!r}")
        pieces.append((text, name))
    return pieces or [("", None)]
