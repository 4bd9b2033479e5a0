"""A PostgreSQL server of the tests' own: made in a temporary folder, on a free loopback port, ended with the session.

``from fixtures_postgres import *`` in a conftest gives its tests ``postgres_server`` and ``postgres_url``.
"""

import getpass
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.ports import free_port

__all__ = ["postgres_server", "postgres_url"]


class PostgresServer:
    """A throw-away server. Root cannot run one, so root's tests run it as the user postgres."""

    def __init__(self, binaries, folder):
        self._binaries, self._folder = Path(binaries), Path(folder)
        self._data = self._folder / "data"
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.user = "postgres" if self._as_user else getpass.getuser()
        self.port = free_port()
        self.url = f"postgresql://{self.user}@127.0.0.1:{self.port}/postgres"

    def create(self):
        if self._as_user:
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", self._data, "-U", self.user, "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=30"
        self._run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-w", "-o", options, "start")

    def stop(self, mode="fast"):
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def _run(self, program, *arguments):
        command = [*self._as_user, str(self._binaries / program), *map(str, arguments)]
        # Not a pipe: the server inherits it, and reading it would wait for the server's end.
        with open(self._folder / "output", "w+") as output:
            done = subprocess.run(command, cwd=self._folder, stdout=output, stderr=subprocess.STDOUT, check=False)
            output.seek(0)
            assert done.returncode == 0, f"{program} failed: {output.read()}"


def find_binaries():
    """The folder of initdb and pg_ctl: of the newest version installed, or the one on the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if installed:
        return installed[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@pytest.fixture(scope="session")
def postgres_server():
    binaries = find_binaries()
    if binaries is None:
        pytest.fail("PostgreSQL's initdb is needed and was not found; .ci/run installs it (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="raytune_hpo_pg_"))
    server = PostgresServer(binaries, folder)
    server.create()
    yield server
    server.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(postgres_server):
    return postgres_server.url
