"""What all tests share: quiet Ray, and a home of their own for studies."""

import gc
import os
import signal
from collections.abc import Iterator

# Before anything imports ray: its metrics exporter costs more on two cores than some tests do.
os.environ["RAY_enable_metrics_collection"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
# A node gives its agents some seconds to start and ends if they do not, which they cannot where cores are shared by many.
os.environ["RAY_agent_register_timeout_ms"] = "120000"
# Before anything imports numpy: two processes of tests on two cores, each with two threads for small matrices, wait for each
# other more than they compute.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes, or drawing it, says more about what else the machine does than about this package.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

ON_RAY = ("tests/cluster/", "tests/labs/", "tests/docs/test_code_blocks.py")  # folders and files


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests on Ray mostly wait, and share a cluster: they follow one another, beside a process that runs all others.

    Nearly all of the slow ones are on Ray. Each folder's have a cluster of their own, else one process would do it all. They
    begin in the order of their files: by the number of their tests, one of ten minutes would begin when all others are done.
    """
    from xdist.scheduler import LoadScopeScheduling

    only_slow = config.option.markexpr == "slow"
    config.option.loadscopereorder = config.option.loadscopereorder and not only_slow

    class RayTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            for place in ON_RAY:
                if nodeid.startswith(place):
                    return place if only_slow else "on Ray"
            return nodeid.partition("::")[0]

    return RayTogether(config, log)


def pytest_collection_finish() -> None:
    """Modules and tests stay: no collection of garbage looks through them again, neither here nor in a fork."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory):
    """Tests neither write to the storage of whoever runs them nor talk to their cluster; nor do processes they start."""
    path = tmp_path_factory.mktemp("home") / "studies.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYTUNE_HPO_STORAGE", f"sqlite:///{path}")
        for name in ("RAY_ADDRESS", "RAY_HEAD_SERVICE_HOST", "RAY_HEAD_SERVICE_PORT"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _heard() -> Iterator[None]:
    """Ctrl-C is heard, here and in processes that are started here, also where whoever started the tests has it ignored: a
    shell does that in the background.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _heard_again() -> None:
    """Ctrl-C is heard by each test, whatever has taken it over: Ray Tune does, and keeps it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
