"""Ray for tests, on a machine that has other things to do."""

from __future__ import annotations

import os
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
