"""Laws of the translations: constraints, mutations, stop rules, flat results."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raytune_hpo.compat import ray_tune as tune
from raytune_hpo.compat.ray_tune.schedulers.mutations import mutated, widened
from raytune_hpo.compat.ray_tune.schedulers.pbt import paths_of, settled
from raytune_hpo.compat.ray_tune.search.ax import Linear
from raytune_hpo.compat.ray_tune.stopper import reached
from raytune_hpo.compat.ray_tune.trial_folder import flattened
from raytune_hpo.space import Space

numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
factors = st.floats(0.001, 9).map(lambda x: round(x, 3))


@given(factors, factors, numbers, numbers, numbers, st.sampled_from(["<=", ">="]))
def test_a_linear_constraint_means_what_it_says(a, b, bound, x, y, sign):
    text = f"{a}*x - {b} * y {sign} {bound}"
    left = a * x - b * y
    if abs(left - bound) > 1e-6:
        assert Linear.read(text)({"x": x, "y": y}) is (left <= bound if sign == "<=" else left >= bound)
    assert Linear.read("x <= y")({"x": x, "y": y}) is (x <= y + 1e-12)


@given(numbers, st.integers(-50, 50), st.sampled_from(["a", "b", "c"]), st.integers(0, 9))
def test_what_members_begin_with_is_in_their_space(rate, whole, word, listed):
    mutations = {
        "rate": tune.uniform(0, 1),
        "whole": tune.randint(1, 5),
        "word": tune.choice(["a", "b"]),
        "deep": {"listed": [1, 2, 4]},
    }
    founder = {"rate": rate, "whole": whole, "word": word, "deep": {"listed": listed, "stays": 7}}
    domains = widened(mutated({"deep": {"stays": 7}}, mutations), founder, paths_of(mutations))
    space = Space(domains)
    assert space.complete(founder) == founder
    for config in space.sample(5, np.random.default_rng(0)):
        changed = settled(founder, config, paths_of(mutations))
        assert changed["deep"]["stays"] == 7 and changed["rate"] == config["rate"]
        space.check(changed)


leaf = st.sampled_from([0, -1.5, True, None, "", "ab"])
innermost = st.fixed_dictionaries({"d": leaf})
inner = st.fixed_dictionaries({"a": leaf | innermost}, optional={"bc": leaf | innermost})


@given(st.fixed_dictionaries({}, optional=dict.fromkeys("xyz", leaf | inner)))
def test_a_flat_result_has_every_value_once(result):
    def leaves(value):
        return sum(map(leaves, value.values())) if isinstance(value, dict) else 1

    flat = flattened(result)
    assert len(flat) == sum(map(leaves, result.values()))
    assert flattened(flat) == flat


@given(st.dictionaries(st.sampled_from("abc"), numbers), st.dictionaries(st.sampled_from("abcd"), numbers))
def test_a_stop_rule_is_reached_where_any_of_its_values_is(criteria, result):
    assert reached(criteria, result) is any(result[key] >= value for key, value in criteria.items() if key in result)
