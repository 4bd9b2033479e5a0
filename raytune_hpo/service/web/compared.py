"""The page that compares studies: which one leads, the best values over time, and how the spaces differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from raytune_hpo.display.text import duration, number
from raytune_hpo.service.comparing import Standing, are_ranked, leader
from raytune_hpo.service.web import pictures
from raytune_hpo.service.web.said import front_in_words, mark_of

_NOT_THERE = "not there"


def compared(standings: Sequence[Standing]) -> dict[str, Any]:
    """The values for the page's template."""
    ahead, goal = leader(standings), standings[0].goal if standings else None
    with_line = [s for s in standings if s.by_trials] if are_ranked(standings) else []
    best = sorted(with_line, key=_loss)[: len(pictures.KEYS)]
    drawn = [s for s in with_line if s in best]
    return {
        "said": _said(standings, ahead),
        "goals": sorted({", ".join(f"{goal.metric} ({goal.mode})" for goal in s.goals) for s in standings}),
        "of_several": [s.name for s in standings if len(s.goals) > 1],
        "metric": goal.metric if goal else "",
        "by_trials": pictures.lines([_line(s, s.by_trials, s.length) for s in drawn], drawn[0].goal) if drawn else None,
        "by_time": pictures.lines([_line(s, s.by_time, s.elapsed_s) for s in drawn], drawn[0].goal, in_time=True)
        if drawn
        else None,
        "rows": [_row(s, ahead, drawn) for s in standings],
        "num_undrawn": len(with_line) - len(drawn),
        "without_best": [(s.name, s.why_no_best) for s in standings if s.why_no_best],
        "spaces": _spaces(standings),
    }


def _loss(standing: Standing) -> float:
    return math.inf if standing.best is None else standing.goal.loss(standing.best)


def _said(standings: Sequence[Standing], ahead: Standing | None) -> str:
    """A sentence that says which study leads, and by how much."""
    if ahead is None or ahead.best is None:
        return ""
    best = ahead.goal.loss(ahead.best)
    others = [ahead.goal.loss(s.best) - best for s in standings if s is not ahead and s.best is not None]
    if len(standings) == 1:
        return f"The best {ahead.goal.metric} of {ahead.name} is {number(ahead.best)}."
    shown = f"{ahead.name} leads with {ahead.goal.metric} {number(ahead.best)}"
    return f"{shown}, by {number(min(others))}." if others else f"{shown}; the others have no result."


def _line(standing: Standing, corners: Sequence[tuple[float, float]], end: float) -> pictures.Line:
    return pictures.Line(name=standing.name, corners=tuple(corners), end=max(end, corners[-1][0]))


def _row(standing: Standing, ahead: Standing | None, drawn: Sequence[Standing]) -> dict[str, Any]:
    behind = None
    if ahead is not None and ahead.best is not None and standing.best is not None:
        behind = standing.goal.loss(standing.best) - ahead.goal.loss(ahead.best)
    return {
        "name": standing.name,
        "key": pictures.KEYS[drawn.index(standing)] if standing in drawn else "",
        "is_best": standing is ahead,
        "mark": mark_of(standing.state),
        "state": standing.state,
        "best": _best(standing),
        "metric": standing.goal.metric,
        "behind": "" if not behind else number(behind),
        "trials": f"{standing.num_trials:,}" + ("" if standing.limit is None else f"/{standing.limit:,}"),
        "found": "" if standing.best_number is None or len(standing.goals) > 1 else f"trial {standing.best_number}",
        "elapsed": duration(standing.elapsed_s),
        "sampler": standing.sampler,
    }


def _best(standing: Standing) -> str:
    if standing.best is None:
        return "none"
    return number(standing.best) if len(standing.goals) == 1 else front_in_words(standing.num_front)


def _spaces(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """The parameters whose domains are not the same in all studies."""
    names = dict.fromkeys(name for standing in standings for name in standing.parameters)
    rows = [{"name": n, "cells": [s.parameters.get(n, _NOT_THERE) for s in standings]} for n in names]
    return [row for row in rows if len(set(row["cells"])) > 1]
