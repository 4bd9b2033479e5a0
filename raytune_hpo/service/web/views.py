"""Views: the values that each page of a study passes to its template."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from heapq import nlargest
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.snapshot import snapshot_of
from raytune_hpo.display.status import STATUSES
from raytune_hpo.display.text import config_line, duration, number, short
from raytune_hpo.facts import Fact, Status
from raytune_hpo.goals import Goal, violations_of
from raytune_hpo.progress.words import time_left
from raytune_hpo.results.records import attempt_records, plain
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.hosting import RUNTIME
from raytune_hpo.service.listing import Listing, Page, count, value_in
from raytune_hpo.service.records import state_in_words
from raytune_hpo.service.web import pictures
from raytune_hpo.service.web.front import front, num_past
from raytune_hpo.service.web.said import front_in_words, goals_in_words, last_facts, mark_of, worker_name
from raytune_hpo.trial import Trial

MAX_COLUMNS = 12
MAX_REASONS = 6
MAX_QUEUED = 20
MAX_FRONT = 8
PAGE = 50
ORDERS = {"number": "ascending", "-number": "descending"}


def study_row(fold: Fold, kind: str, now: float) -> dict[str, Any]:
    """A line of the list of studies."""
    ledger, goals = fold.ledger, fold.ledger.spec.goals
    status = ledger.status(now)
    limit = ledger.spec.limits.num_trials
    best = status.best.get(goals[0].metric)
    shown = "" if best is None else number(best) if len(goals) == 1 else front_in_words(len(ledger.front))
    state = state_in_words(fold, kind)
    return {
        "name": fold.name,
        "state": state if ledger.stopped is None else "ended",
        "mark": mark_of(state),
        "trials": f"{status.num_at_rest:,}",
        "limit": "" if limit is None else f"{limit:,}",
        "bar": pictures.bar(status.counts, limit),
        "label": f"{status.num_at_rest:,} of {limit:,} trials" if limit else f"{status.num_at_rest:,} trials",
        "best": shown,
        "goals": [(goal.metric, goal.mode) for goal in goals],
        "failed": status.counts[Status.FAILED] or "",
        "running": status.counts[Status.RUNNING] or "",
        "last_at": fold.last_at,
        "spark": pictures.spark(snapshot_of(ledger, now).histories[0], goals[0]) if len(goals) == 1 else "",
    }


def head(fold: Fold, kind: str) -> dict[str, Any]:
    """The head of all pages of a study."""
    ledger, spec = fold.ledger, fold.ledger.spec
    is_running = ledger.stopped is None
    state = state_in_words(fold, kind)
    words = [f"sampler {spec.sampler.name}", *([f"scheduler {spec.scheduler.name}"] if spec.scheduler else [])]
    words += [f"seed {spec.seed}", goals_in_words(spec.goals), *(f"needs {bound}" for bound in spec.constraints)]
    example = ledger.trials[-1].config if ledger.trials else {}
    return {
        "name": fold.name,
        "is_running": is_running,
        "is_controlled": kind in ("hosted", "cluster") or spec.settings.get("runtime") == "http",
        "state": state,
        "mark": mark_of(state),
        "settings": " · ".join(words),
        "metric": spec.goals[0].metric,
        "parameter": next((column.name for column in spec.space.columns), "seed"),
        "is_fetched": spec.settings.get("objective") == RUNTIME,
        "limit": spec.limits.num_trials,
        "num_trials": len(ledger.trials),
        "num_failed": ledger.counts[Status.FAILED],
        "example": json.dumps(plain(example), indent=1),
    }


def overview(fold: Fold, kind: str, now: float) -> dict[str, Any]:
    """The page of a study."""
    ledger, goals = fold.ledger, fold.ledger.spec.goals
    snapshot = snapshot_of(ledger, now)
    status, limit = snapshot.status, ledger.spec.limits.num_trials
    best = ledger.best[0] if len(goals) == 1 else None
    rate = status.num_at_rest / status.elapsed_s if status.elapsed_s > 0 else None
    at_rest = "trials finished or paused" if status.num_paused else "trials finished"
    tiles: list[dict[str, Any]] = [
        {"what": at_rest, "value": f"{status.num_at_rest:,}", "of": "" if limit is None else f"{limit:,}"},
        *_best_tiles(fold),
        *_feasible_tile(status),
        {"what": "running time", "value": duration(status.elapsed_s)},
    ]
    left_s = time_left(status, rate) if status.is_running and kind != "stored" else None
    if left_s is not None:
        tiles.append({"what": "left, about", "value": duration(left_s)})
    return {
        "s": {
            **head(fold, kind),
            "tiles": tiles,
            "bar": pictures.bar(status.counts, limit),
            "label": f"{status.num_at_rest:,} of {limit:,} trials" if limit else f"{status.num_at_rest:,} trials",
            "counts": [
                {"status": s, "text": f"{status.counts[s]:,} {row.word}"}
                for s, row in STATUSES.items()
                if status.counts[s]
            ],
        },
        "fig": pictures.front(snapshot.front, goals)
        if snapshot.front is not None
        else pictures.history(snapshot.histories[0], goals[0], limit),
        "running": snapshot.running,
        "failures": _failures(fold),
        "best": best and {"number": best.number, "config": [(k, short(v)) for k, v in flattened(best.config).items()]},
        "front": front(fold, MAX_FRONT) if len(goals) > 1 and ledger.front else None,
        "why_no_best": fold.why_no_best if ledger.best[0] is None else "",
        "queue": [
            {"position": position, "config": config_line(ledger.spec.space.unpack(e.config))}
            for position, e in islice(ledger.enqueued.items(), MAX_QUEUED)
        ],
        "num_queued": f"{len(ledger.enqueued):,}",
        "log": last_facts(fold.last, goals),
    }


def _best_tiles(fold: Fold) -> list[dict[str, Any]]:
    """The best value, or the size of the front."""
    ledger, goals = fold.ledger, fold.ledger.spec.goals
    if len(goals) > 1:
        tiles = [{"what": "trials on the Pareto front", "value": f"{len(ledger.front):,}"}]
        if any(goal.threshold is not None for goal in goals):
            tiles.append({"what": "of these past the thresholds", "value": f"{num_past(fold):,}"})
        return tiles
    best = ledger.best[0]
    if best is None:
        none = "none feasible" if ledger.num_infeasible else "none yet" if ledger.stopped is None else "none"
        return [{"what": f"best {goals[0].metric}", "value": none}]
    return [{"what": f"best {goals[0].metric}, trial {best.number}", "value": number(best.metrics[goals[0].metric])}]


def _feasible_tile(status: StudyStatus) -> list[dict[str, Any]]:
    """How many completed trials keep the outcome constraints, where some do not."""
    if not status.num_infeasible:
        return []
    completed = status.counts[Status.COMPLETED]
    return [{"what": "feasible of the completed", "value": f"{status.num_feasible:,}", "of": f"{completed:,}"}]


def _failures(fold: Fold) -> list[dict[str, Any]]:
    """The reasons of failures, the most frequent first."""
    frequent = nlargest(MAX_REASONS, fold.by_reason.items(), key=lambda item: len(item[1]))
    return [{"reason": reason, "n": len(numbers), "last": numbers[-1]} for reason, numbers in frequent]


Link = Callable[..., str]  # the address of the table with other settings


def trials(fold: Fold, kind: str, page: Page, listing: Listing, base: str) -> dict[str, Any]:
    """A page of the table of trials."""
    ledger = fold.ledger
    names, leading = _columns(fold, page.trials), _leading(fold)

    def link(*, page: str = "trials", **changes: str | None) -> str:
        query = {"status": listing.status, "where": listing.where, "sort": listing.sort, **changes}
        return f"{base}/{page}?{urlencode({k: v for k, v in query.items() if v})}"

    matching = len(ledger.trials) if listing == Listing(sort=listing.sort) else count(fold, listing)
    return {
        "s": head(fold, kind),
        "head": _heads(fold, page, names[:MAX_COLUMNS], listing.sort, link),
        "rows": [_row(fold, trial, names[:MAX_COLUMNS], trial.number in leading) for trial in page.trials],
        "chips": _chips(fold, listing.status, link),
        "matching": f"{matching:,}",
        "hidden": len(names) - len(names[:MAX_COLUMNS]),
        "lifted": link(where=None),
        "next": page.next and f"{link()}&{urlencode({'cursor': page.next})}",
        "first": link(),
        "csv": link(page="trials.csv"),
        "size": PAGE,
    }


def _heads(fold: Fold, page: Page, names: Sequence[str], sort: str, link: Link) -> list[dict[str, Any]]:
    """The headers of the columns; those by which the table can be sorted are links."""
    goal = fold.ledger.spec.goals[0]
    best_first = "ascending" if goal.lower_is_better else "descending"
    by_number = "number" if sort == "-number" else "-number"
    heads: list[dict[str, Any]] = [
        {"word": "trial", "href": link(sort=by_number), "sorted": ORDERS.get(sort)},
        {"word": "status"},
    ]
    for name in names:
        is_right = all(_cell(value_in(t, name, ""))["right"] for t in page.trials)
        column: dict[str, Any] = {"word": name, "right": is_right}
        if name == goal.metric:
            column.update(href=link(sort="metric"), sorted=best_first if sort == "metric" else None)
        heads.append(column)
    by_duration = "ascending" if sort == "duration" else None
    return [
        *heads,
        {"word": "took", "right": True, "href": link(sort="duration"), "sorted": by_duration},
        {"word": "worker"},
    ]


def _leading(fold: Fold) -> set[int]:
    """The numbers of the best trial or, with several metrics, of the front."""
    best = fold.ledger.best[0]
    if len(fold.ledger.spec.goals) > 1:
        return {trial.number for trial in fold.ledger.front}
    return set() if best is None else {best.number}


def _broken(fold: Fold, found: Trial) -> list[Goal]:
    """The outcome constraints that a trial breaks, or is not known to keep."""
    if not found.violations:
        return []
    return [bound for bound in fold.ledger.spec.constraints if violations_of(found.metrics, [bound])]


def _row(fold: Fold, found: Trial, names: Sequence[str], is_best: bool) -> dict[str, Any]:
    """A trial as a row of the table."""
    return {
        "number": found.number,
        "status": found.status.value,
        "broken": ", ".join(map(str, _broken(fold, found))),
        "is_best": is_best,
        "cells": [
            *(_cell(value_in(found, name, "")) for name in names),
            {"text": "" if found.duration_s is None else duration(found.duration_s), "right": True},
            {"text": worker_name(found.worker), "right": False},
        ],
    }


def _chips(fold: Fold, chosen: str | None, link: Link) -> list[dict[str, Any]]:
    """The statuses with the number of trials in each; a click filters by it."""
    ledger = fold.ledger
    everything = {"word": "All", "n": f"{len(ledger.trials):,}", "href": link(status=None), "on": chosen is None}
    return [everything] + [
        {"word": row.word, "mark": s, "n": f"{ledger.counts[Status(s)]:,}", "href": link(status=s), "on": chosen == s}
        for s, row in STATUSES.items()
        if ledger.counts[Status(s)]
    ]


def _columns(fold: Fold, found: Sequence[Trial]) -> list[str]:
    """Goals first, then parameters, then other metrics."""
    goals = [goal.metric for goal in fold.ledger.spec.goals]
    parameters = [name for t in found for name in flattened(t.config)]
    return list(dict.fromkeys([*goals, *parameters, *(name for t in found for name in t.metrics)]))


def _cell(value: Any) -> dict[str, Any]:
    """A cell of a table, on the right where it is a number or empty, which is the text ""."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"text": short(value), "right": is_number or (isinstance(value, str) and not value)}


def trial(fold: Fold, found: Trial, facts: Sequence[Fact]) -> dict[str, Any]:
    """The page of a trial."""
    ledger, goals = fold.ledger, fold.ledger.spec.goals
    best = ledger.best[0] if len(goals) == 1 else None
    broken = _broken(fold, found)
    before, after = bisect_left(fold.failed, found.number), bisect_right(fold.failed, found.number)
    reason = reason_of_failure(found) if found.status is Status.FAILED else ""
    alike = len(fold.by_reason.get(reason, ())) - 1 if reason else 0
    best_config = {} if best is None else flattened(best.config)
    said = [f"attempt {found.attempt}"]
    said += [f"took {duration(found.duration_s)}"] if found.duration_s is not None else []
    said += [f"on {worker_name(found.worker)}"] if found.worker else []
    attempts = [{**a, "worker": worker_name(a["worker"])} for a in attempt_records(facts)]
    return {
        "name": fold.name,
        "t": {
            "number": found.number,
            "status": found.status.value,
            "said": " · ".join(said),
            "broken": ", ".join(map(str, broken)),
            "reason": reason,
            "error": found.error,
            "json": json.dumps(plain(found.config), indent=1),
        },
        "alike": alike,
        "previous_failed": fold.failed[before - 1] if before else None,
        "next_failed": fold.failed[after] if after < len(fold.failed) else None,
        "has_best": best is not None,
        "config": [
            {"name": name, "value": short(value), "best": short(best_config[name]) if name in best_config else ""}
            for name, value in flattened(found.config).items()
        ],
        "metrics": [(name, short(value)) for name, value in found.metrics.items()],
        "constraints": [
            {
                "bound": str(bound),
                "value": number(found.metrics[bound.metric]) if bound.metric in found.metrics else "",
                "remark": _remark(bound, found) if bound in broken else "",
            }
            for bound in (ledger.spec.constraints if found.losses is not None else ())
        ],
        "instances": _instances(found),
        "why": _why(fold, found),
        "attempts": attempts,
        "fig": pictures.curve(found, goals[0]),
    }


def _remark(bound: Goal, found: Trial) -> str:
    """By how much a trial breaks a constraint."""
    if bound.metric not in found.metrics:
        return "not known to hold: the trial has no such metric"
    return f"broken by {number(bound.excess(found.metrics[bound.metric]))}"


def _instances(found: Trial) -> dict[str, Any]:
    """What was measured on each instance, as a table."""
    metrics = list(dict.fromkeys(name for values in found.per_instance.values() for name in values))
    rows = [(name, [_cell(values.get(m, "")) for m in metrics]) for name, values in found.per_instance.items()]
    return {"metrics": metrics, "rows": rows}


def _why(fold: Fold, found: Trial) -> str:
    if not found.is_suggested:
        return "Enqueued by a user."
    arm = f", arm {found.arm}" if found.arm else ""
    parent = f", from trial {found.parent}" if found.parent is not None else ""
    return f"Proposed by {fold.ledger.spec.sampler.name}{arm}{parent}, when the study had {found.basis:,} facts."
