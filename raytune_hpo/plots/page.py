"""The report page of a study: one self-contained HTML file, which includes plotly.js once."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo.analysis.best import by_value, front_points, num_reporting
from raytune_hpo.analysis.columns import flattened
from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.analysis.fronts import trade_offs
from raytune_hpo.display.status import STATUSES
from raytune_hpo.display.text import counted, cut, duration, number, reporting_text
from raytune_hpo.files import write_whole
from raytune_hpo.plots import style
from raytune_hpo.plots.document import Cell, contents, document, figure_section, is_empty, page_table
from raytune_hpo.plots.sections import Section, sections
from raytune_hpo.results import summary
from raytune_hpo.results.records import plain
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MAX_ROWS = 500
_MAX_FRONT = 12  # points in the table of the front
_MAX_COLUMNS = 12  # parameters in the table


def write_page(results: Results, path: str | PathLike[str], *, refresh_s: float | None = None) -> None:
    """Write the page atomically, so that readers never see a partial one.

    Args:
        refresh_s: seconds after which an open page reloads itself.
    """
    write_whole(Path(path), page_text(results, sections(results), refresh_s))


def page_text(results: Results, shown: Sequence[Section], refresh_s: float | None = None) -> str:
    """The page as text; all text from the user is escaped."""
    links = contents([*(section.title for section in shown), "Trials"]) if shown else ""
    best = _front(results) if len(results.goals) > 1 and results.best_trials else _best(results)
    body = (
        f"{_summary(results)}{_choice(results, shown)}{links}{best}"
        f"{''.join(map(figure_section, shown))}{_table(results)}"
    )
    note = "" if refresh_s is None else f" This page reloads every {number(refresh_s)} s while the study runs."
    return document(results.name, body, note=note, refresh_s=refresh_s)


def _choice(results: Results, shown: Sequence[Section]) -> str:
    """Buttons that select one of several metrics for the figures."""
    if not any(section.metric for section in shown) or len(results.goals) < 2:
        return ""
    buttons = "".join(
        f'<button type="button" data-for="{place}">{html.escape(cut(goal.metric, 40))}</button>'
        for place, goal in enumerate(results.goals)
    )
    return f'<p class="choice"><span>Figures about</span>{buttons}</p>'


def _summary(results: Results) -> str:
    counts = results.num_by_status
    tiles = []
    if results.best_trials:
        for index, goal in enumerate(results.goals):
            best = min(results.best_trials, key=lambda trial: (trial.losses or ())[index])
            tiles.append((f"best {cut(summary.goal_text(results, index), 60)}", number(best.metrics[goal.metric])))
    if results.spec.constraints:
        tiles.append(("feasible", f"{len(results.feasible):,}"))
    if any(goal.threshold is not None for goal in results.goals):
        tiles.append(("of the front past the thresholds", f"{len(results.best_past_thresholds):,}"))
    tiles.append(("trials", f"{len(results):,}"))
    tiles += [(STATUSES[status].word, f"{count:,}") for status, count in counts.items() if 0 < count < len(results)]
    if spent := sum(trial.duration_s or 0.0 for trial in results):
        tiles.append(("worker time", duration(spent)))
    items = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in tiles)
    spec = results.spec
    notes = [f"sampler {spec.sampler}", f"scheduler {spec.scheduler or 'none'}", f"seed {spec.seed}"]
    # Where nothing is feasible, that is why there is no result, and is said below.
    broken = summary.violations_text(results) if results.best_trials else ""
    lines = (broken, summary.savings_line(results), summary.restarts_line(results))
    more = [line for line in lines if line]
    text = "<br>".join(map(html.escape, ["; ".join(notes), *more]))
    return f'<p class="muted">{text}</p><section><dl class="tiles">{items}</dl></section>'


def _best(results: Results) -> str:
    if not results.best_trials:
        said = [summary.why_no_best(results)]
        if reporting := num_reporting(results):
            said.append(reporting_text(reporting))
        return f"<section><h2>No result yet</h2><p>{'<br>'.join(map(html.escape, said))}</p></section>"
    best = results.best_trial
    config = html.escape(cut(json.dumps(plain(best.config), indent=2, ensure_ascii=False), 20_000))
    metrics = ", ".join(f"{name} = {style.shown(value)}" for name, value in best.metrics.items())
    by = "" if best.arm is None else f", suggested by {html.escape(cut(best.arm, 80))}"
    hint = summary.border_line(results)
    return (
        f"<section><h2>Best configuration (trial {best.number}{by})</h2>"
        f"<p>{html.escape(cut(metrics, 600))}</p><pre>{config}</pre>"
        f"{f'<p>{html.escape(cut(hint, 600))}</p>' if hint else ''}</section>"
    )


def _front(results: Results) -> str:
    """The Pareto front as a table: its ends, its knee, and points in between."""
    front, goals = results.best_trials, results.goals
    points = front_points(front, goals, _MAX_FRONT)
    parameters = summary.differing([point.trial.config for point in points], _MAX_COLUMNS)
    x, y = goals[:2]
    prices = {step.trial.number: step.price for step in trade_offs(front, goals)} if len(goals) == 2 else {}
    price = [f"{y.metric} for a unit of {x.metric}"] if prices else []
    header = ["trial", *(goal.metric for goal in goals), *price, "role", *parameters, "duration"]
    rows: list[list[Any]] = []
    for point in points:
        config = flattened(point.trial.config)
        values = [point.trial.metrics.get(goal.metric, "") for goal in goals]
        paid = ["" if (cost := prices[point.trial.number]) is None else cost for _ in price]
        shown = [config.get(p, "") for p in parameters]
        rows.append([point.trial.number, *values, *paid, point.role, *shown, _took(point.trial)])
    some = f"{len(points)} of the {len(front):,} trials" if len(points) < len(front) else counted(len(front), "trial")
    says = (
        f"{some} that no other trial beats in all metrics, best {goals[0].metric} first. The knee is nearest to the best of "
        "all metrics at once."
    )
    if prices:
        says += (
            f" The price is what the last gain in {x.metric} cost: how much {y.metric} was given up for a unit of it, since "
            "the next worse trial of the front."
        )
    table = page_table(header, rows, _right(rows, header))
    return f'<section><h2>The best trials</h2><p class="muted">{html.escape(says)}</p>{table}</section>'


def _took(trial: Trial) -> Cell | str:
    return "" if trial.duration_s is None else Cell(duration(trial.duration_s), trial.duration_s)


def _right(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> list[bool]:
    """Which columns are numbers, and are aligned to the right."""
    return [all(isinstance(row[i], (int, float, Cell)) or is_empty(row[i]) for row in rows) for i in range(len(header))]


def _table(results: Results) -> str:
    """The trials, the best first; those of a front are marked."""
    order = by_value(results.trials)[:_MAX_ROWS]
    if not order:
        return ""
    front = {trial.number for trial in results.best_trials} if len(results.goals) > 1 else set()
    mark = ["front"] if front else []
    bounds = [c.metric for c in results.spec.constraints if c.metric not in {goal.metric for goal in results.goals}]
    bounds = list(dict.fromkeys(bounds))
    broken = ["breaks"] if results.spec.constraints else []
    parameters = list(dict.fromkeys(name for trial in order for name in flattened(trial.config)))
    metrics = [goal.metric for goal in results.goals]
    arm = ["arm"] if results.arms else []
    header = [
        "trial",
        "status",
        *mark,
        *metrics,
        *bounds,
        *broken,
        *parameters[:_MAX_COLUMNS],
        *arm,
        "duration",
        "error",
    ]
    rows: list[list[Any]] = []
    for trial in order:
        config = flattened(trial.config)
        error = reason_of_failure(trial)
        values = [trial.metrics.get(metric, "") for metric in [*metrics, *bounds]]
        values += [", ".join(trial.violations) for _ in broken]
        values += [config.get(name, "") for name in parameters[:_MAX_COLUMNS]]
        arms = [trial.arm or "" for _ in arm]
        marks = ["front" if trial.number in front else "" for _ in mark]
        rows.append([trial.number, STATUSES[trial.status].word, *marks, *values, *arms, _took(trial), error])
    notes = []
    if len(order) < len(results):
        notes.append(f"the best {len(order)} of {len(results):,} trials")
    if len(parameters) > _MAX_COLUMNS:
        notes.append(f"the first {_MAX_COLUMNS} of {len(parameters)} parameters")
    note = f'<p class="muted">Shown: {", ".join(notes)}.</p>' if notes else ""
    table = page_table(header, rows, _right(rows, header), anchors="trial", has_filter=len(rows) > 1)
    return f'<section id="trials"><h2>Trials</h2>{note}{table}</section>'
