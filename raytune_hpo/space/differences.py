"""Differences between two spaces, in the words in which a user writes spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from raytune_hpo.space.jsonform import node_from_json
from raytune_hpo.space.stored import from_stored, is_form
from raytune_hpo.space.tree import Leaf
from raytune_hpo.space.values import same, show, stable_repr

_LONGEST = 120  # characters of a value inside a message
NOTHING = "nothing"  # the text of a parameter that a space does not have
_BELIEFS = ("weights", "prior")  # arguments of domains that prior_weight=0 takes away


class Difference(NamedTuple):
    """One difference between two spaces.

    Attributes:
        what: its place as text, like ``"space[lr/hi]"``: names of parameters, then an argument of the domain.
        before, now: the two values as texts.
    """

    what: str
    before: str
    now: str


def first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> Difference | None:
    """The first difference between two JSON forms of spaces, their parameters before everything else; None if equal."""
    nodes = _of_nodes(before["root"], now["root"], "")
    rest = (
        Difference(name, *(text(form.get(name, default)) for form in (before, now)))
        for name, default, text in _BESIDE_PARAMETERS
        if not same(before.get(name, default), now.get(name, default))
    )
    return None if same(before, now) else next(chain(nodes, rest), Difference("space", "another one", "this one"))


def _functions(forms: Sequence[Mapping[str, str]]) -> str:
    return f"[{', '.join(form['function'] for form in forms)}]"


def _candidates(form: Mapping[str, Any] | None) -> str:
    return "None" if form is None else f"<{form['number']} of digest {form['digest']}>"


def _feature_function(form: Mapping[str, str] | None) -> str:
    return "None" if form is None else form["function"]


_BESIDE_PARAMETERS: Sequence[tuple[str, Any, Callable[[Any], str]]] = (
    ("constraints", [], _functions),
    ("candidates", None, _candidates),
    ("features", None, _feature_function),
    ("prior_weight", 1.0, str),
    ("name", None, str),
)


def _of_nodes(before: Any, now: Any, path: str) -> Iterator[Difference]:
    """The differences between two subtrees; ``path`` has the names of the parameters above them."""
    ((kind, old),), ((kind_now, new),) = before.items(), now.items()
    if kind != kind_now:
        yield _difference(path, _text(before), _text(now))
    elif kind == "dict":
        yield from _of_parameters(dict(old), dict(new), path)
    elif kind in ("list", "tuple"):
        yield from _of_lists(old, new, path)
    elif kind == "branch":
        yield from _of_lists(old["options"], new["options"], _below(path, "options"))
        yield from _of_values({**old, "options": None}, {**new, "options": None}, path)
    elif kind == "repeat":
        yield from _of_nodes(old["block"], new["block"], path)
        yield from _of_values({**old, "block": None}, {**new, "block": None}, path)
    else:
        yield from _of_values(old, new, path)


def _of_parameters(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Difference]:
    for key in dict.fromkeys([*new, *old]):
        if key not in old or key not in new:
            yield Difference(
                _place(_below(path, key)), *(_text(side[key]) if key in side else NOTHING for side in (old, new))
            )
        else:
            yield from _of_nodes(old[key], new[key], _below(path, key))
    if list(old) != list(new):  # their order decides which column of a sampler is which
        yield Difference(f"list({_place(path)})", show(list(old)), show(list(new)))


def _of_lists(old: list[Any], new: list[Any], path: str) -> Iterator[Difference]:
    if len(old) != len(new):
        yield Difference(f"len({_place(path)})", str(len(old)), str(len(new)))
    for index, (left, right) in enumerate(zip(old, new, strict=False)):
        yield from _of_nodes(left, right, f"{path}[{index}]")


def _of_values(old: Any, new: Any, path: str) -> Iterator[Difference]:
    """The differences between two arguments of a domain, or two dicts of them."""
    if same(old, new):
        return
    if is_form(old) or is_form(new):
        yield _difference(path, *(_repr(form) for form in (old, new)))
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*new, *old]):
            if key in _BELIEFS and not same(old.get(key), new.get(key)):
                yield _difference(_below(path, key), _belief(old.get(key)), _belief(new.get(key)))
            elif key in old and key in new:
                yield from _of_values(old[key], new[key], _below(path, key))
            else:
                yield _difference(
                    _below(path, key), *(_repr(side[key]) if key in side else NOTHING for side in (old, new))
                )
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _of_values(left, right, f"{path}[{index}]")
    else:
        yield _difference(path, *(_repr(form) for form in (old, new)))


def _belief(form: Any) -> str:
    """Weights or a prior as they are written, like ``Normal(0.5, 0.25)``."""
    if isinstance(form, Mapping) and len(form) == 1:
        ((kind, arguments),) = form.items()
        return f"{kind.capitalize()}({', '.join(map(str, arguments))})"
    return "None (or prior_weight=0)" if form is None else stable_repr(form)


def _difference(path: str, before: str, now: str) -> Difference:
    """A difference whose texts are short, and show where they differ."""
    same_until = next(
        (i for i, (left, right) in enumerate(zip(before, now, strict=False)) if left != right),
        min(len(before), len(now)),
    )
    begin = 0 if same_until < _LONGEST - 20 else same_until - 20
    return Difference(_place(path), *(_part(text, begin) for text in (before, now)))


def _part(text: str, begin: int) -> str:
    end = begin + _LONGEST
    return f"{'...' if begin else ''}{text[begin:end]}{'...' if len(text) > end else ''}"


def _below(path: str, key: object) -> str:
    return f"{path}/{key}" if path else str(key)


def _place(path: str) -> str:
    return f"space[{path}]" if path else "space"


def _text(node: Any) -> str:
    """A subtree as text: a domain with its arguments, a constant's value, or what kind of subtree it is."""
    ((kind, body),) = node.items()
    if kind == "const":
        return _repr(body)
    if kind == "derived":
        return f"sample_from({body['function']})"
    leaf = node_from_json(node)
    if isinstance(leaf, Leaf):
        return stable_repr(leaf.domain)
    return f"a {'choice between dicts' if kind == 'branch' else kind} with parameters"


def _repr(form: Any) -> str:
    return stable_repr(from_stored(form))
