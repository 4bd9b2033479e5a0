"""A private PostgreSQL server that can be stopped and started."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from pathlib import Path


def programs() -> Path | None:
    """The folder of initdb and pg_ctl: of the newest version installed, or the one on the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed:
        return installed[-1].parent
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


class PostgresServer:
    """A server whose files are in a folder, on a free port of this machine. Root runs it as the user postgres.

    Attributes:
        port: where it listens. ``url``: of its only database.
    """

    def __init__(self, folder: Path) -> None:
        found = programs()
        if found is None:
            raise SystemExit("PostgreSQL's initdb is needed and was not found: apt-get install postgresql")
        self._programs, self._folder, self._data = found, folder, folder / "data"
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        user = "postgres" if self._as_user else getpass.getuser()
        self.port = free_port()
        self.url = f"postgresql://{user}@127.0.0.1:{self.port}/postgres"
        folder.mkdir()
        if self._as_user:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-D", self._data, "-U", user, "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        self._run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._as_user, str(self._programs / program), *map(str, arguments)]
        # Not a pipe: the server inherits it, and reading it would wait for the server's end.
        with (self._folder / "output").open("w+") as output:
            done = subprocess.run(command, cwd=self._folder, stdout=output, stderr=subprocess.STDOUT, check=False)
            output.seek(0)
            if done.returncode != 0:
                raise RuntimeError(f"{program} failed: {output.read()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
