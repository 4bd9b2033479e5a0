"""The head node dies with everything on it. The same calls continue its studies, once there is a head again."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Finished
from raytune_hpo.journal import open_storage
from tests.fixtures_postgres import postgres_server, postgres_url  # noqa: F401
from tests.own_ray import start_head
from tests.ports import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow]
DRIVER = Path(__file__).with_name("head_driver.py")
NUM_TRIALS = 30


class Head:
    """A head node, which can be killed like a machine that loses its power."""

    def __init__(self) -> None:
        import ray

        self.address = f"{ray.util.get_node_ip_address()}:{free_port()}"
        self._folder = tempfile.TemporaryDirectory(prefix="head-", dir=os.environ.get("RAY_TMPDIR"))
        self._process = start_head(
            f"--port={self.address.rpartition(':')[2]}", "--num-cpus=2", "--include-dashboard=false",
            "--object-store-memory=100000000", f"--temp-dir={self._folder.name}",
            said=Path(self._folder.name) / "said",
        )  # fmt: skip

    def die(self) -> None:
        """All of its processes at once, without a word to any."""
        if self._process.poll() is None:
            first = psutil.Process(self._process.pid)
            everyone = [first, *first.children(recursive=True)]
            for process in everyone:
                process.send_signal(signal.SIGSTOP)  # else some would see others die, and say so
            for process in everyone:
                process.kill()
            self._process.wait()
            psutil.wait_procs(everyone, timeout=30)
        self._folder.cleanup()


@contextmanager
def head() -> Iterator[Head]:
    machine = Head()
    try:
        yield machine
    finally:
        machine.die()


def call(machine: Head, name: str, storage: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(DRIVER), name, storage, str(NUM_TRIALS)]
    environment = os.environ | {"RAY_ADDRESS": machine.address}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def finished(name: str, storage: str) -> list[int]:
    try:
        return [fact.number for fact in open_storage(storage).read(name) if isinstance(fact, Finished)]
    except HpoError:
        return []  # not there yet


@pytest.mark.timeout(900)
def test_the_same_calls_continue_on_the_next_head(tmp_path: Path, postgres_url: str) -> None:  # noqa: F811
    studies = {"in_sqlite": f"sqlite:///{tmp_path}/studies.db", "in_postgresql": postgres_url}
    with head() as first:
        interrupted = [call(first, *study) for study in studies.items()]
        wait_until(lambda: all(len(finished(*study)) >= 5 for study in studies.items()))
        first.die()
        before = {name: finished(name, storage) for name, storage in studies.items()}
        for process in interrupted:
            process.kill()
            process.communicate()
    with head() as second:
        again = {name: call(second, name, storage) for name, storage in studies.items()}
        told = {name: process.communicate(timeout=240) for name, process in again.items()}
    for name, storage in studies.items():
        said, complained = told[name]
        assert 5 <= len(before[name]) < NUM_TRIALS
        assert finished(name, storage)[: len(before[name])] == before[name], "what was acknowledged is still there"
        assert sorted(finished(name, storage)) == list(range(NUM_TRIALS)), complained
        assert said.splitlines()[0] == str(NUM_TRIALS), complained
        assert len(set(ast.literal_eval(said.splitlines()[1]))) == NUM_TRIALS
