"""One small Ray cluster for all tests of this folder, so that it is started once."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_support import is_open, wait_until

from tests.own_ray import start_head, start_ray
from tests.ports import free_port

os.environ["RAY_enable_metrics_collection"] = "0"
TOKEN = "open-sesame-0123456789abcdef"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster of two CPUs and some things that only tests ask for."""
    import ray

    start_ray("tests", num_gpus=1, resources={"lamp": 2})
    yield
    ray.shutdown()


@pytest.fixture
def name() -> str:
    return f"study-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return str(tmp_path / "studies.db")


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A head node with a client server that wants a token, and what finds it; ``GCS`` is its address for nodes."""
    client, gcs = free_port(), free_port()
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_HEAD_SERVICE_HOST": "127.0.0.1",
        "RAY_HEAD_SERVICE_PORT": str(client),
        "GCS": f"127.0.0.1:{gcs}",
    }
    process = start_head(
        "--num-cpus=2", f"--port={gcs}", f"--ray-client-server-port={client}", "--include-dashboard=false",
        f"--temp-dir=/tmp/raytune-head-{os.getpid()}", "--object-store-memory=100000000",
        said=tmp_path_factory.mktemp("head") / "said", environment=environment,
    )  # fmt: skip
    try:
        wait_until(lambda: is_open(client), timeout_s=120)
        yield environment
    finally:
        process.terminate()
        process.wait(timeout=120)
