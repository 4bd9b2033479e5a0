"""Spaces made from scikit-learn's ``param_distributions``, and the candidates that RandomizedSearchCV would draw."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.model_selection import ParameterSampler
from sklearn.utils import check_random_state

from raytune_hpo.errors import SpaceError
from raytune_hpo.space import Choice, Ordinal, Space
from raytune_hpo.space.reader import holds_domains
from raytune_hpo.space.values import plain, show

NUM_DRAWN = 1000  # values drawn to stand for a distribution that can only be sampled


def search_space(distributions: Any, random_state: Any) -> Space:
    """The space of scikit-learn's ``param_distributions``.

    Lists, distributions of scipy.stats, and domains of this and other packages may be mixed.

    Args:
        distributions: a dict of them, a list of such dicts (one of which is chosen first), or a Space.
        random_state: seed for distributions that can only be sampled.

    Raises:
        SpaceError: a parameter is not a list, a distribution or a domain.
    """
    if isinstance(distributions, Space):
        return copy.deepcopy(distributions)
    if isinstance(distributions, Mapping):
        distributions = [distributions]
    if isinstance(distributions, Sequence) and distributions and all(isinstance(d, Mapping) for d in distributions):
        branches = [_domains(branch, random_state) for branch in distributions]
        # Without any parameter there is one candidate, the estimator as it is: a choice of one, as a space is not empty.
        return Space(Choice(branches) if len(branches) > 1 or not branches[0] else branches[0])
    raise SpaceError(
        f"param_distributions is a dict of lists and distributions, or a list of such dicts, got {show(distributions)}"
    )


def sklearns_candidates(distributions: Any, num: int, random_state: Any) -> list[dict[str, Any]] | None:
    """The candidates that RandomizedSearchCV draws with this random_state; None if it could not read ``distributions``."""
    branches = [distributions] if isinstance(distributions, Mapping) else distributions
    if isinstance(branches, Space):
        return None
    if not all(_is_frozen(d) or _is_listed(d) for branch in branches for d in branch.values()):
        return None
    drawn = ParameterSampler(distributions, num, random_state=random_state)
    return [{name: plain(value) for name, value in candidate.items()} for candidate in drawn]


def warn_if_few(size: int, num: int) -> None:
    """Warn as scikit-learn does if there are fewer candidates than were asked for."""
    if size < num:
        text = f"The total space of parameters {size} is smaller than n_iter={num}. Running {size} iterations."
        warnings.warn(text, UserWarning, stacklevel=2)


def _domains(branch: Mapping[str, Any], random_state: Any) -> dict[str, Any]:
    return {name: _domain(name, thing, random_state) for name, thing in branch.items()}


def _domain(name: str, thing: Any, random_state: Any) -> Any:
    """One parameter's domain, or nested domains, as a Space reads them."""
    if _is_listed(thing):
        if len(thing) == 0:
            raise SpaceError(f"parameter {name!r} needs at least one value, got {show(thing)}")
        return Choice(thing)
    if hasattr(thing, "rvs") and not _is_frozen(thing):
        return _drawn(thing, random_state)
    if holds_domains(thing):
        return copy.deepcopy(thing)  # domains cache what they compute, and the user's parameters must not change
    raise SpaceError(
        f"parameter {name!r} is a list, a distribution with a method rvs, or a domain such as hpo.loguniform(1e-3, 1), "
        f"got {show(thing)}; write [{show(thing)}] for a single value"
    )


def _is_frozen(thing: Any) -> bool:
    """Whether this is a frozen distribution of scipy.stats, such as ``loguniform(1e-3, 1)``."""
    return type(thing).__module__.startswith("scipy.stats") and hasattr(thing, "dist") and hasattr(thing, "ppf")


def _is_listed(thing: Any) -> bool:
    """Whether this is a list of options or similar: a tuple, an array, a Series."""
    return isinstance(thing, Sequence) and not isinstance(thing, (str, bytes)) or hasattr(thing, "__array__")


def _drawn(distribution: Any, random_state: Any) -> Any:
    """Sampled values in place of a distribution; numbers are ordered, so that a model can interpolate between them."""
    rng = check_random_state(random_state)
    values = [plain(distribution.rvs(random_state=rng)) for _ in range(NUM_DRAWN)]
    if all(isinstance(value, (int, float)) for value in values):
        return Ordinal(sorted(set(values)))
    return Choice(values)
