"""The labs do what they say, run as their readers run them: as scripts and by the command line."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from labs_support import line, run

PROMISED = (
    "best configuration",
    "cross-validated accuracy",
    "held-out test accuracy",
    "stopped early",
    "history and curves",
    "look again",
)

pytestmark = pytest.mark.ray


class References(HTMLParser):
    """Whatever a page would fetch from elsewhere."""

    def __init__(self):
        super().__init__()
        self.fetched = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in ("script", "img", "iframe", "link"):
            self.fetched += [
                v for v in (attributes.get("src"), attributes.get("href")) if v and not v.startswith("data:")
            ]


@pytest.fixture(scope="module", params=["select_model", pytest.param("stop_early", marks=pytest.mark.slow)])
def lab(request, tmp_path_factory):
    """A lab that was run with few trials: its name, its output, its page and its storage."""
    folder = tmp_path_factory.mktemp(request.param)
    page, storage = folder / "out" / "page.html", f"sqlite:///{folder}/studies.db"
    options = ["--num-trials", 12, "--max-concurrent", 2, "--name", "tiny", "--storage", storage, "--out", page]
    output = run(sys.executable, f"labs/{request.param}.py", *options)
    return request.param, output, page, storage


def test_a_lab_prints_what_it_found(lab):
    _, output, page, _ = lab
    for label in PROMISED:
        line(output, label)
    assert 0.8 < float(line(output, "cross-validated accuracy")) <= 1
    assert 0.8 < float(line(output, "held-out test accuracy")) <= 1
    stopped, trials = map(int, re.match(r"(\d+) of (\d+) trials", line(output, "stopped early")).groups())
    assert trials == 12
    assert 0 < stopped < 12, "some are stopped, and not all"
    assert Path(line(output, "history and curves")) == page


def test_a_lab_writes_a_page_that_opens_anywhere(lab):
    _, _, page, _ = lab
    text = page.read_text(encoding="utf-8")
    references = References()
    references.feed(text)
    assert references.fetched == []
    assert text.count('class="figure"') >= 2, "the history and the learning curves"


def test_a_lab_is_looked_at_again_from_the_command_line(lab):
    _, output, _, storage = lab
    shown = run(sys.executable, "-m", "raytune_hpo.cli", "show", "tiny", "--storage", storage)
    assert line(output, "cross-validated accuracy")[:5] in shown
    compared = run(sys.executable, "labs/compare.py", "tiny=page.html", "--storage", storage)
    assert "page.html" in compared


@pytest.mark.slow
def test_a_lab_is_a_file_for_the_command_line(tmp_path):
    storage = f"sqlite:///{tmp_path}/studies.db"
    options = ["--num-trials", 3, "--name", "by-hand", "--storage", storage]
    run(sys.executable, "-m", "raytune_hpo.cli", "run", "labs/stop_early.py", *options)
    assert "by-hand" in run(sys.executable, "-m", "raytune_hpo.cli", "studies", "--storage", storage)
