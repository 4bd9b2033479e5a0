"""What measurements must not share: two that use the same never run at once, whichever study they belong to."""

from __future__ import annotations

import sys
import threading
import time

import pytest

import raytune_hpo as hpo
from raytune_hpo.commands.measuring_slots import holding
from raytune_hpo.errors import SpecError


def spans(tmp_path, uses):
    """When two programs ran that were begun together, as pairs of times."""
    found = []

    def measure(port):
        command = hpo.Command("sleep {nap}", uses=uses, parallel=4, repeats=1)
        with_port = {"nap": 0.3, "port": port}
        began = time.monotonic()
        command(with_port)
        found.append((began, time.monotonic()))

    threads = [threading.Thread(target=measure, args=(port,)) for port in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_what_uses_the_same_port_runs_one_after_the_other(tmp_path):
    ends = sorted(end for _, end in spans(tmp_path, ["port:test-same"]))
    assert ends[1] - ends[0] >= 0.3


def test_what_a_resource_is_may_depend_on_the_configuration(tmp_path):
    """Each of two programs ends when the other has begun, so they end only if they run at once."""
    meeting = "own, other = map(pathlib.Path, sys.argv[1:]); own.touch()\nwhile not other.exists(): time.sleep(.02)"
    (tmp_path / "meet.py").write_text(f"import pathlib, sys, time; {meeting}")
    command = hpo.Command(
        f"{sys.executable} meet.py {{port}} {{other}}", uses=["port:test-{port}"], cwd=tmp_path, parallel=4, repeats=1
    )
    ended = []
    threads = [
        threading.Thread(target=lambda config=config: ended.append(command(config)), daemon=True)
        for config in ({"port": 1, "other": 2}, {"port": 2, "other": 1})
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(ended) == 2


def test_nobody_waits_for_who_waits_for_him(tmp_path):
    done = []

    def take(names):
        for _ in range(20):
            with holding(names, tmp_path):
                done.append(names)

    threads = [threading.Thread(target=take, args=(names,), daemon=True) for names in (["a", "b"], ["b", "a", "a"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(done) == 40


@pytest.mark.parametrize("uses", ["port:1", [""], [1]])
def test_what_is_no_list_of_names_is_refused(uses):
    with pytest.raises(SpecError, match="uses is a list of names"):
        hpo.Command("true", uses=uses)


def test_a_resource_names_known_parameters_only():
    command = hpo.Command("true {x}", uses=["port:{prot}"])
    with pytest.raises(SpecError, match="prot"):
        hpo.tune(command, {"x": hpo.randint(1, 3)}, num_trials=1, runtime="local")
