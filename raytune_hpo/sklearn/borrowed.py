"""Private parts of scikit-learn that the search uses, from version 1.4 on.

scikit-learn's own searches use them too, so this search warns and fails in the same way. It also uses
``_get_routed_params_for_fit``, ``_check_refit_for_multimetric``, ``_select_best_index`` and ``_format_results`` of
``BaseSearchCV``, which has the methods of a fitted search.
"""

from __future__ import annotations

import inspect
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
    """The single callable that scores an estimator: a scorer, a function, or several scorers combined.

    Raises:
        ValueError, TypeError: ``scoring`` is not valid, ``refit`` does not name one of several scores, or there is no
            ``scoring`` and the estimator has no score of its own; in scikit-learn's words.
    """
    # Version 1.4 takes an argument: whether to combine several scorers into one.
    is_asked = "convert_multimetric" in inspect.signature(search._get_scorers).parameters
    scorer, _ = search._get_scorers(convert_multimetric=True) if is_asked else search._get_scorers()
    return scorer


def named_scorers(scorer: Any) -> dict[str, Any] | None:
    """Several combined scorers by name; None for a single scorer, or a function whose scores are not known yet."""
    scorers: dict[str, Any] | None = getattr(scorer, "_scorers", None)
    return scorers


def tags_of(estimator: Any) -> Any:
    """The tags of an estimator, from version 1.6 on."""
    from sklearn.utils import get_tags

    return get_tags(estimator)


def requires_y(estimator: Any) -> bool:
    """Whether an estimator needs y; False if it does not say."""
    try:
        return bool(tags_of(estimator).target_tags.required)
    except ImportError:  # before 1.6
        return bool(estimator._get_tags().get("requires_y")) if hasattr(estimator, "_get_tags") else False
