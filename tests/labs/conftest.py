"""One cluster for all labs, and every filled notebook run once, however many tests ask about it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from labs_support import Cluster, Executed, connects, execute, require_libraries, running_cluster


@pytest.fixture(scope="session")
def cluster_of_others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that runs already, as readers of a workshop find it."""
    with running_cluster(tmp_path_factory.mktemp("cluster") / "log") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster_for(request: pytest.FixtureRequest) -> Callable[[str], Cluster | None]:
    """``cluster_for(name)`` is the cluster that a lab connects to; labs without Ray have none, and wait for none."""

    def found(name: str) -> Cluster | None:
        return request.getfixturevalue("cluster_of_others") if connects(name) else None

    return found


@pytest.fixture(scope="session")
def solution(
    cluster_for: Callable[[str], Cluster | None], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Executed]:
    """``solution(name)`` is the lab's filled notebook after a run of quick size."""

    @functools.cache
    def executed(name: str) -> Executed:
        require_libraries(name)
        return execute(name, tmp_path_factory.mktemp(name), cluster_for(name))

    return executed
