"""A domain that somebody else wrote: stored, read back, searched by every sampler, and said to be missing where it is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import registry, testing
from raytune_hpo.core.audit import audit
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.numerics.axes import Kind
from raytune_hpo.space import Domain, Quantised, Space
from raytune_hpo.space.axis import axis_of
from raytune_hpo.space.dialects.scipy_stats import Shaped
from raytune_hpo.space.domain import Continuous
from raytune_hpo.space.grids import FINEST, settle, snap


@dataclass(frozen=True)
class Powers(Domain):
    """base**first, ..., base**last."""

    base: int
    first: int
    last: int

    log = True

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def codes(self, unit):
        return self.base ** (self.first + np.minimum((unit * self.size).astype(int), self.size - 1))

    def units(self, codes):
        return (np.rint(np.log(codes) / np.log(self.base)) - self.first + 0.5) / self.size

    def nth(self, index: int) -> int:
        return self.base ** (self.first + index)

    def index_of(self, value: Any) -> int:
        return round(np.log(value) / np.log(self.base)) - self.first

    def problem(self, value: Any) -> str | None:
        known = [self.nth(index) for index in range(self.size)]
        return None if value in known else f"must be one of {known}"

    def to_json(self) -> dict[str, Any]:
        return {"base": self.base, "first": self.first, "last": self.last}


@dataclass(frozen=True)
class Colours(Powers):
    """Powers that have nothing in common."""

    is_ordered = False


OURS = [
    hpo.Float(0, 1),
    hpo.Float(1e-3, 1, log=True),
    hpo.Float(0, 1, step=0.1),
    hpo.Int(1, 9),
    hpo.Int(1, 99, log=True, step=7),
    hpo.randn(0, 2),
    hpo.choice(["a", "b"]),
    hpo.Choice(["a", "b", "c"], weights=[1, 2, 3]),
    hpo.ordinal([1, 2, 4]),
    hpo.quniform(0, 1, 0.25),
    hpo.qrandn(0, 1, 0.5),
    Powers(2, 3, 10),
    Colours(3, 0, 4),
]
CASES = {f"{domain}-{name}": case for domain in OURS for name, case in testing.domain_cases(domain).items()}


@pytest.mark.parametrize("case", CASES)
def test_a_domain_keeps_its_contract(case):
    CASES[case]()


def test_the_suite_finds_what_is_broken():
    @dataclass(frozen=True)
    class Shifted(Powers):
        def units(self, codes):
            return super().units(codes) + 1 / self.size

    with pytest.raises(AssertionError):
        testing.domain_cases(Shifted(2, 0, 3))["round_trip"]()


def test_its_kind_is_its_class_and_a_subclass_of_ours_is_not_taken_for_ours():
    class Narrow(hpo.Float):
        pass

    assert Powers.kind == f"{__name__}:Powers"
    assert hpo.Float.kind == "float"
    assert Narrow.kind.endswith("Narrow")


def test_a_space_with_it_is_read_back_from_json():
    space = Space({"w": Powers(2, 3, 10), "x": hpo.uniform(0, 1)})
    again = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert again.columns[0].domain == Powers(2, 3, 10)


def test_a_class_that_cannot_be_imported_is_missed_when_it_is_needed_and_not_before():
    data = json.loads(
        json.dumps(Space({"w": Powers(2, 3, 10), "x": hpo.uniform(0, 1)}).to_json()).replace(__name__, "gone")
    )
    space = Space.from_json(data)
    assert space.to_json() == data
    config = {"w": 8, "x": 0.5}
    assert space.unpack(space.pack(config)) == config
    assert space.flatten(config) == config
    with pytest.raises(SpaceError, match="'gone:Powers' of this space is needed, and cannot be imported here"):
        space.encode([config])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda cls, arguments: cls(**arguments, ends=1), "TypeError: .*'ends'"),
        (lambda cls, arguments: None, "TypeError: from_json returned None, which is not a domain"),
    ],
)
def test_a_class_that_takes_an_earlier_form_no_more_is_missed_when_it_is_needed_and_not_before(
    change, why, monkeypatch, tmp_path
):
    space, storage = {"w": Powers(2, 3, 10)}, tmp_path / "s.db"
    hpo.tune(lambda config: config["w"], space, metric="loss", num_trials=3, name="s", storage=storage, runtime="local")
    monkeypatch.setattr(Powers, "from_json", classmethod(change))
    results = hpo.load("s", storage=storage)
    assert {trial.config["w"] for trial in results} <= {2**k for k in range(3, 11)}
    said = rf"'{__name__}:Powers' .* cannot be made from \{{'base': 2.*\}}: {why}; let from_json take the old form"
    with pytest.raises(SpaceError, match=said):
        results.spec.space.encode([results[0].config])


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (None, "returned None, TypeError"),
        ({"b": 2}, r"returned \{'b': 2\}, TypeError: .*'b'"),
        ({"base": 2, "first": np.int64(3), "last": 10}, "returned .* TypeError: .*int64 is not JSON serializable"),
        ("base", "returned {'base': 3, 'first': 3, 'last': 10}, to_json of that one returned {'base': 4,"),
    ],
)
@pytest.mark.parametrize("is_rounded", [False, True])
def test_a_domain_that_could_not_be_read_back_is_refused_before_its_study_begins(form, why, is_rounded, tmp_path):
    class Wrong(Powers):
        def to_json(self):
            return {**super().to_json(), "base": self.base + 1} if form == "base" else form

    domain = Quantised(Wrong(2, 3, 10), 2) if is_rounded else Wrong(2, 3, 10)
    with pytest.raises(SpecError, match=f"of which from_json makes an equal one; to_json of .*Wrong {why}"):
        hpo.Study({"w": domain}, metric="loss", storage=tmp_path / "s.db")
    assert not (tmp_path / "s.db").exists()


def test_a_name_that_is_not_a_domain_is_refused():
    data = json.loads(json.dumps(Space({"w": Powers(2, 3, 10)}).to_json()).replace(f"{__name__}:Powers", "json:dumps"))
    with pytest.raises(SpaceError, match="must be a subclass of Domain"):
        Space.from_json(data)


# A population goes on with the trials that it has.
@pytest.mark.parametrize("name", sorted(set(registry.SAMPLERS) - {"pbt", "pb2", "schedule"}))
def test_every_sampler_searches_it(name):
    sampler = {"name": name, "max_steps": 27} if name in ("bohb", "hypertune", "freeze_thaw") else name
    study = hpo.Study(
        {"w": Powers(2, 3, 10), "c": Colours(3, 0, 4)}, metric="loss", sampler=sampler, seed=0, storage="memory"
    )
    for _ in range(14):
        trial = study.ask()
        study.tell(trial, {"loss": abs(trial.config["w"] - 128)})
    assert {trial.config["w"] for trial in study.results()} <= {2**k for k in range(3, 11)}


def test_a_study_with_it_is_stored_resumed_and_audited(tmp_path):
    settings = {"metric": "loss", "sampler": "tpe", "storage": f"sqlite:///{tmp_path}/s.db", "name": "s"}
    for _ in range(2):
        with hpo.Study({"w": Powers(2, 3, 10)}, **settings) as study:
            for _ in range(8):
                trial = study.ask()
                study.tell(trial, {"loss": float(trial.config["w"])})
            assert audit(study._optimizer._journal.read()).is_clean
    assert len(hpo.load("s", storage=settings["storage"])) == 16


def test_axes_are_real_grids_or_nominal():
    assert axis_of(hpo.uniform(0, 1)).kind is Kind.REAL
    assert axis_of(hpo.randint(0, 65)).kind is Kind.REAL  # so many values count as a continuum
    assert axis_of(hpo.randint(0, 64)).kind is Kind.GRID
    assert axis_of(Powers(2, 3, 10)).kind is Kind.GRID
    assert axis_of(Colours(3, 0, 4)).kind is Kind.NOMINAL
    assert axis_of(hpo.choice(range(100))).kind is Kind.NOMINAL


def test_rounded_domains_say_what_they_round():
    assert hpo.qloguniform(1, 100, 2).log
    assert hpo.qloguniform(1, 100, 2).step == 2
    assert not hpo.quniform(1, 100, 2).log
    assert hpo.ordinal([1, 2]).options == (1, 2)
    assert hpo.uniform(0, 1).options == ()
    assert "log" not in {item.name for item in Shaped.__dataclass_fields__.values()}


def test_a_dataclass_may_have_a_field_of_a_contract_s_name():
    @dataclass(frozen=True)
    class Listed(Colours):
        options: tuple[int, ...] = field(kw_only=True)

    assert Listed(2, 0, 3, options=(1, 2)).options == (1, 2)


@dataclass(frozen=True)
class LogOdds(Continuous):
    """Probabilities, evenly by their log odds from -most to most."""

    most: float = 6.0

    def codes(self, unit):
        return 1 / (1 + np.exp(self.most * (1 - 2 * self._snapped(unit))))

    def units(self, codes):
        return settle(self._snapped(self.below(codes)), codes, self.codes, apart=1 / FINEST)

    def below(self, codes):
        inside = codes.clip(*self.bounds)
        return (0.5 + np.log(inside / (1 - inside)) / (2 * self.most)).clip(0, 1)

    @property
    def bounds(self):
        end = 1 / (1 + np.exp(self.most))
        return float(end), float(1 - end)

    def problem(self, value):
        low, high = self.bounds
        is_inside = isinstance(value, Real) and low <= value <= high
        return None if is_inside else f"must be a number in [{low:.3g}, {high:.3g}]"

    def to_json(self):
        return {"most": self.most}

    def _snapped(self, unit):
        return snap(unit)


@dataclass(frozen=True)
class NotSnapped(LogOdds):
    def units(self, codes):
        return self.below(codes)

    def _snapped(self, unit):
        return unit


def test_a_continuous_domain_of_ones_own_needs_no_size_and_passes_the_suite():
    assert LogOdds().size is None
    for case in testing.domain_cases(LogOdds()).values():
        case()


def test_the_suite_finds_what_models_and_figures_would_stumble_over():
    @dataclass(frozen=True)
    class InPlace(Powers):
        def units(self, codes):
            codes -= 1
            return super().units(codes + 1)

    @dataclass(frozen=True)
    class Backwards(Powers):
        def codes(self, unit):
            return super().codes(1 - unit)

        def units(self, codes):
            return 1 - super().units(codes)

    @dataclass(frozen=True)
    class TakesAll(Powers):
        def problem(self, value):
            return None

    @dataclass(frozen=True)
    class Raises(Powers):
        def problem(self, value):
            return None if value > 0 else "must be above 0"

    @dataclass(frozen=True)
    class Narrow(LogOdds):
        @property
        def bounds(self):
            return 0.4, 0.6

        def below(self, codes):
            return LogOdds(self.most).below(codes)

    @dataclass(frozen=True)
    class Reversed(LogOdds):
        def below(self, codes):
            return 1 - super().below(codes)

        def units(self, codes):
            return LogOdds(self.most).units(codes)

    @dataclass(frozen=True)
    class OutOfBounds(LogOdds):
        def below(self, codes):
            low, high = self.bounds
            return np.where((codes < low) | (codes > high), 0.5, super().below(codes))

    @dataclass(frozen=True)
    class Once(LogOdds):
        def codes(self, unit):
            return super().codes(unit[:1])

    for domain, name, rule in (
        (InPlace(2.0, 3, 10), "reads_only", "units changes the codes"),
        (Backwards(2, 3, 10), "cells", "in the order of positions"),
        (TakesAll(2, 3, 10), "any_value", "takes any object"),
        (Raises(2, 3, 10), "any_value", "for 'text' it raised TypeError"),
        (Narrow(), "scale", r"within bounds, \(0.4, 0.6\)"),
        (Reversed(), "below", "below undoes codes"),
        (OutOfBounds(), "below", "no value lies below the bounds"),
        (Once(), "round_trip", "one value for each coordinate, got 1"),
    ):
        with pytest.raises(AssertionError, match=rule):
            testing.domain_cases(domain)[name]()


def test_a_round_trip_through_exp_that_is_not_snapped_is_told_by_value_and_way_out():
    with pytest.raises(AssertionError, match=r"\d came back as 0\.\d+; see settle in docs/how-to/own-domain.md"):
        testing.check_round_trip(NotSnapped())
