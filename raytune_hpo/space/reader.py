"""Reader: turns nested dicts and lists of constants and domains, ours and other libraries', into a space's tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.choices import Choice
from raytune_hpo.space.constructors import grid_search
from raytune_hpo.space.dialects import Foreign, Labelled, translate
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.functions import Function, Lifted, SampleFrom
from raytune_hpo.space.numeric import Int
from raytune_hpo.space.priors import Prior
from raytune_hpo.space.repeats import Repeat
from raytune_hpo.space.stored import check_storable
from raytune_hpo.space.tree import Branch, Const, Derived, Gated, Leaf, Node, Record, Series
from raytune_hpo.space.values import fresh, plain, show

_DEEPEST = 100  # a deeper tree would exceed Python's recursion limit

Path = tuple[str | int, ...]
Options = tuple[tuple[Path, int], ...]  # the choices on the path to a part, and the option of each that it is in


@dataclass
class Reader:
    """Reads one space.

    Attributes:
        constraints: those that came with parts of the space.
        name: the name of the column at the root, if a whole configuration is chosen among several.
    """

    constraints: list[Function] = field(default_factory=list)
    name: str = "config"
    _labels: dict[str, list[Options]] = field(default_factory=dict)

    def root(self, space: Any) -> Node:
        """The tree of a whole space.

        Raises:
            SpaceError: it is not a dict, or some part of it breaks a rule.
        """
        try:
            node = self.read(space, ())
        except RecursionError:  # constants, which have no path of their own, or a list that holds itself
            raise _too_deep(()) from None
        if isinstance(node, (Record, Gated)) or (isinstance(node, Branch) and _yields_dicts(node)):
            if node == Record(()):
                raise SpaceError("a space needs at least one entry, got {}; give it a parameter or a constant")
            return node
        raise SpaceError(f'a space is a dict of names and domains, got {show(space)}; write {{"x": ...}}')

    def read(self, thing: Any, path: Path, options: Options = ()) -> Node:
        """The tree of a part of a space.

        Args:
            path: the keys that lead to it; positions in lists and options of choices are keys too.
        """
        if len(path) > _DEEPEST:
            raise _too_deep(path)
        thing = _translated(thing, path)
        if isinstance(thing, Labelled):
            self._claim(thing.label, path, options)
            thing = thing.thing
        if isinstance(thing, Foreign):
            return self._read_foreign(thing, path, options)
        if isinstance(thing, Choice):
            return self._read_choice(thing, path, options)
        if isinstance(thing, Domain):
            return Leaf(thing)
        if isinstance(thing, SampleFrom):
            return Derived(thing.function)
        if isinstance(thing, Prior):
            way_out = "Float(lo, hi, prior=...); hpo.randn(mean, sd) is a parameter without bounds"
            raise SpaceError(f"a prior is a belief about a parameter, got {thing!r} at {_name(path)}; write {way_out}")
        if isinstance(thing, Repeat):
            blocks = tuple(self.read(thing.block, (*path, i), options) for i in range(thing.high))
            return Series(blocks, length=Int(thing.low, thing.high))
        if isinstance(thing, Mapping) and (not path or holds_domains(thing)):
            items = _checked(thing, path).items()
            return Record(tuple((key, self.read(item, (*path, key), options)) for key, item in items))
        if isinstance(thing, (list, tuple)) and holds_domains(thing):
            return self._read_series(thing, path, options)
        value = fresh(plain(thing))  # what its user writes into it later belongs to no study
        check_storable(value, f"parameter {_name(path)}")
        return Const(value)

    def _claim(self, label: str, path: Path, options: Options) -> None:
        """Record where a label is used: it may be used again only in another option of a choice around it."""
        if not path:
            self.name = label
        for before in self._labels.setdefault(label, []):
            if not any(dict(options).get(choice, option) != option for choice, option in before):
                raise SpaceError(
                    f"label {label!r} stands in two places that are active together, {_name(path)} is the second; "
                    f"give each a label of its own, or derive one from the other with sample_from"
                )
        self._labels[label].append(options)

    def _read_foreign(self, foreign: Foreign, path: Path, options: Options) -> Node:
        if foreign.constraints and options:
            raise SpaceError(
                f"constraints of a space inside a choice cannot be checked on whole configurations: "
                f"{_name(path)}; state them with Space(..., constraints=[...])"
            )
        self.constraints += [Lifted(function, path) if path else function for function in foreign.constraints]
        return foreign.root

    def _read_choice(self, choice: Choice, path: Path, outer: Options) -> Node:
        pairs = enumerate(choice.options)
        options = [self.read(option, (*path, i), (*outer, (path, i))) for i, option in pairs]
        # Lists and dicts are copied for each configuration, like branches; other constants need no subtree.
        if all(isinstance(option, Const) and option.is_shared for option in options):
            return Leaf(choice)
        return Branch(choice, tuple(options))

    def _read_series(self, thing: list[Any] | tuple[Any, ...], path: Path, options: Options) -> Series:
        items = [self.read(item, (*path, i), options) for i, item in enumerate(thing)]
        # A derived value is inserted afterwards, which a tuple does not allow.
        return Series(tuple(items), isinstance(thing, tuple) and not any(isinstance(i, Derived) for i in items))


def _too_deep(path: Path) -> SpaceError:
    where = f", {_name((*path[:6], '...'))} goes deeper" if path else ", this one holds lists or dicts that go deeper"
    return SpaceError(f"a space may be nested {_DEEPEST} deep, options of choices included{where}; flatten it")


def _name(path: Path) -> str:
    return repr("/".join(map(str, path)))


def _translated(thing: Any, path: Path) -> Any:
    """The thing translated from its library's dialect; an error names the parameter."""
    if isinstance(thing, dict) and thing.keys() == {"grid_search"} and _is_listing(thing["grid_search"]):
        translation: Callable[[Any], Any] = lambda grid: grid_search(grid["grid_search"])  # noqa: E731
    else:
        translation = translate
    try:
        return translation(thing)
    except SpaceError as error:
        if not path:
            raise
        raise SpaceError(f"parameter {_name(path)}: {error}") from error


def _is_listing(thing: Any) -> bool:
    """Whether it can only be the values of a grid: any iterable but a text, a dict or a domain."""
    return isinstance(thing, Iterable) and not isinstance(thing, (str, bytes, Mapping)) and translate(thing) is thing


def holds_domains(thing: Any) -> bool:
    """Whether it contains anything but constants."""
    if isinstance(thing, Mapping):
        return thing.keys() == {"grid_search"} or any(map(holds_domains, thing.values()))
    if isinstance(thing, (list, tuple)):
        return any(map(holds_domains, thing))
    return isinstance(thing, (Domain, SampleFrom, Repeat)) or translate(thing) is not thing


def holds_derived(thing: Any) -> bool:
    """Whether it contains a ``sample_from``."""
    if isinstance(thing, Mapping):
        return any(map(holds_derived, thing.values()))
    if isinstance(thing, (list, tuple)):
        return any(map(holds_derived, thing))
    if isinstance(thing, Repeat):
        return holds_derived(thing.block)
    if isinstance(translated := translate(thing), Choice):
        return any(map(holds_derived, translated.options))
    return isinstance(translated, SampleFrom)


def _checked(thing: Mapping[Any, Any], path: Path) -> Mapping[str, Any]:
    """The dict, after checking that its keys can be part of parameter names."""
    for key in thing:
        # Keys that begin with "$" are reserved for the journal.
        if not isinstance(key, str) or not key or "/" in key or key.startswith("$"):
            where = f"in {_name(path)}" if path else "in the space"
            raise SpaceError(
                f'keys {where} must be strings that are not empty, have no "/" and do not begin with "$", got {show(key)}'
            )
    return thing


def _yields_dicts(node: Node) -> bool:
    if isinstance(node, Branch):
        return all(map(_yields_dicts, node.options))
    return isinstance(node, (Record, Gated)) or (isinstance(node, Const) and isinstance(node.value, dict))
