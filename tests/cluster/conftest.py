"""One small Ray cluster for all tests of this folder, so that it is started once."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["RAY_enable_metrics_collection"] = "0"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster of two CPUs of its own; nobody else's is ever touched."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=1,
        resources={"lamp": 2},
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200_000_000,
        _temp_dir=f"/tmp/raytune-tests-{os.getpid()}",
    )
    yield
    ray.shutdown()


@pytest.fixture
def name() -> str:
    return f"study-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return str(tmp_path / "studies.db")
