"""The contract of domains: rules that every domain must keep."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.rng import derive
from raytune_hpo.space import Domain, Space
from raytune_hpo.space.jsonform import domain_from_json
from raytune_hpo.testing.cases import case
from raytune_hpo.testing.trials import SEED

_DRAWN = 200  # coordinates
_MANY = 20_000  # for round trips: some go wrong at one value in thousands
_MOST_LISTED = 1000  # positions of a finite domain


def domain_cases(domain: Domain) -> dict[str, Callable[[], None]]:
    """Every check of a domain that applies to it, by name; those of positions and cells are for finite ones."""
    checks = [check_round_trip, check_plain_values, check_values_fit, check_json_form]
    if domain.size is not None:
        checks += [check_positions, check_cells]
    return {check.__name__.removeprefix("check_"): case(check, domain) for check in checks}


def check_round_trip(domain: Domain) -> None:
    """Decoded values encode to coordinates in [0, 1] that decode to exactly the same values."""
    values = domain.decode(np.concatenate([_coordinates(_MANY), _near_the_ends()]))
    unit = domain.encode(values)
    assert unit.shape == (len(values),), "one coordinate for each value"
    assert ((unit >= 0) & (unit <= 1)).all(), "coordinates lie in [0, 1]"
    for v, w in zip(values, domain.decode(unit), strict=True):
        assert v == w, f"{v!r} came back as {w!r}; see settle in docs/how-to/own-domain.md"


def check_plain_values(domain: Domain) -> None:
    """Values are Python's, never numpy's."""
    for value in domain.decode(_coordinates()):
        assert not isinstance(value, np.generic), f"values are plain Python values, got {value!r}"


def check_values_fit(domain: Domain) -> None:
    """Every decoded value passes the domain's own check."""
    for value in domain.decode(_coordinates()):
        assert domain.problem(value) is None, f"{value!r} was decoded, and is refused: {domain.problem(value)}"


def check_json_form(domain: Domain) -> None:
    """The JSON form makes an equal domain, even if its class cannot be imported by name."""
    arguments = json.loads(json.dumps(domain.to_json()))
    again = type(domain).from_json(arguments) if ":" in domain.kind else domain_from_json(domain.kind, arguments)
    assert again.to_json() == arguments, f"from_json takes what to_json says, {arguments}; it made {again.to_json()}"
    assert Space({"x": again}) == Space({"x": domain}), (
        f"the JSON form makes an equal domain, {again!r} is not {domain!r}"
    )
    assert again.size == domain.size, f"the JSON form makes one of the same size, {domain.size}, got {again.size}"


def check_positions(domain: Domain) -> None:
    """``nth`` and ``index_of`` are inverse to each other, and no value occurs twice."""
    values = [domain.nth(position) for position in _positions(domain)]
    for position, value in zip(_positions(domain), values, strict=True):
        found = domain.index_of(value)
        assert found == position, f"index_of undoes nth: nth({position}) is {value!r}, its index_of is {found}"
    assert len(set(map(repr, values))) == len(values), "every position has a value of its own"


def check_cells(domain: Domain) -> None:
    """Every value of a finite domain has a coordinate that decodes to it, and 0 and 1 decode to some value."""
    for position in _positions(domain):
        unit = domain.unit_at(position)
        found = domain.position_at(unit)
        assert found == position, f"the value at {position} stands at {unit}, where the one at {found} is decoded"
    ends = domain.decode(np.array([0.0, 1.0]))
    assert len(ends) == 2, f"0 and 1 decode to a value each, got {ends}"


def _coordinates(num: int = _DRAWN) -> Array:
    return np.concatenate([[0.0, 0.5, 1.0], derive(SEED, "domain").random(num)])


def _near_the_ends() -> Array:
    """Coordinates at every distance from 0 and 1, where a round trip through log or exp fails first."""
    small = np.ldexp(derive(SEED, "ends").random(_DRAWN * 10) + 1, -derive(SEED, "scales").integers(2, 54, _DRAWN * 10))
    return np.concatenate([small, 1 - small])


def _positions(domain: Domain) -> range:
    assert domain.size is not None, "only finite domains have positions"
    return range(0, domain.size, max(1, domain.size // _MOST_LISTED))
