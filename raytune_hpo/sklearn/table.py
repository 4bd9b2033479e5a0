"""Table of a search, ``cv_results_``, in scikit-learn's form."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.sklearn.borrowed import BaseSearchCV, insert_error_scores, warn_or_raise_about_fit_failures
from raytune_hpo.sklearn.candidates import CUT_SHORT, SearchCandidate
from raytune_hpo.sklearn.folds import FoldOutcome

NAN = float("nan")


def cv_results(
    search: BaseSearchCV, candidates: Sequence[SearchCandidate], num_splits: int, *, is_judged: bool
) -> dict[str, Any]:
    """The table ``cv_results_``, one row for each candidate.

    With a scheduler there are two more columns, ``n_steps`` (how far the candidate came) and ``status``. A fold that a
    candidate has not finished is NaN, and so are its means, so it ranks behind all candidates that finished every fold.

    Args:
        is_judged: whether a scheduler may have stopped candidates.

    Raises:
        ValueError: every fit failed.
    """
    seen = [outcome for candidate in candidates for outcome in candidate.outcomes.values()]
    warn_or_raise_about_fit_failures(seen, search.error_score)
    if callable(search.scoring):
        insert_error_scores(seen, search.error_score)
    blank = {key: dict.fromkeys(v, NAN) if isinstance(v, Mapping) else NAN for key, v in seen[0].items()}
    rows: list[FoldOutcome] = []
    for candidate in candidates:
        # If training has steps, a candidate that was cut short has an outcome in each fold but has finished none.
        is_cut = candidate.status in CUT_SHORT and len(candidate.outcomes) == num_splits
        rows += [blank if is_cut else candidate.outcomes.get(split, blank) for split in range(num_splits)]
    steps, statuses = [c.num_steps for c in candidates], [c.status.value for c in candidates]
    more = {"n_steps": steps, "status": statuses} if is_judged else {}
    with warnings.catch_warnings():
        if all(c.error is None for c in candidates) and any(c.status in CUT_SHORT for c in candidates):
            # Nothing is wrong: candidates that were cut short have no mean.
            warnings.filterwarnings("ignore", "One or more of the (test|train) scores are non-finite", UserWarning)
        table: dict[str, Any] = search._format_results(
            [dict(c.trial.config) for c in candidates], num_splits, rows, more
        )
    return table
