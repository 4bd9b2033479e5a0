"""What the cluster's stories share."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import IO

import raytune_hpo as hpo
from raytune_hpo.facts import Fact, Finished
from raytune_hpo.journal import open_storage

SPACE = {"x": hpo.uniform(0.0, 1.0)}


def by_value(function: Callable) -> Callable:
    """Workers cannot import the tests; what belongs to __main__ is sent by value."""
    function.__module__ = "__main__"
    return function


@by_value
def slow(config: dict) -> float:
    time.sleep(0.1)
    return config["x"]


def kill(role: str, study: str) -> None:
    """As a crash would: Ray starts the actor again."""
    import ray

    from raytune_hpo.cluster.shells import find

    ray.kill(find(role, study), no_restart=False)


def wait_until(condition: Callable[[], bool], timeout_s: float = 150.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for_line(stream: IO[str] | None, wanted: str) -> None:
    """Read up to a line of a driver's output; Ray writes its own warnings in between."""
    assert stream is not None
    heard = []
    for line in stream:
        heard.append(line)
        if line.rstrip("\n") == wanted:
            return
    raise AssertionError(f"no line {wanted!r} in {heard}")


def facts_of(storage: str, name: str, kind: type) -> list[Fact]:
    """The study's facts of a kind; none while it is not there yet."""
    try:
        return [fact for fact in open_storage(storage).read(name) if isinstance(fact, kind)]
    except hpo.errors.HpoError:
        return []


def assert_each_once(storage: str, name: str, num_trials: int) -> None:
    """Every number finished exactly once, completed."""
    finished = facts_of(storage, name, Finished)
    assert Counter(fact.number for fact in finished) == dict.fromkeys(range(num_trials), 1)
    assert {str(fact.status) for fact in finished} == {"completed"}
