"""What all tests share: quiet Ray, and a home of their own for studies."""

import gc
import hashlib
import os
import signal
import time
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

END = pytest.StashKey[float]()  # the time after which no test begins
ON_RAY = ("tests/cluster/", "tests/labs/", "tests/docs/test_code_blocks.py")  # folders and files


def pytest_addoption(parser):
    add = parser.getgroup("time").addoption
    add("--minutes", type=float, metavar="M", help="skip tests that would begin later, and count them")
    add("--order", metavar="TEXT", help="files in an order that depends on this text")


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        config.stash[END] = config.workerinput["end"]
    else:
        minutes = config.option.minutes
        config.stash[END] = float("inf") if minutes is None else time.time() + 60 * minutes


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """A process of tests has no other end than all."""
    node.workerinput["end"] = node.config.stash[END]


def pytest_collection_modifyitems(config, items):
    """Where time is limited, no test is always among those for which there is none."""
    if config.option.order is not None:
        scopes = {item.nodeid: _scope(config, item.nodeid) for item in items}
        items.sort(key=lambda item: hashlib.sha256(f"{config.option.order} {scopes[item.nodeid]}".encode()).digest())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if time.time() > item.config.stash[END]:
        pytest.skip("no time left: see --minutes")


def _scope(config, nodeid: str) -> str:
    """What one process runs in one go: a file or, of tests on Ray, which share a cluster, all of them.

    Nearly all of the slow ones are on Ray. Each folder's have a cluster of their own, else one process would do it all.
    """
    for place in ON_RAY:
        if nodeid.startswith(place):
            return place if config.option.markexpr == "slow" else "on Ray"
    return nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests on Ray mostly wait: they follow one another, beside a process that runs all others.

    The slow ones begin in the order of their files: by the number of their tests, one of ten minutes would begin when all
    others are done.
    """
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = config.option.loadscopereorder and config.option.markexpr != "slow"

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return _scope(config, nodeid)

    return ByScope(config, log)


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
