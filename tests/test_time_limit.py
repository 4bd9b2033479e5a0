"""Where the time for tests is limited, those that are left are skipped, and counted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = ("tests/numerics/test_few.py", "tests/numerics/test_margin.py", "tests/numerics/test_pearson.py")


def run(*options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *FILES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["0", "2"])
def test_no_test_begins_when_the_time_is_over(processes: str) -> None:
    said = run("-q", "-n", processes, "--minutes", "0")
    assert "no time left" in said
    assert re.search(r"^\d+ skipped in", said, re.MULTILINE), said


@pytest.mark.slow
def test_a_text_gives_an_order_of_the_files() -> None:
    def order(text: str) -> list[str]:
        said = run("-q", "--collect-only", "--minutes", "5", "--order", text)
        return list(dict.fromkeys(line.partition("::")[0] for line in said.splitlines() if "::" in line))

    one, other = order("a"), order("b")
    assert sorted(one) == sorted(other) == sorted(FILES)
    assert one != other
