"""The contract of domains: rules that every domain must keep."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.rng import derive
from raytune_hpo.space import Domain, Space
from raytune_hpo.space.domain import Continuous
from raytune_hpo.space.jsonform import domain_from_json
from raytune_hpo.testing.cases import case
from raytune_hpo.testing.trials import SEED

_DRAWN = 200  # coordinates
_MANY = 20_000  # for round trips: some go wrong at one value in thousands
_MOST_LISTED = 1000  # positions of a finite domain
_ABOUT = 1e-6  # as equal as probabilities, or numbers of steps, have to be
_TYPED: tuple[object, ...] = ("text", b"", None, True, 0, -1.5, 2**70, 1e400, float("nan"), 1j, [], {}, (1, 2), int)


def domain_cases(domain: Domain) -> dict[str, Callable[[], None]]:
    """Every check of a domain that applies to it, by name.

    Those of positions and cells are for finite domains, ``below`` is for subclasses of ``Continuous``.
    """
    checks = [
        check_round_trip,
        check_reads_only,
        check_plain_values,
        check_values_fit,
        check_any_value,
        check_scale,
        check_json_form,
    ]
    if domain.size is not None:
        checks += [check_positions, check_cells]
    cases = {check.__name__.removeprefix("check_"): case(check, domain) for check in checks}
    if domain.size is None and isinstance(domain, Continuous):
        cases["below"] = case(check_below, domain)
    return cases


def check_round_trip(domain: Domain) -> None:
    """Decoded values encode to coordinates in [0, 1] that decode to exactly the same values."""
    drawn = np.concatenate([_coordinates(_MANY), _near_the_ends()])
    values = domain.decode(drawn)
    assert len(values) == len(drawn), f"one value for each coordinate, got {len(values)} for {len(drawn)}"
    unit = domain.encode(values)
    assert unit.shape == (len(values),), "one coordinate for each value"
    assert ((unit >= 0) & (unit <= 1)).all(), "coordinates lie in [0, 1]"
    for v, w in zip(values, domain.decode(unit), strict=True):
        assert v == w, f"{v!r} came back as {w!r}; see settle in docs/how-to/own-domain.md"


def check_reads_only(domain: Domain) -> None:
    """``codes``, ``values`` and ``units`` leave the arrays that they are given as they were: a sampler goes on with them."""
    unit = _coordinates()
    codes = domain.codes(unit)
    assert np.array_equal(unit, _coordinates()), "codes changes the coordinates that it is given"
    given = np.array(codes)
    domain.values(codes)
    assert np.array_equal(codes, given), "values changes the codes that it is given"
    domain.units(codes)
    assert np.array_equal(codes, given), "units changes the codes that it is given"


def check_plain_values(domain: Domain) -> None:
    """Values are Python's, never numpy's."""
    for value in domain.decode(_coordinates()):
        assert not isinstance(value, np.generic), f"values are plain Python values, got {value!r}"


def check_values_fit(domain: Domain) -> None:
    """Every decoded value passes the domain's own check."""
    for value in domain.decode(_coordinates()):
        assert domain.problem(value) is None, f"{value!r} was decoded, and is refused: {domain.problem(value)}"


def check_any_value(domain: Domain) -> None:
    """Whatever a user types, ``problem`` says what is wrong with it, or None; it raises nothing."""
    for value in (*_TYPED, object()):
        try:
            said: object = domain.problem(value)
        except Exception as error:
            raise AssertionError(f"problem answers whatever a user types; for {value!r} it raised {error!r}") from error
        assert said is None or isinstance(said, str), (
            f"problem says a rule in words, or None; of {value!r} it says {said!r}"
        )
    assert domain.problem(object()) is not None, "problem refuses what is no value of the domain, it takes any object"


def check_scale(domain: Domain) -> None:
    """What ``bounds``, ``log`` and ``step`` say of the numbers is true of those that are decoded."""
    if domain.options:
        return
    numbers = domain.codes(np.sort(_coordinates()))
    low, high = domain.bounds
    outside = numbers[(numbers < low) | (numbers > high)]
    assert not len(outside), f"numbers lie within bounds, {(low, high)}, got {outside[0]}"
    assert not domain.log or (numbers > 0).all(), f"numbers on a log scale are above 0, got {numbers.min()}"
    if domain.step is not None:
        steps = np.diff(numbers) / domain.step
        assert np.allclose(steps, np.rint(steps), atol=_ABOUT), f"numbers lie whole steps of {domain.step} apart"


def check_below(domain: Continuous) -> None:
    """``below`` is the inverse of ``codes``, since coordinates are probabilities; outside the bounds it is 0 and 1."""
    unit = _coordinates()
    numbers = domain.codes(unit)
    found = domain.below(numbers)
    is_rounded = np.abs(domain.codes(found) - numbers) <= 2 * np.spacing(np.abs(numbers))
    for u, share in zip(unit[~is_rounded], found[~is_rounded], strict=True):
        assert abs(share - u) <= _ABOUT, (
            f"below undoes codes: of the number at {u} it says that {share} of all lie below"
        )
    low, high = domain.bounds
    beyond = np.array([low - max(1.0, abs(low)), high + max(1.0, abs(high))])
    said = domain.below(beyond).tolist()
    assert said == [0, 1], (
        f"no value lies below the bounds, and all lie below what is above; of {beyond} it says {said}"
    )


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
        assert not isinstance(value, np.generic), f"values are plain Python values, got {value!r} from nth({position})"
        found = domain.index_of(value)
        assert found == position, f"index_of undoes nth: nth({position}) is {value!r}, its index_of is {found}"
    assert len(set(map(repr, values))) == len(values), "every position has a value of its own"


def check_cells(domain: Domain) -> None:
    """Each value of a finite domain has a coordinate that decodes to it, in the order of ``nth``; 0 and 1 decode, too."""
    before = 0.0
    for position in _positions(domain):
        unit = domain.unit_at(position)
        found = domain.position_at(unit)
        assert found == position, f"the value at {position} stands at {unit}, where the one at {found} is decoded"
        assert unit > before, f"coordinates are in the order of positions; the value at {position} stands at {unit}"
        before = unit
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
