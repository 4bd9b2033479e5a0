"""Ray for tests, on a machine that has other things to do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def start_ray(kind: str, *, attempts: int = 5, **settings: Any) -> None:
    """Connect this process to a cluster of its own, of two CPUs; nobody else's is ever touched.

    Ray gives a node 30 seconds to start, which may be too few where cores are shared by many.
    """
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=200_000_000,
            _temp_dir=f"/tmp/raytune-{kind}-{os.getpid()}",
            **settings,
        )
    except Exception:  # whatever it was: the tests that ask for it need a cluster
        ray.shutdown()
        if attempts == 1:
            raise
        start_ray(kind, attempts=attempts - 1, **settings)


def start_head(
    *options: str, said: Path, environment: Mapping[str, str] | None = None, attempts: int = 5
) -> subprocess.Popen[bytes]:
    """``ray start --head --block`` with these options as a child process, once it runs; what it says goes to a file.

    Whoever starts it ends it. An attempt that Ray itself gives up, for want of time, is followed by another.
    """
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", *options]
    with said.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    while process.poll() is None:
        if b"Ray runtime started" in said.read_bytes():
            return process
        time.sleep(0.1)
    assert attempts > 1, said.read_text()
    return start_head(*options, said=said, environment=environment, attempts=attempts - 1)
