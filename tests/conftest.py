"""What all tests share: quiet Ray, and a home of their own for studies."""

import os

# Before anything imports ray: its metrics exporter costs more on two cores than some tests do.
os.environ["RAY_enable_metrics_collection"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for groups
def pytest_collection_modifyitems(items):
    """Tests on Ray mostly wait, and share a cluster: they follow one another, beside a process that runs all others."""
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory):
    """Tests neither write to the storage of whoever runs them nor talk to their cluster; nor do processes they start."""
    path = tmp_path_factory.mktemp("home") / "studies.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYTUNE_HPO_STORAGE", f"sqlite:///{path}")
        for name in ("RAY_ADDRESS", "RAY_HEAD_SERVICE_HOST", "RAY_HEAD_SERVICE_PORT"):
            patch.delenv(name, raising=False)
        yield
