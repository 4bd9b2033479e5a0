"""An objective run again for configurations that were chosen: with fresh randomness, where it takes any."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from raytune_hpo.rng import derive
from raytune_hpo.runtime.trial_run import copied

TRIAL, REPEAT = "trial", "repeat"  # the parameters of a study of repeats
KEYWORDS = ("seed", "repeat")  # under which an objective may take its randomness
_STREAM, _SEEDS = "confirm", 2**31


class Repeated:
    """Runs the configuration of a trial of the search; the repeats of one number share their seed.

    The same seeds for all configurations mean the same folds and starts for all of them: what these add to a value they
    add to all, so that the comparison is closer than with seeds of their own.

    Args:
        configs: by the trial's number in the search.
        keyword: under which the objective takes the seed; None: it takes none.
        seed: from which those of the repeats derive.
        avoid: the seed that the search used, if it is known.
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
        return self._objective(copied(self._configs[point[TRIAL]]), **parameters)


def fresh_seed(seed: int, repeat: int, avoid: Any = None) -> int:
    """The seed of a repeat: derived, and not the one to avoid."""
    rng = derive(seed, _STREAM, repeat)
    found = int(rng.integers(_SEEDS))
    while found == avoid:
        found = int(rng.integers(_SEEDS))
    return found


def seed_keyword(objective: Callable[..., Any]) -> tuple[str | None, Any]:
    """The keyword under which an objective takes a seed, and its default; None where it takes none."""
    try:
        parameters = list(inspect.signature(objective).parameters.values())
    except (TypeError, ValueError):  # some builtins do not say what they take
        return None, None
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = {p.name: p.default for p in parameters[1:] if p.kind in kinds}
    keyword = next((word for word in KEYWORDS if word in taken), None)
    default = None if keyword is None else taken[keyword]
    return keyword, None if default is inspect.Parameter.empty else default
