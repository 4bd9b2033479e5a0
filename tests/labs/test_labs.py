"""The labs do what they say, run as their readers run them: as scripts, by the command line, and as jobs on a cluster."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LABS = ("select_model", "stop_early")
PROMISED = (
    "best configuration",
    "cross-validated accuracy",
    "held-out test accuracy",
    "stopped early",
    "history and curves",
    "look again",
)

pytestmark = pytest.mark.ray


def run(*command, **settings):
    """A command from the project's folder; its output, or a failure that shows all of it."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, text=True, capture_output=True, timeout=240, **settings
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def line(output, label):
    """What stands behind a label."""
    found = re.search(rf"^{label}\s+(.*)$", output, re.MULTILINE)
    assert found, f"no line {label!r} in:\n{output}"
    return found[1]


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


@pytest.fixture(scope="module", params=LABS)
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
    assert text.count('class="plotly-graph-div"') >= 2, "the history and the learning curves"


def test_a_lab_is_looked_at_again_from_the_command_line(lab):
    _, output, _, storage = lab
    shown = run(sys.executable, "-m", "raytune_hpo.cli", "show", "tiny", "--storage", storage)
    assert line(output, "cross-validated accuracy")[:5] in shown
    compared = run(sys.executable, "labs/compare.py", "tiny=page.html", "--storage", storage)
    assert "page.html" in compared


def test_a_lab_is_a_file_for_the_command_line(tmp_path):
    storage = f"sqlite:///{tmp_path}/studies.db"
    options = ["--num-trials", 3, "--name", "by-hand", "--storage", storage]
    run(sys.executable, "-m", "raytune_hpo.cli", "run", "labs/stop_early.py", *options)
    assert "by-hand" in run(sys.executable, "-m", "raytune_hpo.cli", "studies", "--storage", storage)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The address of the dashboard of a cluster that others have started, to which jobs are submitted."""
    dashboard, agent = free_port(), free_port()
    ports = [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    ports += [
        f"--{what}-port={free_port()}" for what in ("ray-client-server", "metrics-export", "dashboard-agent-grpc")
    ]
    limits = ["--num-cpus=2", "--include-dashboard=true", "--disable-usage-stats"]
    log = (tmp_path_factory.mktemp("cluster") / "log").open("w")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--port=0", "--block", *ports, *limits]
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=on_our_cluster()
    )
    try:
        address = f"http://127.0.0.1:{dashboard}"
        wait_for(f"{address}/api/version", process)
        wait_for(f"http://127.0.0.1:{agent}/api/local_raylet_healthz", process)  # which starts the jobs
        yield address
    finally:
        process.send_signal(signal.SIGTERM)  # with --block, Ray ends what it started
        process.wait(60)
        log.close()


def on_our_cluster():
    """An environment in which `python`, as jobs call it, is the one that runs these tests, and nobody asks for tokens."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "RAY_AUTH_MODE": "disabled"}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(url, process, timeout_s=90):
    """Until all is well at the address."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail("the cluster did not start")


@pytest.mark.parametrize("name", LABS)
def test_a_lab_runs_unchanged_as_a_job(name, jobs, tmp_path):
    storage, page = f"sqlite:///{tmp_path}/studies.db", tmp_path / "page.html"
    options = ["--num-trials", 6, "--name", "job", "--storage", storage, "--out", page]
    submit = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", jobs, "--working-dir", "."]
    output = run(*submit, "--", "python", f"labs/{name}.py", *options, env=on_our_cluster())
    for label in PROMISED:
        line(output, label)
    assert page.exists()
