"""Options by the names that they had in earlier releases: typed, in a dict, and in stored studies."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

import raytune_hpo as hpo
from raytune_hpo import registry
from raytune_hpo.core.audit import audit
from raytune_hpo.errors import SpecError, SpecMismatch
from raytune_hpo.journal import open_storage
from raytune_hpo.options import renamed_options
from raytune_hpo.protocols import Traits
from raytune_hpo.samplers import CMAES, RF
from raytune_hpo.spec import Part, StudySpec

FORMER = [("cmaes", CMAES, "num_initial", "n_initial"), ("rf", RF, "num_trees", "n_trees")]
SPACE = {"x": hpo.uniform(0, 1), "n": hpo.randint(0, 9)}


def facts_of(sampler, num=12):
    """A study's facts, by ask and tell."""
    study = hpo.Study(SPACE, metric="loss", sampler=sampler, storage="memory", seed=3, name="s")
    for _ in range(num):
        trial = study.ask()
        study.tell(trial, {"loss": trial.config["x"]})
    return list(study._optimizer._journal.read())


def as_before(facts, name, former):
    """The facts as the release before would have stored them."""
    created, *rest = facts
    sampler = created.spec["sampler"]
    options = {former if option == name else option: value for option, value in sampler["options"].items()}
    return [replace(created, spec={**created.spec, "sampler": {**sampler, "options": options}}), *rest]


@pytest.mark.parametrize(("part", "cls", "former", "name"), FORMER)
def test_an_option_may_be_typed_by_its_former_name(part, cls, former, name):
    typed = cls(**{former: 7})
    assert getattr(typed, name) == getattr(registry.make("sampler", {"name": part, former: 7}), name) == 7
    assert repr(typed) == repr(cls(**{name: 7}))
    assert registry.describe("sampler", typed) == registry.describe("sampler", cls(**{name: 7}))


@pytest.mark.parametrize(("part", "cls", "former", "name"), FORMER)
def test_an_option_by_both_its_names_is_refused(part, cls, former, name):
    for make in (lambda both: cls(**both), lambda both: registry.make("sampler", {"name": part, **both})):
        with pytest.raises(SpecError, match=f"'{former}' is called '{name}' now"):
            make({former: 7, name: 8})


@pytest.mark.parametrize(("part", "cls", "former", "name"), FORMER)
def test_only_the_new_name_is_listed_and_stored(part, cls, former, name):
    assert name in registry.option_names(cls)
    assert former not in registry.option_names(cls)
    assert former not in registry.describe("sampler", cls()).options
    with pytest.raises(SpecError, match=f"did you mean '{name}'"):
        registry.make("sampler", {"name": part, name + "s": 3})


@pytest.mark.parametrize(("part", "cls", "former", "name"), FORMER)
def test_a_study_stored_by_the_former_name_is_the_same_study(part, cls, former, name):
    facts = facts_of({"name": part, name: 4})
    spec = StudySpec.from_json(facts[0].spec)
    old = StudySpec.from_json(as_before(facts, name, former)[0].spec)
    assert former in old.sampler.options
    old = registry.current_spec(old)
    now = replace(spec, sampler=registry.describe("sampler", cls(**{name: 4})))
    now.require_same(old)
    with pytest.raises(SpecMismatch, match="sampler"):
        replace(spec, sampler=registry.describe("sampler", cls(**{name: 5}))).require_same(old)


@pytest.mark.parametrize(("part", "cls", "former", "name"), FORMER)
def test_a_study_stored_by_the_former_name_is_audited(part, cls, former, name):
    old = as_before(facts_of({"name": part, name: 4}), name, former)
    report = audit(old)
    assert report.is_clean, str(report)
    assert audit(old, sampler=cls(**{former: 4})).is_clean
    with pytest.raises(SpecMismatch):
        audit(old, sampler=cls(**{name: 5}))


@pytest.mark.parametrize(("part", "cls", "former", "name"), FORMER)
def test_a_study_stored_by_the_former_name_goes_on(part, cls, former, name, tmp_path):
    facts = as_before(facts_of({"name": part, name: 4}), name, former)
    url = f"sqlite:///{tmp_path}/s.db"
    with closing(open_storage(url)) as storage, closing(storage.journal("s", create=True, owner="before")) as journal:
        journal.append(facts, expect=0)
    for typed in (name, former):
        settings = {"metric": "loss", "sampler": {"name": part, typed: 4}, "storage": url, "name": "s"}
        study = hpo.Study(SPACE, **settings)
        before = len(study.results())
        study.tell(study.ask(), {"loss": 0.5})
        assert len(study.results()) == before + 1
        study.close()
    with pytest.raises(SpecMismatch):
        hpo.Study(SPACE, metric="loss", sampler={"name": part, name: 5}, storage=url, name="s")


def test_the_spec_of_the_release_before_is_read():
    stored = {
        "name": "cmaes",
        "options": {"population": None, "sigma": 0.3, "num_initial": 10, "growth": 2.0},
        "version": 1,
    }
    now = registry.describe("sampler", CMAES())
    options = registry.current_options("sampler", "cmaes", stored["options"])
    assert str(Part(**{**stored, "options": options})) == str(now)


def test_a_subclass_may_use_a_former_name_for_something_else():
    @renamed_options(size="width")
    class Base:
        traits = Traits()

        def __init__(self, *, width: int = 1) -> None:
            self.width = width

    class Other(Base):
        def __init__(self, *, width: int = 1, size: int = 2) -> None:
            super().__init__(width=width)
            self.size = size

    assert registry.renamed(Base) == {"size": "width"}
    assert registry.renamed(Other) == {}
    assert (Other(size=5).width, Other(size=5).size) == (1, 5)
    assert Base(size=5).width == 5
