"""Domains: bounds, distributions, and round trips that lose nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_hpo.errors import SpaceError
from raytune_hpo.space import (
    Choice,
    Domain,
    Float,
    Int,
    Normal,
    Ordinal,
    Space,
    grid_search,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    uniform,
)

FINITE = st.floats(-1e9, 1e9).filter(lambda x: x == 0 or abs(x) > 1e-9)
POSITIVE = st.floats(1e-9, 1e9)
WHOLE = st.integers(-(10**9), 10**9)


def ordered(values: tuple[Any, Any]) -> bool:
    return values[0] < values[1] and math.isfinite(values[1] - values[0])


DOMAINS = st.one_of(
    st.tuples(FINITE, FINITE).filter(ordered).map(lambda b: Float(*b)),
    st.tuples(POSITIVE, POSITIVE).filter(ordered).map(lambda b: Float(*b, log=True)),
    st.tuples(FINITE, st.floats(0.001, 100), st.integers(1, 500)).map(
        lambda g: Float(g[0], g[0] + g[1] * g[2], step=g[1])
    ),
    st.tuples(POSITIVE, st.floats(0.01, 100), st.integers(1, 500)).map(
        lambda g: Float(g[0], g[0] + g[1] * g[2], log=True, step=g[1])
    ),
    st.tuples(WHOLE, WHOLE).filter(ordered).map(lambda b: Int(*b)),
    st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)).filter(ordered).map(lambda b: Int(*b, log=True)),
    st.tuples(WHOLE, st.integers(1, 99), st.integers(1, 99)).map(lambda g: Int(g[0], g[0] + g[1] * g[2], step=g[1])),
    st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)).map(lambda m: Normal(*m)),
    st.tuples(st.floats(-9, 9), st.floats(1e-3, 9)).map(lambda m: Normal(*m, log=True)),
    st.tuples(st.integers(-99, 99), st.integers(1, 99), st.sampled_from([0.1, 0.25, 1, 3, 1 / 3])).map(
        lambda g: quniform(g[0] * g[2], (g[0] + g[1]) * g[2], g[2])
    ),
    st.tuples(st.integers(1, 99), st.integers(1, 99), st.sampled_from([0.1, 0.25, 1, 3, 1 / 3])).map(
        lambda g: qloguniform(g[0] * g[2], (g[0] + g[1]) * g[2], g[2])
    ),
    st.lists(st.text(max_size=3), min_size=1, max_size=9, unique=True).map(Ordinal),
    st.lists(st.tuples(st.text(max_size=3), st.floats(0.1, 9)), min_size=1, max_size=9).map(
        lambda pairs: Choice([option for option, _ in pairs], [weight for _, weight in pairs])
    ),
)


@settings(max_examples=300)
@given(DOMAINS, st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_what_was_decoded_comes_back_exactly(domain: Domain, unit: list[float]) -> None:
    values = domain.decode(np.array([0.0, 1.0, *unit]))
    coordinates = domain.encode(values)
    assert ((coordinates >= 0) & (coordinates <= 1)).all()
    assert domain.decode(coordinates) == values
    assert np.array_equal(domain.encode(domain.decode(coordinates)), coordinates)
    assert [domain.problem(value) for value in values] == [None] * len(values)


@settings(max_examples=200)
@given(DOMAINS.filter(lambda d: d.size is not None), st.floats(0, 1))
def test_a_finite_domain_numbers_its_values(domain: Domain, where: float) -> None:
    assert domain.size is not None
    index = min(int(where * domain.size), domain.size - 1)
    value = domain.nth(index)
    assert domain.index_of(value) == index
    assert domain.problem(value) is None
    assert domain.decode(np.array([domain.unit_at(index)])) == [value]


@settings(max_examples=200)
@given(st.tuples(FINITE, FINITE).filter(ordered), st.floats(0, 1))
def test_any_float_comes_back_to_within_rounding_and_then_exactly(bounds: tuple[float, float], share: float) -> None:
    lo, hi = bounds
    domain = Float(lo, hi)
    value = min(max(lo + share * (hi - lo), lo), hi)
    [back] = domain.decode(domain.encode([value]))
    assert abs(back - value) <= 2**-51 * max(hi - lo, abs(lo), abs(hi))
    assert domain.decode(domain.encode([back])) == [back]


def draw(domain: Domain, n: int = 4000) -> list[Any]:
    return domain.decode(np.random.default_rng(7).random(n))


def test_bounds_are_those_of_ray() -> None:
    assert set(draw(randint(1, 4))) == {1, 2, 3}
    assert set(draw(lograndint(1, 4))) == {1, 2, 3}
    assert set(draw(qrandint(0, 12, 4))) == {0, 4, 8, 12}
    assert set(draw(qrandint(1, 13, 4))) == {4, 8, 12}
    assert set(draw(qrandint(1, 4))) == {1, 2, 3}  # q=1 excludes the upper bound
    assert set(draw(qlograndint(4, 16, 4))) == {4, 8, 12, 16}
    assert set(draw(quniform(0, 1, 0.25))) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert set(draw(quniform(0.1, 1.1, 0.5))) == {0.5, 1.0}  # bounds off the grid move inwards
    assert min(draw(uniform(-1, 1))) >= -1 and max(draw(uniform(-1, 1))) <= 1


def test_values_can_be_drawn_for_a_look() -> None:
    for domain in (uniform(0, 1), randint(0, 5), qrandn(0, 1, 0.5), Choice(["a", "b"])):
        values = domain.sample(size=20, random_state=3)
        assert all(domain.problem(value) is None for value in [*values, domain.sample()])
        assert values == domain.sample(size=20, random_state=np.random.default_rng(3))
    assert uniform(0, 1).sample() != uniform(0, 1).sample()


def test_a_range_can_be_had_in_multiples() -> None:
    assert uniform(0, 1).quantized(0.25) == quniform(0, 1, 0.25)
    assert loguniform(0.01, 1).quantized(0.01) == qloguniform(0.01, 1, 0.01)
    assert randn(1, 2).quantized(0.5) == qrandn(1, 2, 0.5)
    assert set(draw(randint(1, 14).quantized(4))) == {4, 8, 12}
    with pytest.raises(SpaceError, match="no multiple of q=7"):
        randint(1, 6).quantized(7)


def test_ends_of_the_unit_interval_are_the_bounds() -> None:
    for domain in (Float(0.1, 0.7), Float(1e-5, 0.3, log=True), Int(-3, 9), Int(1, 1000, log=True)):
        assert domain.decode(np.array([0.0, 1.0])) == [domain.lo, domain.hi]
        assert domain.decode(np.array([-0.5, 1.5])) == [domain.lo, domain.hi]


def test_values_are_plain_python() -> None:
    for domain in (
        uniform(0, 1),
        randint(0, 5),
        quniform(0, 1, 0.1),
        Choice(np.arange(3)),
        Ordinal([np.float64(1), 2]),
    ):
        assert {type(value) for value in draw(domain, 50)} <= {float, int}


def test_steps_are_written_as_decimals() -> None:
    assert set(draw(Float(0, 1, step=0.1))) == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}
    assert Float(0, 1, step=0.1).problem(0.1 + 0.2) is None  # sums of floats are on the grid all the same


@pytest.mark.parametrize("domain", [randn(0, 1), qrandn(0, 1, 0.5), qrandn(0, 1, 3)], ids=repr)
@pytest.mark.parametrize("value", [math.inf, -math.inf, 10**400])
def test_a_domain_without_bounds_refuses_infinity_in_words(domain, value) -> None:
    assert domain.problem(value) == "must be finite"


def test_log_domains_give_each_decade_its_share() -> None:
    share = np.mean(np.array(draw(loguniform(1e-4, 1))) < 1e-2)
    assert share == pytest.approx(0.5, abs=0.03)
    counts = np.bincount(draw(lograndint(1, 9), 8000), minlength=9)[1:] / 8000
    assert counts == pytest.approx([math.log((k + 1) / k) / math.log(9) for k in range(1, 9)], abs=0.02)


def test_normal_domains_have_their_moments() -> None:
    assert np.mean(draw(randn(3, 2))) == pytest.approx(3, abs=0.1)
    assert np.std(draw(randn(3, 2))) == pytest.approx(2, abs=0.1)
    assert all(value % 2 == 0 for value in draw(qrandn(0, 10, 2)))
    assert np.median(draw(Normal(1, 1, log=True))) == pytest.approx(math.e, rel=0.1)


def test_a_repeated_option_is_twice_as_likely() -> None:
    domain = Choice(["a", "b", "a"])
    assert domain.options == ("a", "b")
    assert np.mean([value == "a" for value in draw(domain)]) == pytest.approx(2 / 3, abs=0.03)


def test_one_and_true_are_two_options() -> None:
    domain = Choice([1, True, 1.0, None])
    assert domain.size == 4
    assert [type(v) for v in domain.decode(domain.encode([1, True, 1.0, None]))] == [int, bool, float, type(None)]


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: uniform(2, 1), "lo <= hi"),
        (lambda: Float(math.nan, 1), "finite"),
        (lambda: uniform(0, math.inf), "finite"),
        (lambda: loguniform(0, 1), "lo > 0"),
        (lambda: loguniform(-1, 1), "lo > 0"),
        (lambda: Float(0, 1, step=0), "step > 0"),
        (lambda: Float(0, 1, step=2), "step <= hi - lo"),
        (lambda: Int(0, 9, step=-1), "step > 0"),
        (lambda: Int(0.5, 9), "whole"),
        (lambda: Int(0, 2**60), "larger step"),
        (lambda: randint(3, 3), "lower < upper"),
        (lambda: lograndint(0, 3), "lo > 0"),
        (lambda: qrandint(5, 7, 4), "no multiple"),
        (lambda: quniform(0.1, 0.2, 0.5), "no multiple"),
        (lambda: quniform(0, 1, 0), "q > 0"),
        (lambda: randn(0, 0), "sd > 0"),
        (lambda: Choice([]), "at least one option"),
        (lambda: Choice("abc"), "list of options"),
        (lambda: Choice([1, 2], [1]), "one weight for each"),
        (lambda: Choice([1, 2], [1, 0]), "above 0"),
        (lambda: Ordinal([1, 2, 1]), "once"),
        (lambda: grid_search([1, 1]), "once"),
        (lambda: uniform(True, 2), "finite number"),
        (lambda: uniform(-1.7e308, 1.7e308), r"range, hi - lo below 1.8e308, got .*; narrow it"),
        (
            lambda: loguniform(1e-300, 1e300),
            r"a log scale must span a finite ratio, hi / lo below 1.8e308, got .*; narrow it",
        ),
    ],
)
def test_a_domain_that_makes_no_sense_is_refused(make: Any, rule: str) -> None:
    with pytest.raises(SpaceError, match=rule):
        make()


def test_numpy_scalars_serve_as_bounds() -> None:
    assert Float(np.float32(0.5), np.int64(2)) == Float(0.5, 2)
    assert Space({"x": randint(np.int64(0), np.int32(3))}).cardinality == 3
