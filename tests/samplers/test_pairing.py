"""Which sampler may learn from what, and what each needs: said by its traits, read by everybody else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import raytune_hpo as hpo
from raytune_hpo import registry
from raytune_hpo.cluster.environment import optimizer_needs
from raytune_hpo.errors import SpecError
from raytune_hpo.protocols import Traits
from raytune_hpo.samplers import TPE


def test_the_advice_names_exactly_the_samplers_that_learn_from_several_metrics():
    able = {n for n in registry.installed("sampler") if registry.load("sampler", n).traits.multi_goal}
    with pytest.raises(SpecError) as caught:
        hpo.Study({"x": hpo.uniform(0, 1)}, metric=["a", "b"], sampler="cmaes", storage="memory")
    (named,) = re.findall(r"use (.*), or one metric", str(caught.value))
    assert set(named.split(", ")) == able


def test_the_docs_name_the_samplers_that_take_several_metrics_and_constraints():
    text = " ".join((Path(__file__).parents[2] / "docs" / "how-to" / "several-metrics.md").read_text().split())
    traits = {name: registry.load("sampler", name).traits for name in registry.installed("sampler")}

    def named(pattern):
        (words,) = re.findall(pattern, text)
        return set(re.findall(r'`"(\w+)"`', words))

    assert named(r"(`[^.]*) take several metrics") == {name for name, of in traits.items() if of.multi_goal}
    assert named(r"never the best\. (.*) learn where it holds") == {
        name for name, of in traits.items() if of.constraints
    }
    assert named(r"it holds, (.*) learn nothing") == {name for name, of in traits.items() if of.history_free}


def test_a_plug_in_that_does_not_import_has_no_place_in_the_advice(monkeypatch):
    broken = {**registry.installed("sampler"), "broken": "no_such_package:Sampler"}
    monkeypatch.setattr(registry, "installed", lambda role: broken)
    with pytest.raises(SpecError, match="learns from one metric") as caught:
        hpo.Study({"x": hpo.uniform(0, 1)}, metric=["a", "b"], sampler="cmaes", storage="memory")
    assert "broken" not in str(caught.value)


@pytest.mark.slow
def test_a_sampler_says_which_packages_it_needs_where_suggestions_are_computed():
    class Learned(TPE):
        traits = Traits(needs=("scikit-learn", "scipy", "not-installed-anywhere"))

    assert set(optimizer_needs("memory", Learned())) == {"sklearn", "scipy", "threadpoolctl"}
    assert optimizer_needs("memory", Learned())["sklearn"].startswith("scikit-learn==")
