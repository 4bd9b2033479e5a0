"""Objectives that do what they should not, on a real cluster: each is a recorded failed trial, and nothing is lost."""

from __future__ import annotations

import os

import pytest
from cluster_support import SPACE, assert_each_once, by_value

import raytune_hpo as hpo
from raytune_hpo.core.audit import audit
from raytune_hpo.journal import open_storage
from tests.fixtures_postgres import postgres_server, postgres_url  # noqa: F401

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

KINDS = ["fine", "raises", "lambda", "huge", "array", "nan", "infinite", "text", "nothing", "exits", "backwards"]


@by_value
def misbehaving(config: dict) -> object:
    import numpy as np

    kind = config["kind"]
    if kind == "raises":
        raise ValueError("on purpose")
    if kind == "exits":
        os._exit(9)
    if kind == "backwards":
        hpo.report(loss=1.0, step=5)
        hpo.report(loss=1.0, step=4)
    results = {
        "lambda": lambda: 1.0,
        "huge": {"loss": 1.0, "weights": b"x" * 100_000_000},
        "array": np.zeros(3),
        "nan": float("nan"),
        "infinite": np.float32("inf"),
        "text": "good",
        "nothing": None,
    }
    return results.get(kind, 0.5)


@pytest.mark.slow
def test_whatever_an_objective_does_is_recorded(name: str, storage: str) -> None:
    results = hpo.tune(
        misbehaving,
        {"kind": hpo.grid_search(KINDS)},
        sampler="grid",
        name=name,
        storage=storage,
        max_retries=1,
        progress=False,
    )
    errors = {t.config["kind"]: t.error for t in results if t.status == "failed"}
    assert set(errors) == set(KINDS) - {"fine", "huge"}
    (kept,) = [t.metrics for t in results if t.config["kind"] == "huge"]
    assert kept == {"loss": 1.0}  # what is too big to keep does not cost the trial
    words = {
        "raises": "on purpose",
        "exits": "max_retries=1",
        "backwards": "steps grow",
        "lambda": "function",
        "array": "shape (3,)",
        "nan": "finite",
        "infinite": "finite",
        "text": "must be a number",
        "nothing": "returns a number",
    }
    for kind, said in words.items():
        assert said in errors[kind], f"{kind}: {errors[kind]}"
    assert all(len(error) < 10_000 for error in errors.values())


@pytest.mark.slow
def test_a_trial_that_eats_the_memory_fails_and_the_others_do_not(name: str, storage: str) -> None:
    @by_value
    def hungry(config: dict) -> float:
        if config["x"] > 0.5:
            import resource

            # As a container's limit would: the process gets no more than this, whatever the machine has.
            resource.setrlimit(resource.RLIMIT_AS, (3_000_000_000, 3_000_000_000))
            held = []
            while True:
                held.append(bytearray(200_000_000))
        return config["x"]

    results = hpo.tune(
        hungry, SPACE, sampler="random", seed=4, num_trials=8, name=name, storage=storage, max_retries=0, progress=False
    )
    for trial in results:
        assert trial.status == ("failed" if trial.config["x"] > 0.5 else "completed"), trial.error


@pytest.mark.slow
def test_a_parallel_study_is_audited_bit_for_bit(name: str, storage: str) -> None:
    @by_value
    def bowl(config: dict) -> float:
        return (config["x"] - 0.3) ** 2

    sampler = {"name": "hyperopt", "n_startup_jobs": 5}
    hpo.tune(bowl, SPACE, sampler=sampler, num_trials=25, name=name, storage=storage, seed=2, progress=False)
    report = audit(open_storage(storage).read(name))
    assert report.num_suggestions == 25 and not report.differences


@pytest.mark.slow
def test_a_study_is_kept_in_postgresql(name: str, postgres_url: str) -> None:  # noqa: F811
    settings = {"sampler": "random", "seed": 1, "name": name, "storage": postgres_url, "progress": False}
    hpo.tune(lambda config: config["x"], SPACE, num_trials=50, **settings)
    results = hpo.tune(lambda config: config["x"], SPACE, num_trials=80, **settings)
    assert len(results) == 80
    assert_each_once(postgres_url, name, 80)
