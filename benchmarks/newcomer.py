"""A newcomer's first steps, timed: from a clone to a first result, a first notebook, and a first job on a cluster.

    python benchmarks/newcomer.py        # about eight minutes; pip takes its packages from the network or its cache

Everything is created in a temporary folder: the clone, its environment, its studies and its cluster. docs/quickstart.md
quotes the figures.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common import HERE, Figure, run

ROOT = HERE.parent
RESULT = "best configuration"  # how the line begins with which a lab says what it has found
QUICK_TRIALS, JOB_TRIALS = 3, 10
PATIENCE_S = 120.0
CELLS = (
    "import raytune_hpo as hpo",
    "def objective(config):\n    return (config['x'] - 1) ** 2",
    "results = hpo.tune(objective, {'x': hpo.uniform(-5, 5)}, metric='loss', num_trials=20, runtime='local')\nresults",
)


@dataclass(frozen=True)
class Newcomer:
    """Somebody with a fresh clone.

    Attributes:
        clone: the project's folder.
        python: of the environment in it.
        environment: variables of everything that is started; studies are kept beside the clone.
    """

    clone: Path
    python: Path
    environment: Mapping[str, str]

    def does(self, *command: object) -> float:
        """Run a command in the clone; how long it took."""
        begin = time.perf_counter()
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=self.clone, env=self.environment, text=True, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return time.perf_counter() - begin

    def waits_for(self, line: str, *command: object) -> tuple[float, float]:
        """Run a command in the clone; how long it took to print a line that begins so, and in all."""
        begin, seen = time.perf_counter(), None
        words = [str(word) for word in command]
        with (self.clone / "errors.log").open("w") as errors:
            process = subprocess.Popen(
                words, cwd=self.clone, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=errors
            )
            for printed in process.stdout or ():
                if seen is None and printed.startswith(line):
                    seen = time.perf_counter() - begin
        if process.wait() or seen is None:
            raise SystemExit(f"{' '.join(words)} failed:\n{(self.clone / 'errors.log').read_text()[-4000:]}")
        return seen, time.perf_counter() - begin


def path(quick: bool) -> list[Figure]:
    """All of it, one after the other, as a reader would."""
    with tempfile.TemporaryDirectory() as folder:
        cloned_s = _timed(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), f"{folder}/clone"])
        newcomer = _newcomer(Path(folder), quick)
        ready_s = 0.0 if quick else newcomer.does("make", ".venv/.ready")
        first_s, whole_s = newcomer.waits_for(RESULT, *_first_command(newcomer, quick))
        figures = [
            _seconds("clone", "git clone, on this machine", cloned_s),
            _seconds("environment", "make .venv/.ready: pip installs the package and all it needs", ready_s),
            _seconds("first_result", "make tune, to the first lab's best configuration", first_s),
            _seconds("labs", "make tune, both labs with their pages", whole_s),
            _seconds("to_first_result", "from the clone to the first result", cloned_s + ready_s + first_s),
        ]
        return figures + _notebook(newcomer, quick) + _cluster_job(newcomer, quick)


def _newcomer(folder: Path, quick: bool) -> Newcomer:
    """With an environment of their own; at a tiny size with ours, since making one takes minutes."""
    python = Path(sys.executable) if quick else folder / "clone/.venv/bin/python"
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_ADDRESS", "RAY_AUTH_"))}
    (folder / "home").mkdir()
    modules = [str(folder / "clone"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **mine,
        "HOME": str(folder / "home"),  # where Ray's token is made
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip")),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(modules),
        "RAYTUNE_HPO_STORAGE": f"sqlite:///{folder}/studies.db",
        "RAY_enable_metrics_collection": "0",
    }
    return Newcomer(folder / "clone", python, environment)


def _first_command(newcomer: Newcomer, quick: bool) -> list[object]:
    if not quick:
        return ["make", "tune"]
    return [newcomer.python, "labs/select_model.py", "--num-trials", QUICK_TRIALS]


def _timed(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def _seconds(name: str, what: str, measured: float, **detail: object) -> Figure:
    return Figure(name=name, what=what, measured=measured, unit="s", detail=detail)


# ------------------------------------------------------------------------------------------------ a notebook


def _notebook(newcomer: Newcomer, quick: bool) -> list[Figure]:
    """The first notebook of the workshop, cell by cell in a kernel without a browser."""
    installed_s = 0.0 if quick else newcomer.does(newcomer.python, "-m", "pip", "install", "-q", ".[notebooks]")
    notebook = _first_notebook(newcomer.clone, quick)
    executed_s = newcomer.does(newcomer.python, "-m", "jupyter", "execute", notebook)
    return [
        _seconds("notebook_environment", "pip install '.[notebooks]'", installed_s),
        _seconds("notebook", "the first notebook, all cells", executed_s, notebook=notebook.name),
    ]


def _first_notebook(clone: Path, quick: bool) -> Path:
    """The workshop's own, filled in; a small one of ours at a tiny size, or where there is no workshop."""
    found = sorted((clone / "notebooks" / "solutions").glob("*.ipynb"))
    if found and not quick:
        return found[0]
    made = clone / "first.ipynb"
    cells = [
        {"cell_type": "code", "id": f"cell-{n}", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
        for n, text in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    made.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}))
    return made


# ------------------------------------------------------------------------------------------------ a cluster


def _cluster_job(newcomer: Newcomer, quick: bool) -> list[Figure]:
    """A cluster of one machine that asks for a token, a lab as its job, and the result read from outside."""
    newcomer.does(newcomer.python, "-m", "ray.scripts.scripts", "get-auth-token", "--generate")
    newcomer = replace(newcomer, environment={**newcomer.environment, "RAY_AUTH_MODE": "token"})
    begin = time.perf_counter()
    with _cluster(newcomer) as (address, dashboard):
        up_s = time.perf_counter() - begin
        num_trials = QUICK_TRIALS if quick else JOB_TRIALS
        job = ["python", "labs/select_model.py", "--num-trials", num_trials, "--name", "first-job"]
        submit = ["job", "submit", "--address", dashboard, "--working-dir", ".", "--", *job]
        job_s = newcomer.does(newcomer.python, "-m", "ray.scripts.scripts", *submit)
        read_s = newcomer.does(newcomer.python, "-m", "raytune_hpo.cli", "best", "first-job", "--address", address)
    return [
        _seconds("cluster", "ray start --head, until it takes jobs", up_s),
        _seconds("job", f"ray job submit of a lab with {JOB_TRIALS} trials, to its end", job_s, num_trials=num_trials),
        _seconds("read", "raytune-hpo best --address, from outside", read_s),
    ]


@contextlib.contextmanager
def _cluster(newcomer: Newcomer) -> Iterator[tuple[str, str]]:
    """The addresses of a head node and of its dashboard; it ends with the context, and nobody else's does."""
    gcs, client, dashboard, agent, *others = (_free_port() for _ in range(6))
    ports = {
        "port": gcs,
        "ray-client-server-port": client,
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "dashboard-agent-grpc-port": others[0],
        "metrics-export-port": others[1],
    }
    options = [f"--{name}={port}" for name, port in ports.items()]
    command = [str(newcomer.python), "-m", "ray.scripts.scripts", "start", "--head", "--block", *options]
    limits = ["--num-cpus=2", "--include-dashboard=true", "--disable-usage-stats"]
    process = subprocess.Popen(
        [*command, *limits], env=newcomer.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"http://127.0.0.1:{dashboard}/api/version", process)
        _wait_for(f"http://127.0.0.1:{agent}/api/local_raylet_healthz", process)  # it is what starts jobs
        yield f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}"
    finally:
        process.send_signal(signal.SIGTERM)  # with --block, Ray ends what it started
        process.wait(60)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError as refused:
            if refused.code in (401, 403):  # it is there, and asks for the token
                return
            time.sleep(0.2)
        except OSError:  # nobody answers yet
            time.sleep(0.2)
    raise SystemExit(f"the cluster did not come up: nothing answers at {url}")


if __name__ == "__main__":
    run(__doc__ or "", {"path": path})
