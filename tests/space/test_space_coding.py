"""Columns that are coded alike are computed together, and come out as each does alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_hpo.space import Choice, Float, Int, Ordinal, Space
from raytune_hpo.space.coding import Coding

DOMAINS = [
    Float(0, 1),
    Float(1e-4, 1, log=True),
    Float(0, 1, step=0.1),
    Int(1, 9),
    Int(1, 300, log=True),
    Choice(["a", "b", "c"]),
    Choice(["x", "y", "z"]),
    Choice(["a", "b", "c"], weights=[1, 2, 3]),
    Ordinal([1, 2, 4]),
]


class Halves(Float):
    """A domain of a user's own: its codes are not those of the class that it extends."""

    def codes(self, unit):
        return super().codes(unit) / 2

    def units(self, codes):
        return super().units(codes * 2)


def test_what_is_coded_alike_is_in_one_group():
    coding = Coding(
        [
            Float(0, 1),
            Choice(["a", "b", "c"]),
            Float(0, 2),
            Choice(["x", "y", "z"]),
            Float(0, 1, log=False),
            Choice(["a", "b"]),
        ]
    )
    assert [group.columns.tolist() for group in coding.groups] == [[0, 4], [1, 3], [2], [5]]
    assert coding.group_of == (0, 1, 2, 1, 0, 3)


def test_a_domain_of_a_users_own_is_computed_by_itself():
    coding = Coding([Float(0, 1), Halves(0, 1), Halves(0, 1)])
    assert [group.columns.tolist() for group in coding.groups] == [[0], [1], [2]]
    space = Space({"a": Float(0, 1), "b": Halves(0, 1)})
    assert space.decode(np.array([[0.5, 0.5]])) == [{"a": 0.5, "b": 0.25}]
    np.testing.assert_array_equal(space.encode([{"a": 0.5, "b": 0.25}]), [[0.5, 0.5]])


@settings(max_examples=60)
@given(st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=8), st.integers(0, 2**32))
def test_columns_are_decoded_and_encoded_as_each_is_alone(domains, seed):
    unit = np.random.default_rng(seed).random((5, len(domains)))
    space = Space({f"p{j:02}": domain for j, domain in enumerate(domains)})
    configs = space.decode(unit)
    for j, domain in enumerate(domains):
        assert [config[f"p{j:02}"] for config in configs] == domain.decode(unit[:, j])
    wanted = np.column_stack([domain.encode(domain.decode(unit[:, j])) for j, domain in enumerate(domains)])
    np.testing.assert_array_equal(space.encode(configs), wanted)


def test_columns_of_other_branches_are_no_matter():
    branch = Choice([{"kind": "a", "x": Float(0, 1), "y": Float(0, 1)}, {"kind": "b", "z": Float(0, 1)}])
    space = Space({"branch": branch, "w": Float(0, 1)})
    unit = np.array([[0.1, 0.2, 0.3, np.nan, 0.4], [0.9, np.nan, np.nan, 0.6, 0.7]])
    configs = space.decode(unit)
    assert configs[0] == {"branch": {"kind": "a", "x": 0.2, "y": 0.3}, "w": 0.4}
    assert configs[1] == {"branch": {"kind": "b", "z": 0.6}, "w": 0.7}
    np.testing.assert_array_equal(np.isnan(space.encode(configs)), np.isnan(unit))
