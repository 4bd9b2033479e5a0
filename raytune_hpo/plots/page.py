"""The page of a study: one HTML file that opens anywhere, with plotly.js in it once."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo.analysis.best import ranked
from raytune_hpo.analysis.columns import flattened
from raytune_hpo.display.status import STATUSES
from raytune_hpo.display.text import cut, duration, last_line, number
from raytune_hpo.files import write_whole
from raytune_hpo.plots import style
from raytune_hpo.plots.document import contents, document, figure_section, page_table
from raytune_hpo.plots.sections import Section, sections
from raytune_hpo.results import summary
from raytune_hpo.results.records import plain

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MAX_ROWS = 500
_MAX_COLUMNS = 12  # parameters in the table


def write_page(results: Results, path: str | PathLike[str], *, refresh_s: float | None = None) -> None:
    """Write the page atomically: a reader sees the old one or the new one, never half of it.

    Args:
        refresh_s: seconds after which an open page reads itself again.
    """
    write_whole(Path(path), page_text(results, sections(results), refresh_s))


def page_text(results: Results, shown: Sequence[Section], refresh_s: float | None = None) -> str:
    """The page as text; everything that came from a user is escaped."""
    links = contents([*(section.title for section in shown), "Trials"]) if shown else ""
    body = (
        f"{_summary(results)}{_choice(results, shown)}{links}{_best(results)}"
        f"{''.join(map(figure_section, shown))}{_table(results)}"
    )
    note = (
        "" if refresh_s is None else f" This page reads itself again every {number(refresh_s)} s while the study runs."
    )
    return document(results.name, body, note=note, refresh_s=refresh_s)


def _choice(results: Results, shown: Sequence[Section]) -> str:
    """Buttons that say which of several metrics the figures are about."""
    if not any(section.metric for section in shown) or len(results.goals) < 2:
        return ""
    buttons = "".join(
        f'<button type="button" data-for="{place}">{html.escape(cut(goal.metric, 40))}</button>'
        for place, goal in enumerate(results.goals)
    )
    return f'<p class="choice"><span>Figures about</span>{buttons}</p>'


def _summary(results: Results) -> str:
    counts = results.num_by_status
    tiles = [("trials", str(len(results)))]
    tiles += [
        (STATUSES[status].word, str(count)) for status, count in counts.items() if count and count != len(results)
    ]
    if results.best_trials:
        tiles.insert(0, (f"best {summary.goal_text(results)}", number(results.best_value)))
    if spent := sum(trial.duration_s or 0.0 for trial in results):
        tiles.append(("worker time", duration(spent)))
    items = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in tiles)
    spec = results.spec
    notes = [f"sampler {spec.sampler}", f"scheduler {spec.scheduler or 'none'}", f"seed {spec.seed}"]
    saved = summary.savings_line(results)
    text = html.escape("; ".join(notes)) + (f"<br>{html.escape(saved)}" if saved else "")
    return f'<p class="muted">{text}</p><section><dl class="tiles">{items}</dl></section>'


def _best(results: Results) -> str:
    if not results.best_trials:
        return f"<section><h2>No result yet</h2><p>{html.escape(summary.first_error(results))}</p></section>"
    best = results.best_trial
    config = html.escape(json.dumps(plain(best.config), indent=2))
    metrics = ", ".join(f"{name} = {style.shown(value)}" for name, value in best.metrics.items())
    by = "" if best.arm is None else f", suggested by {html.escape(cut(best.arm, 80))}"
    return (
        f"<section><h2>Best configuration (trial {best.number}{by})</h2>"
        f"<p>{html.escape(cut(metrics, 600))}</p><pre>{cut(config, 20_000)}</pre></section>"
    )


def _table(results: Results) -> str:
    """The completed trials, best first, then the others by number."""
    best = ranked(results.trials)
    order = [*best, *[trial for trial in results if trial.losses is None]][:_MAX_ROWS]
    if not order:
        return ""
    parameters = list(dict.fromkeys(name for trial in order for name in flattened(trial.config)))
    metrics = [goal.metric for goal in results.goals]
    arm = ["arm"] if results.arms else []
    header = ["trial", "status", *metrics, *parameters[:_MAX_COLUMNS], *arm, "duration", "error"]
    rows: list[list[Any]] = []
    for trial in order:
        config = flattened(trial.config)
        took = "" if trial.duration_s is None else duration(trial.duration_s)
        error = "" if trial.error is None else last_line(trial.error)
        values = [trial.metrics.get(metric, "") for metric in metrics]
        values += [config.get(name, "") for name in parameters[:_MAX_COLUMNS]]
        arms = [trial.arm or "" for _ in arm]
        rows.append([trial.number, STATUSES[trial.status].word, *values, *arms, took, error])
    right = [all(isinstance(row[i], (int, float)) or _is_empty(row[i]) for row in rows) for i in range(len(header))]
    notes = []
    if len(order) < len(results):
        notes.append(f"the first {len(order)} of {len(results)} trials")
    if len(parameters) > _MAX_COLUMNS:
        notes.append(f"the first {_MAX_COLUMNS} of {len(parameters)} parameters")
    note = f'<p class="muted">Shown: {", ".join(notes)}.</p>' if notes else ""
    return f'<section id="trials"><h2>Trials</h2>{note}{page_table(header, rows, right)}</section>'


def _is_empty(cell: Any) -> bool:
    return isinstance(cell, str) and not cell  # an array is compared with "" number by number
