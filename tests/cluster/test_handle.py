"""A study as its driver holds it, when the cluster dies under it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import ray
from cluster_support import SPACE
from ray.exceptions import ActorDiedError

import raytune_hpo as hpo
from raytune_hpo.cluster import handle, shells
from raytune_hpo.cluster.handle import ClusterHandle

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def bereft(name: str, storage: str, monkeypatch: pytest.MonkeyPatch, node: str | None = None) -> ClusterHandle:
    """The handle of a study whose optimizer is gone, and whose cluster starts no actor any more."""

    def gone(*_: object) -> None:
        raise ActorDiedError

    def unable(storage: object) -> None:
        raise AssertionError("an actor that reads the storage would never be placed")

    monkeypatch.setattr(handle, "answer_of", gone)
    monkeypatch.setattr(handle, "get", gone)
    monkeypatch.setattr(handle, "open_remote", unable)
    optimizer = SimpleNamespace(call=SimpleNamespace(remote=lambda *_: None))
    return ClusterHandle(name, optimizer, storage, node or ray.get_runtime_context().get_node_id())


def test_a_study_that_had_ended_is_read_from_its_file(name: str, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hpo.tune(lambda c: c["x"], SPACE, num_trials=3, runtime="local", name=name, storage=storage, progress=False)
    study = bereft(name, storage, monkeypatch)
    assert study.wait() and study.status().num_finished == 3
    assert len(list(study.facts())) > 3


def test_a_study_that_ran_says_that_it_is_safe(name: str, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hpo.Study(SPACE, sampler="random", num_trials=3, name=name, storage=storage)
    asked.ask()
    study = bereft(name, storage, monkeypatch)
    for ask in (study.wait, study.snapshot):
        with pytest.raises(hpo.errors.ClusterError, match="what was recorded is safe, run the study again"):
            ask()


def test_a_file_of_another_node_is_not_looked_for_here(
    name: str, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = bereft(name, storage, monkeypatch, node="another")
    with pytest.raises(AssertionError, match="reads the storage"):
        study.status()


def test_nobody_waits_for_an_answer_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "ANSWER_S", 0.2)
    unplaceable = ray.remote(lambda: 1).options(resources={"gold": 1}).remote()
    with pytest.raises(hpo.errors.ClusterError, match="not answered.*run the study again"):
        shells.answer_of(unplaceable)
    ray.cancel(unplaceable)
