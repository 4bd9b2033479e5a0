"""Repeats: the objective run again for chosen configurations, with a fresh seed if it takes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from raytune_hpo.rng import derive
from raytune_hpo.space.values import fresh

TRIAL, REPEAT = "trial", "repeat"  # the parameters of a study of repeats
KEYWORDS = ("seed", "repeat")  # parameters by which an objective may take its seed
_STREAM, _SEEDS = "confirm", 2**31


class Repeated:
    """An objective that runs configurations of the search again; repeat ``i`` has the same seed for all of them.

    With common seeds, folds and initialisations are the same for all configurations: their effect on a value is shared and
    cancels in the comparison (common random numbers).

    Args:
        configs: configurations by trial number in the search.
        keyword: the parameter by which the objective takes the seed; None: it takes none.
        seed: the seed from which the repeats' seeds are derived.
        avoid: the seed that the search used, if known.
    """

    def __init__(
        self,
        objective: Callable[..., Any],
        configs: Mapping[int, Mapping[str, Any]],
        *,
        keyword: str | None,
        seed: int,
        avoid: Any = None,
    ) -> None:
        self._objective, self._configs = objective, dict(configs)
        self._keyword, self._seed, self._avoid = keyword, seed, avoid
        self.__name__ = getattr(objective, "__name__", type(objective).__name__)

    def __call__(self, point: dict[str, Any], **parameters: Any) -> Any:
        if self._keyword is not None:
            parameters[self._keyword] = fresh_seed(self._seed, point[REPEAT], self._avoid)
        return self._objective(fresh(self._configs[point[TRIAL]]), **parameters)


def fresh_seed(seed: int, repeat: int, avoid: Any = None) -> int:
    """The seed of a repeat, derived from ``seed`` and different from ``avoid``."""
    rng = derive(seed, _STREAM, repeat)
    found = int(rng.integers(_SEEDS))
    while found == avoid:
        found = int(rng.integers(_SEEDS))
    return found


def seed_keyword(objective: Callable[..., Any]) -> tuple[str | None, Any]:
    """The parameter by which an objective takes a seed, and its default; None if it takes none."""
    try:
        parameters = list(inspect.signature(objective).parameters.values())
    except (TypeError, ValueError):  # some builtins have no signature
        return None, None
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = {p.name: p.default for p in parameters[1:] if p.kind in kinds}
    keyword = next((word for word in KEYWORDS if word in taken), None)
    default = None if keyword is None else taken[keyword]
    return keyword, None if default is inspect.Parameter.empty else default
