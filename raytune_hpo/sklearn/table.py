"""``cv_results_``: made of what is known of candidates, in the form that scikit-learn gives it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.facts import Status
from raytune_hpo.sklearn.borrowed import BaseSearchCV, insert_error_scores, warn_or_raise_about_fit_failures
from raytune_hpo.sklearn.candidates import Candidate
from raytune_hpo.sklearn.folds import Outcome

NAN = float("nan")


def cv_results(
    search: BaseSearchCV, candidates: Sequence[Candidate], num_splits: int, *, is_judged: bool
) -> dict[str, Any]:
    """The table, one row for each candidate.

    Where a scheduler has judged, there are the columns ``n_steps`` (how far it came) and ``status`` too. A
    fold that it has not seen to its end is NaN, and so are the means, which ranks it behind all that have seen every
    fold.

    Args:
        is_judged: whether candidates may have been stopped.

    Raises:
        ValueError: all fits failed.
    """
    seen = [outcome for candidate in candidates for outcome in candidate.outcomes.values()]
    warn_or_raise_about_fit_failures(seen, search.error_score)
    if callable(search.scoring):
        insert_error_scores(seen, search.error_score)
    blank = _blank(seen)
    rows = [outcome for c in candidates for outcome in _row(c, num_splits, blank)]
    more = _progress_of(candidates) if is_judged else {}
    with warnings.catch_warnings():
        if all(c.error is None for c in candidates) and any(c.status is Status.PRUNED for c in candidates):
            # Nothing is wrong: those that were stopped have no mean.
            warnings.filterwarnings("ignore", "One or more of the (test|train) scores are non-finite", UserWarning)
        table: dict[str, Any] = search._format_results(
            [dict(c.trial.config) for c in candidates], num_splits, rows, more
        )
    return table


def _row(candidate: Candidate, num_splits: int, blank: Outcome) -> list[Outcome]:
    """The outcomes of all folds. A training that was stopped has finished none."""
    if candidate.status is Status.PRUNED and len(candidate.outcomes) == num_splits:
        return [blank] * num_splits
    return [candidate.outcomes.get(split, blank) for split in range(num_splits)]


def _blank(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a fold that was not seen."""
    return {key: _not_known(value) for key, value in outcomes[0].items()}


def _not_known(value: Any) -> Any:
    return dict.fromkeys(value, NAN) if isinstance(value, Mapping) else NAN


def _progress_of(candidates: Sequence[Candidate]) -> dict[str, list[Any]]:
    return {"n_steps": [c.num_steps for c in candidates], "status": [c.status.value for c in candidates]}
