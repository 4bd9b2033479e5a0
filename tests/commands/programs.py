"""Small programs that the tests of commands run."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

SHOW_ARGUMENTS = (
    "import os, sys; sys.stdout.write('\\n'.join(a.encode('utf-8', 'surrogateescape').hex() for a in sys.argv[1:]))"
)


def python(code: str, *arguments: str) -> list[str]:
    """A command that runs Python code, quickly started."""
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def processes_with(mark: str) -> list[int]:
    """The living processes that have a word in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
        except OSError:
            continue
    return found


def gone(mark: str, within_s: float = 10.0) -> bool:
    """Whether no process with the mark lives any more, after some patience."""
    until = time.monotonic() + within_s
    while processes_with(mark):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
