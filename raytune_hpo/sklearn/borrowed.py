"""What is borrowed from scikit-learn's private parts, from version 1.4 on.

They are what its own searches are made of, and what makes ours warn and fail as they do. Of ``BaseSearchCV``, which has
the methods of a fitted search, ours uses ``_get_routed_params_for_fit``, ``_check_refit_for_multimetric``,
``_select_best_index`` and ``_format_results`` as well.
"""

from __future__ import annotations

from typing import Any

from sklearn.model_selection import _validation
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

__all__ = [
    "BaseSearchCV",
    "insert_error_scores",
    "named_scorers",
    "params_of",
    "part_of",
    "requires_y",
    "score",
    "scorer_of",
    "tags_of",
    "warn_or_raise_about_fit_failures",
]

score = _validation._score
insert_error_scores = _validation._insert_error_scores
warn_or_raise_about_fit_failures = _validation._warn_or_raise_about_fit_failures
part_of = _safe_split
params_of = _check_method_params


def scorer_of(search: BaseSearchCV) -> Any:
    """The one callable that scores an estimator: a scorer, a function, or several scorers in one.

    Raises:
        ValueError: the search's scoring is none, or its refit does not fit it.
    """
    try:
        scorer, _ = search._get_scorers()
    except TypeError:  # 1.4, which asks whether several scorers shall become one
        scorer, _ = search._get_scorers(convert_multimetric=True)
    return scorer


def named_scorers(scorer: Any) -> dict[str, Any] | None:
    """The scorers of several in one by name; None where there is one, or where nobody knows before it is called."""
    scorers: dict[str, Any] | None = getattr(scorer, "_scorers", None)
    return scorers


def tags_of(estimator: Any) -> Any:
    """What an estimator says of itself, from 1.6 on."""
    from sklearn.utils import get_tags

    return get_tags(estimator)


def requires_y(estimator: Any) -> bool:
    """Whether an estimator cannot be fitted without y; False where it does not say."""
    try:
        return bool(tags_of(estimator).target_tags.required)
    except ImportError:  # before 1.6
        return bool(estimator._get_tags().get("requires_y")) if hasattr(estimator, "_get_tags") else False
