"""Space: the set of all configurations that may be tried, and their prior distribution."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.numerics.beliefs import Beliefs
from raytune_hpo.rng import derive
from raytune_hpo.space import counting
from raytune_hpo.space.beliefs import beliefs_of, without_beliefs
from raytune_hpo.space.candidates import Listing, MissingListing, records
from raytune_hpo.space.coding import Coding
from raytune_hpo.space.derived import discretised, unnumbered, without_functions
from raytune_hpo.space.drawing import drawn
from raytune_hpo.space.encoding import Decoder, Encoder, active_columns
from raytune_hpo.space.flat import flat
from raytune_hpo.space.functions import Function, function_to_json, name_of
from raytune_hpo.space.jsonform import VERSION, derived_functions, function_from_json, node_from_json, node_to_json
from raytune_hpo.space.packing import Packer, chosen
from raytune_hpo.space.points import Completer
from raytune_hpo.space.reader import Reader
from raytune_hpo.space.tree import Column, Node, number_columns
from raytune_hpo.space.validation import problem
from raytune_hpo.space.values import fresh, show

_DRAWS_PER_FEASIBLE = 10_000  # fewer than one feasible draw in this many counts as none
_UNLUCKY = 3  # so many times as many draws without any show it at 95% (Hanley and Lippman-Hand 1983: the rule of three)
_BATCH = 4096


class Space:
    """A search space; immutable.

    Args:
        domains: a dict of constants and domains, nested in dicts, lists and choices, up to 100 deep; domains of
            ``ray.tune``, hyperopt, Optuna, ConfigSpace and ``scipy.stats`` may stand anywhere, and their whole spaces
            may be given as they are.
        constraints: functions of a configuration that say whether it is feasible.
        candidates: the only configurations that may be tried, as a list of dicts or a pandas DataFrame; None: all that
            the domains allow. A space with candidates is finite: coordinates stand for the nearest of them.

    Attributes:
        root: the tree, see ``raytune_hpo.space.tree``.
        columns: one per parameter, those of all branches; column j of the unit cube is ``columns[j]``.
        constraints: those given, and those that came with a foreign space.
        listing: the candidates; None without.
        prior_weight: the weight of its domains' priors, see ``weighed``.
        features: a function of a configuration whose numbers models may use, see ``featured``; None without.

    Raises:
        SpaceError: a parameter breaks a rule; the message has the parameter, the rule, and the value.
    """

    root: Node
    columns: tuple[Column, ...]
    constraints: tuple[Function, ...]
    listing: Listing | MissingListing | None
    prior_weight: float
    features: Function | None
    _name: str

    def __init__(
        self,
        domains: Any,
        constraints: Sequence[Callable[[dict[str, Any]], bool]] = (),
        candidates: Any = None,
    ) -> None:
        reader = Reader()
        root = reader.root(domains)
        self._set(root, (*reader.constraints, *_callables(constraints)), reader.name)
        if candidates is not None:
            self.__dict__["listing"] = self._listed(records(candidates))

    @staticmethod
    def of(space_like: Any) -> Space:
        """The Space for a dict or another library's space; a Space is returned unchanged."""
        return space_like if isinstance(space_like, Space) else Space(space_like)

    @classmethod
    def _made(cls, root: Node, constraints: Sequence[Function], name: str) -> Space:
        space = object.__new__(cls)
        space._set(root, tuple(constraints), name)
        return space

    def _set(self, root: Node, constraints: tuple[Function, ...], name: str) -> None:
        numbered, columns = number_columns(root, name)
        # Through __dict__, since a Space refuses to be changed.
        self.__dict__.update(root=numbered, columns=columns, constraints=constraints, _name=name)
        self.__dict__.update(listing=None, prior_weight=1.0, features=None)

    def _listed(self, configs: list[dict[str, Any]]) -> Listing:
        """The feasible ones of the candidates.

        Raises:
            SpaceError: one lies outside the domains, or two are the same.
        """
        for config in configs:
            self._check_shape(config)
        feasible = [config for config, fits in zip(configs, self.is_feasible(configs), strict=True) if fits]
        return Listing(feasible, self.encode(feasible))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Space cannot be changed, got {name}={show(value)}; make another one")

    # -------------------------------------------------------------------------------------------- what it is like

    @property
    def num_columns(self) -> int:
        """How many parameters there are in all branches together: the width of the unit cube."""
        return len(self.columns)

    @cached_property
    def is_conditional(self) -> bool:
        """Whether some parameters exist only in some configurations."""
        return any(column.condition is not None for column in self.columns)

    @cached_property
    def coding(self) -> Coding:
        """Which columns can be encoded and decoded together."""
        return Coding([column.domain for column in self.columns])

    @property
    def has_constraints(self) -> bool:
        """Whether some configurations are not feasible."""
        return bool(self.constraints)

    @property
    def has_derived(self) -> bool:
        """Whether it has values of ``sample_from``."""
        return any(True for _ in derived_functions(self.root))

    @property
    def plain(self) -> bool:
        """Whether all values it can yield are JSON values, so that packing has nothing to do."""
        return self.root.is_plain

    @cached_property
    def cardinality(self) -> int | None:
        """How many different configurations there are, feasible or not; None if infinitely many."""
        return counting.count(self.root) if self.listing is None else len(self.listing)

    @property
    def candidates(self) -> Listing | None:
        """The only configurations that may be tried; None if the domains alone define them.

        Raises:
            SpaceError: this space was read from a journal, which has only a digest of its candidates.
        """
        if isinstance(self.listing, MissingListing):
            raise SpaceError(
                f"this space was stored, and its {len(self.listing)} candidates were not; give the study its space again"
            )
        return self.listing

    # -------------------------------------------------------------------------------------------- what is believed of it

    @cached_property
    def beliefs(self) -> Beliefs:
        """The beliefs about where good configurations lie: the priors of numbers, and the weights of options."""
        return beliefs_of([column.domain for column in self.columns], self.prior_weight)

    def weighed(self, prior_weight: float) -> Space:
        """This space with another weight of its beliefs: 1 as they are, less or more; 0 removes priors and weights."""
        if prior_weight == self.prior_weight or not self.beliefs:
            return self
        root = unnumbered(self.root)
        space = Space._made(root if prior_weight else without_beliefs(root), self.constraints, self._name)
        space.__dict__.update(listing=self.listing, prior_weight=prior_weight or 1.0, features=self.features)
        if isinstance(self.listing, Listing):  # weights are part of coordinates
            space.__dict__["listing"] = Listing(self.listing.configs, space.encode(self.listing.configs))
        return space

    def featured(self, features: Function | None) -> Space:
        """This space with a feature function: it returns a dict of numbers for a configuration, with the same keys for each,
        as further inputs of models. It must depend on nothing but the configuration.
        """
        space = Space._made(unnumbered(self.root), self.constraints, self._name)
        space.__dict__.update(listing=self.listing, prior_weight=self.prior_weight, features=features)
        return space

    def __repr__(self) -> str:
        columns = ", ".join(column.name for column in self.columns[:8])
        more = f", ... {self.num_columns} in all" if self.num_columns > 8 else ""
        return f"<Space of {columns or 'constants'}{more}>"

    # -------------------------------------------------------------------------------------------- configurations

    def sample(self, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        """n independent feasible configurations from the prior.

        Raises:
            SpaceError: hardly any is feasible (fewer than one in 10,000); names the constraint that refuses most.
        """
        if (listing := self.candidates) is not None:
            return [listing.config(i) for i in rng.integers(len(listing), size=n).tolist()]
        if not self.constraints:
            return [
                dict(self.drawn(c, rng)) if not self.plain else c
                for c in self.decode(self.beliefs.drawn(rng.random((n, self.num_columns))))
            ]
        found = list(islice(self.feasible_draws(n, rng), n))
        return found if self.plain else [drawn(config, rng) for config in found]

    def feasible_draws(self, size: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
        """Feasible configurations from the prior, without end: first those of ``sample(size, rng)``, then more.

        Each is searched for when it is asked for: constraints may be slow, and so are not asked about more configurations
        than needed. Domains in derived values are not drawn.

        Args:
            size: how many are drawn at first.

        Raises:
            SpaceError: as ``sample``.
        """
        found = num_drawn = 0
        while True:
            batch = self.decode(self.beliefs.drawn(rng.random((size, self.num_columns))))
            for config in batch:
                if all(_holds(f, config) for f in self.constraints):
                    found += 1
                    yield config
            num_drawn += size
            if num_drawn >= _DRAWS_PER_FEASIBLE * (found + _UNLUCKY):
                raise self._hardly_feasible(batch, found, num_drawn)
            size = min(2 * size, _BATCH)

    def _hardly_feasible(self, configs: Sequence[dict[str, Any]], found: int, drawn: int) -> SpaceError:
        return SpaceError(
            f"a space needs at least one feasible configuration in {_DRAWS_PER_FEASIBLE} draws, found {found} in "
            f"{drawn}; {self.refusals(configs)}"
        )

    def refusals(self, configs: Sequence[Mapping[str, Any]]) -> str:
        """Which constraint refuses most of these configurations, in words for an error, with the way out."""
        counts = Counter({name_of(f): sum(not _holds(f, config) for config in configs) for f in self.constraints})
        name, refused = counts.most_common(1)[0]
        return f"constraint {name!r} refused {refused} of the last {len(configs)}; narrow the domains to fit it"

    def decode(self, unit: Array) -> list[dict[str, Any]]:
        """Coordinates in the unit cube as configurations of plain Python values.

        Args:
            unit: (n, d) in [0, 1], clipped to it. Columns that are not active are ignored, and may be NaN.

        Raises:
            SpaceError: another width, or NaN in an active column.
        """
        unit = np.asarray(unit, dtype=np.float64)
        if unit.ndim != 2 or unit.shape[1] != self.num_columns:
            raise SpaceError(f"unit coordinates of this space have shape (n, {self.num_columns}), got {unit.shape}")
        if (listing := self.candidates) is not None:
            return [listing.config(i) for i in listing.nearest(np.where(self.active(unit), unit, np.nan)).tolist()]
        return Decoder(self.columns, self.coding, unit).configs(self.root)

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> Array:
        """Configurations as coordinates in the unit cube, (n, d); NaN where a parameter is not active.

        ``decode(encode(c))`` is c, exactly, for every configuration that was decoded. For others, this holds for listed,
        whole and quantised values; a continuous value comes back to within 2**-52 of its range (of its logarithm's), and
        from then on exactly. Numbers outside a domain encode to its nearest end.

        Raises:
            SpaceError: a configuration that does not have this space's shape.
        """
        if not configs:  # of pending trials, often
            return np.empty((0, self.num_columns))
        encoder = Encoder(len(configs), self.coding)
        try:
            unit = encoder.unit(self.root, configs)
        except (SpaceError, LookupError, TypeError, ValueError):
            for config in configs:  # say which parameter of which configuration it is
                self._check_shape(config)
            raise
        return unit

    def active(self, unit: Array) -> Array:
        """Where each column is active, (n, d) of bool, given coordinates (n, d)."""
        return active_columns(self.columns, np.asarray(unit, dtype=np.float64))

    def is_feasible(self, configs: Sequence[Mapping[str, Any]]) -> Array:
        """Which configurations meet all constraints, (n,) of bool.

        Raises:
            SpaceError: a constraint raised; names it and shows the configuration.
        """
        if not self.constraints:
            return np.ones(len(configs), dtype=bool)
        return np.array([all(_holds(f, config) for f in self.constraints) for config in configs], dtype=bool)

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse a configuration that is not in the space.

        Raises:
            SpaceError: a parameter is missing, unknown, out of range, of a wrong type, off its grid, or another constant; or
                a constraint is broken. The message has the parameter, the rule and the value, or the constraint.
        """
        self._check_shape(config)
        for constraint in self.constraints:
            if not _holds(constraint, config):
                raise SpaceError(f"constraint {name_of(constraint)!r} must hold, got {show(dict(config))}")
        if (listing := self.candidates) is not None and listing.positions(self.encode([config]))[0] < 0:
            raise SpaceError(f"a configuration must be one of the {len(listing)} candidates, got {show(dict(config))}")

    def complete(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Complete a point from a user to the configuration that a trial gets.

        Constants and derived values are filled in where the point leaves them out; a derived value that it names is kept.
        Numbers of numpy become Python's, and a list is taken for the tuple that it equals.

        Raises:
            SpaceError: as ``check``; a value that a stored study could not keep; a dict that fits several options.
        """
        config: dict[str, Any] = Completer().config(self.root, point)
        self.check(config)
        if self.plain:
            return config
        # What is drawn for a point depends on nothing but the point.
        digest = hashlib.blake2b(self.encode([config]).tobytes(), digest_size=8).digest()
        return drawn(config, derive(int.from_bytes(digest, "little") >> 1, "point"))

    def drawn(self, config: Mapping[str, Any], rng: np.random.Generator) -> Mapping[str, Any]:
        """A decoded configuration, with domains in its derived values replaced by draws; usually the same object."""
        return config if self.plain else drawn(dict(config), rng)

    def _check_shape(self, config: Mapping[str, Any]) -> None:
        if broken := problem(self.root, config):
            raise SpaceError(broken)

    # -------------------------------------------------------------------------------------------- numbering

    def at(self, index: int) -> dict[str, Any]:
        """Configuration number ``index`` of a finite space, in the order of ``itertools.product``: the last entry of
        the space runs fastest; the options of a choice follow each other, each with everything below it.

        Raises:
            SpaceError: the space is infinite, or the index is not in [0, cardinality).
        """
        size = self._finite()
        if not 0 <= index < size:
            raise SpaceError(f"this space has configurations 0 to {size - 1}, got {index}")
        if (listing := self.candidates) is not None:
            return listing.config(index)
        place: counting.Place = {}
        counting.place_of(self.root, index, place)
        unit = np.full((1, self.num_columns), np.nan)
        for column, position in place.items():
            domain = self.columns[column].domain
            unit[0, column] = domain.unit_at(position)
        return self.decode(unit)[0]

    def index_of(self, config: Mapping[str, Any]) -> int:
        """The number of a configuration of a finite space: the inverse of ``at``.

        Raises:
            SpaceError: the space is infinite, or the configuration is not in it.
        """
        self._finite()
        self._check_shape(config)
        unit = self.encode([config])[0]
        if (listing := self.candidates) is not None:
            self.check(config)
            return int(listing.positions(unit[None, :])[0])
        active = np.flatnonzero(~np.isnan(unit)).tolist()
        place = {column: self.columns[column].domain.position_at(unit[column]) for column in active}
        return counting.index_at(self.root, place)

    def _finite(self) -> int:
        if self.cardinality is None:
            endless = next(column.name for column in self.columns if column.domain.size is None)
            raise SpaceError(f"only a finite space can be numbered, {endless!r} is continuous; use discretised(points)")
        return self.cardinality

    def discretised(self, points: int) -> Space:
        """This space with every infinite domain replaced by an Ordinal of ``points`` quantiles.

        Bounded domains keep both ends; log domains are spaced in the logarithm. Finite domains stay as they are.
        """
        if points < 1:
            raise SpaceError(f"a domain is replaced by at least one point, got points={points}")
        if self.listing is not None:
            return self  # finite already
        return Space._made(discretised(unnumbered(self.root), points), self.constraints, self._name)

    def restricted(self, candidates: Any) -> Space:
        """This space with these configurations as the only ones that may be tried.

        Raises:
            SpaceError: one lies outside the domains, or two are the same.
        """
        space = self.featured(self.features)
        space.__dict__["listing"] = space._listed(records(candidates))
        return space

    # -------------------------------------------------------------------------------------------- other forms

    def flatten(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The active parameters by the names of their columns, for tables.

        A choice among dicts shows the option's name, as it stands in the names of the columns below it.
        """
        return {self.columns[column].name: value for column, value in flat(self.root, config)}

    def pack(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The configuration as JSON values; the same object where the space is plain.

        Options that JSON cannot carry (classes, functions, tuples) travel as ``{"$option": position}``, derived values in
        the form of ``raytune_hpo.space.stored``.
        """
        packed: Mapping[str, Any] = config if self.plain else self._packer.pack(self.root, config)
        return packed

    def unpack(self, packed: Mapping[str, Any]) -> Mapping[str, Any]:
        """The configuration that was packed; the same object where the space is plain.

        A derived value is what it was when it was packed; if it cannot be stored, other processes get a stand-in.
        """
        config: Mapping[str, Any] = packed if self.plain else self._packer.unpack(self.root, packed)
        return config

    @cached_property
    def _packer(self) -> Packer:
        return Packer({})

    def __getstate__(self) -> dict[str, Any]:
        # What is live is so here only, and tables are large.
        left_out = ("_packer", "beliefs", "coding")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def to_send(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """A configuration for another process with this space: options whose copies would not match become positions."""
        sent: Mapping[str, Any] = config if self.plain else Packer(None).pack(self.root, config)
        return sent

    def received(self, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        """The configuration that another process gave to ``to_send``, of this space's own options."""
        config: Mapping[str, Any] = sent if self.plain else Packer(None).unpack(self.root, sent)
        return config

    def without_functions(self) -> Space:
        """This space with None for every derived value. A space with constraints stays: they may read these values."""
        if self.constraints or self.plain:
            return self
        space = Space._made(without_functions(unnumbered(self.root)), (), self._name)
        space.__dict__.update(listing=self.listing, prior_weight=self.prior_weight, features=self.features)
        return space

    def chosen(self, packed: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parts of a packed configuration that a sampler chose: without derived values."""
        parts: Mapping[str, Any] = packed if self.plain else chosen(self.root, packed)
        return parts

    def to_json(self) -> dict[str, Any]:
        """A JSON form that is equal for equal spaces. Functions and candidates are in it by name and digest."""
        more: dict[str, Any] = {} if self.listing is None else {"candidates": self.listing.to_json()}
        if self.prior_weight != 1:
            more["prior_weight"] = self.prior_weight
        if self.features is not None:
            more["features"] = function_to_json(self.features)
        return {
            "version": VERSION,
            "name": self._name,
            "root": node_to_json(self.root),
            "constraints": [function_to_json(function) for function in self.constraints],
            **more,
        }

    @property
    def functions(self) -> dict[str, dict[str, str]]:
        """The functions of the space as its JSON form has them, by what a message calls them."""
        derived = {f"sample_from at {name!r}": function for name, function in derived_functions(self.root)}
        forms = [function_to_json(constraint) for constraint in self.constraints]
        if self.features is not None:
            derived["features"] = function_to_json(self.features)
        return derived | {f"constraint {form['function']!r} (number {i})": form for i, form in enumerate(forms)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """The space of a JSON form.

        Functions, candidates and objects that JSON cannot hold are replaced by stand-ins, which raise SpaceError when they
        are used.

        Raises:
            SpaceError: it is not the JSON form of a space, or a newer form.
        """
        if not isinstance(data, Mapping) or data.get("version") != VERSION:
            raise SpaceError(f"the JSON of a space must be of version {VERSION}, got {show(data)}")
        constraints = [function_from_json(function) for function in data["constraints"]]
        space = cls._made(node_from_json(data["root"]), constraints, data["name"])
        if "candidates" in data:
            space.__dict__["listing"] = MissingListing(data["candidates"])
        features = function_from_json(data["features"]) if "features" in data else None
        space.__dict__.update(prior_weight=data.get("prior_weight", 1.0), features=features)
        return space

    @cached_property
    def _identity(self) -> str:
        return json.dumps(self.to_json(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return self._identity == other._identity if isinstance(other, Space) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity)


def _callables(constraints: Sequence[Function]) -> tuple[Function, ...]:
    if callable(constraints):
        raise SpaceError("constraints come as a list, got one function; write constraints=[f]")
    for constraint in constraints:
        if not callable(constraint):
            raise SpaceError(f"a constraint is a function of the configuration, got {show(constraint)}")
    return tuple(constraints)


def _holds(constraint: Function, config: Mapping[str, Any]) -> bool:
    try:
        return bool(constraint(fresh(config)))  # a copy, for functions that write into what they are given
    except SpaceError:
        raise
    except Exception as error:
        raise SpaceError(
            f"a constraint must answer for every configuration, {name_of(constraint)!r} raised {error!r} "
            f"for {show(dict(config))}"
        ) from error
