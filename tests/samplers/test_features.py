"""Features of configurations, which models learn from and nobody searches along."""

from __future__ import annotations

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.core.audit import audit
from raytune_hpo.errors import SpaceError, SpecError, SpecMismatch
from raytune_hpo.journal import open_storage
from raytune_hpo.samplers import GP
from raytune_hpo.space import Space
from raytune_hpo.testing.trials import Loop

EDGES = {f"edge{i}": hpo.Choice(["none", "skip", "conv", "pool"]) for i in range(8)}


def counts(config):
    values = list(config.values())
    return {"convs": values.count("conv"), "skips": values.count("skip")}


def loss(config):
    """Two convolutions and three skips are best, wherever they are."""
    features = counts(config)
    return abs(features["convs"] - 2) + abs(features["skips"] - 5) + 0.0


def found(space, seed, num=25):
    loop = Loop.of(GP, space, seed=seed)
    for _ in range(num):
        trial = loop.ask()
        loop.tell(trial, {"loss": loss(trial.config)})
    return np.mean([trial.losses[0] for trial in loop.finished[10:]])


def test_what_configurations_have_in_common_is_learned_sooner():
    seeds = range(4)
    plain, featured = (
        np.mean([found(s, seed) for seed in seeds]) for s in (Space(EDGES), Space(EDGES).featured(counts))
    )
    assert featured < 0.7 * plain


def test_a_study_takes_features_and_an_audit_wants_them_too(tmp_path):
    storage = f"sqlite:///{tmp_path}/studies.db"
    study = hpo.Study(EDGES, name="cells", storage=storage, seed=1, features=counts)
    for _ in range(9):
        trial = study.ask()
        study.tell(trial, loss(trial.config))
    study.close()
    facts = list(open_storage(storage).read("cells"))
    assert audit(facts, space=Space(EDGES).featured(counts)).is_clean
    with pytest.raises(SpaceError, match="counts"):
        audit(facts)
    with pytest.raises(SpecMismatch, match="features"):
        hpo.Study(EDGES, name="cells", storage=storage, features=lambda config: {"convs": 0.0})


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda config: 3, "returns a dict of numbers"),
        (lambda config: {"size": float("nan")}, "finite numbers"),
        (lambda config: {"a": 1} if config["edge0"] == "conv" else {"b": 1}, "the same for every configuration"),
    ],
)
def test_features_that_are_none_are_refused_by_name(features, message):
    loop = Loop.of(GP, Space(EDGES).featured(features))
    with pytest.raises(SpaceError, match=message):
        for _ in range(12):
            loop.tell(loop.ask(), {"loss": 1.0})


def test_features_are_a_function():
    with pytest.raises(SpecError, match="features is a function"):
        hpo.Study(EDGES, storage="memory", features={"convs": 1})


def test_a_sampler_that_does_not_read_features_says_so():
    with pytest.warns(UserWarning, match="sampler 'tpe' has none: they do nothing"):
        hpo.Study(EDGES, storage="memory", sampler="tpe", features=counts)
