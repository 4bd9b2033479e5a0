"""Other tuners' scripts as they run without a cluster; those on Ray are in tests/cluster."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script for Ray Tune goes to the cluster that its process is connected to, as earlier tests of this one may be."""
    if "ray" in sys.modules:
        monkeypatch.setattr("ray.is_initialized", lambda: False)
