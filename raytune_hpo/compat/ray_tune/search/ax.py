"""AxSearch, by the sampler ``gp``, with constraints on parameters and on results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.compat.ray_tune.search.searcher import Searcher

_TERM = re.compile(r"^(?:(?P<factor>[0-9.eE+-]+)\s*\*\s*)?(?P<name>[A-Za-z_]\w*)$")


class AxSearch(Searcher):
    """Bayesian optimisation with a Gaussian process.

    Args:
        space: a list of Ax's parameters as dicts, or a Ray Tune space; None: ``param_space``.
        metric, mode: of the experiment, if TuneConfig has none.
        points_to_evaluate: configurations to try first.
        parameter_constraints: linear ones, such as ``"x1 + 2*x2 <= 2.0"`` or ``"x1 <= x2"``.
        outcome_constraints: bounds on metrics of results, such as ``"l2norm <= 1.25"``.
        ax_client: not supported.
        ax_kwargs: have no effect, with a warning.

    Raises:
        NotCarried: an ``ax_client`` is given.
        ValueError: a constraint cannot be parsed.
    """

    def __init__(
        self,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        parameter_constraints: Sequence[str] | None = None,
        outcome_constraints: Sequence[str] | None = None,
        ax_client: Any = None,
        **ax_kwargs: Any,
    ) -> None:
        super().__init__(metric, mode)
        if ax_client is not None:
            raise NotCarried("an AxClient has its own experiment, which cannot be taken over; give its space as space=")
        listed = isinstance(space, Sequence) and not isinstance(space, str)
        self._take(_listed(space) if listed else space, points_to_evaluate)
        self.constraints = [Linear.read(text) for text in parameter_constraints or ()]
        self.outcome_constraints = list(outcome_constraints or ())
        warn_of_idle("AxSearch", **{name: (value, None) for name, value in ax_kwargs.items()})

    def sampler(self, num_goals: int) -> Any:
        """``gp``."""
        return "gp"


@dataclass(frozen=True)
class Linear:
    """A linear constraint on a configuration: the sum of ``factors`` times parameters is at most ``bound``."""

    factors: tuple[tuple[str, float], ...]
    bound: float

    @classmethod
    def read(cls, text: str) -> Linear:
        """The constraint parsed from text such as ``"x1 + 2*x2 <= 2.0"``.

        Raises:
            ValueError: it is not a linear constraint.
        """
        left, sign, right = re.split(r"(<=|>=)", text) if re.search(r"<=|>=", text) else ("", "", "")
        way = 1.0 if sign == "<=" else -1.0
        factors, bound = _terms(left, way, text)
        more, moved = _terms(right, -way, text)
        if not factors and not more:
            raise ValueError(f"a parameter constraint is linear, such as 'x1 + 2*x2 <= 2.0', got {text!r}")
        return cls((*factors, *more), -bound - moved)

    def __call__(self, config: Mapping[str, Any]) -> bool:
        """Whether a configuration keeps it."""
        return bool(sum(factor * config[name] for name, factor in self.factors) <= self.bound + 1e-12)


def _terms(side: str, way: float, text: str) -> tuple[list[tuple[str, float]], float]:
    """The parameters of one side with their factors, and the sum of its constants; both multiplied by ``way``."""
    factors, constant = [], 0.0
    for term in re.findall(r"[+-]?\s*[^+\-\s][^+\-]*", re.sub(r"([eE])-", r"\1~", side)):
        term = term.replace("~", "-")
        sign = -way if term.strip().startswith("-") else way
        bare = term.strip().lstrip("+-").strip()
        match = _TERM.match(bare)
        try:
            if match is None:
                constant += sign * float(bare)
            else:
                factors.append((match["name"], sign * float(match["factor"] or 1.0)))
        except ValueError as error:
            raise ValueError(f"a parameter constraint is linear, such as 'x1 + 2*x2 <= 2.0', got {text!r}") from error
    return factors, constant


def _listed(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Ax's parameters as a space of this package."""
    from raytune_hpo.space import Choice, Float, Int, Ordinal

    space: dict[str, Any] = {}
    for parameter in parameters:
        name, kind = parameter["name"], parameter["type"]
        if kind == "range":
            low, high = parameter["bounds"]
            log = bool(parameter.get("log_scale"))
            is_whole = parameter.get("value_type") == "int" or (isinstance(low, int) and isinstance(high, int))
            space[name] = Int(low, high, log=log) if is_whole else Float(low, high, log=log)
        elif kind == "choice":
            values = list(parameter["values"])
            space[name] = Ordinal(values) if parameter.get("is_ordered") and len(values) > 1 else Choice(values)
        elif kind == "fixed":
            space[name] = parameter["value"]
        else:
            raise ValueError(f"a parameter of Ax is of type 'range', 'choice' or 'fixed', got {kind!r} for {name!r}")
    return space
