"""One HTML page of a study that opens anywhere: everything is in the file, plotly.js once."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo import __version__, showing
from raytune_hpo.analysis.best import ranked
from raytune_hpo.analysis.columns import flat
from raytune_hpo.plots import style
from raytune_hpo.plots.curves import curves
from raytune_hpo.plots.history import history
from raytune_hpo.plots.pareto import pareto
from raytune_hpo.results import plain
from raytune_hpo.texts import cut, duration, last_line, number, short
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

MAX_ROWS = 500
MAX_COLUMNS = 12  # parameters in the table

_CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #22262e;
       background: #f5f6f8; margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; margin: 8px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 12px; }
section { background: white; border: 1px solid #e3e6eb; border-radius: 8px; padding: 18px 20px; margin: 16px 0; }
.muted { color: #5b6370; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px 36px; margin: 0; }
.tiles dt { color: #5b6370; font-size: 14px; }
.tiles dd { margin: 0; font-size: 22px; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid #eceef2; text-align: left; white-space: nowrap; }
th { color: #5b6370; font-weight: 600; }
td.number, th.number { text-align: right; }
pre { background: #f5f6f8; padding: 12px; overflow-x: auto; font-size: 14px; margin: 0; border-radius: 6px; }
"""


def page(results: Results, path: str | PathLike[str], figures: Sequence[Any] | None = None) -> None:
    """Write the page.

    Args:
        figures: plotly figures, in order; by default those that say something about the study.
    """
    drawn = default_figures(results) if figures is None else list(figures)
    Path(path).write_text(page_text(results, drawn), encoding="utf-8")


def default_figures(results: Results) -> list[Any]:
    """The history; the front of several metrics; the learning curves where there are some."""
    found = [history(results)]
    if len(results.goals) > 1 and results.best_trials:
        found.append(pareto(results))
    if any(trial.reports for trial in results):
        found.append(curves(results))
    return found


def page_text(results: Results, figures: Sequence[Any]) -> str:
    """The page as text; everything that came from a user is escaped."""
    title = html.escape(results.name)
    drawn = "".join(f"<section>{_figure(figure)}</section>" for figure in figures)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_CSS}</style>'
        f"<script>{style.plotly('offline').get_plotlyjs()}</script></head><body><main>"
        f"<h1>{title}</h1>{_summary(results)}{_best(results)}{drawn}{_table(results)}"
        f'<p class="muted">Written by raytune_hpo {__version__}, {time.strftime("%Y-%m-%d %H:%M %Z")}.</p>'
        f"</main></body></html>"
    )


def _figure(figure: Any) -> str:
    config = {"displaylogo": False, "responsive": True}
    text: str = figure.to_html(full_html=False, include_plotlyjs=False, config=config)
    return text


def _summary(results: Results) -> str:
    counts = results.num_by_status
    tiles = [("trials", str(len(results)))]
    tiles += [(status, str(count)) for status, count in counts.items() if count and count != len(results)]
    if results.best_trials:
        tiles.insert(0, (f"best {showing.goal_text(results)}", number(results.best_value)))
    if spent := sum(trial.duration_s or 0.0 for trial in results):
        tiles.append(("worker time", duration(spent)))
    items = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in tiles)
    spec = results.spec
    notes = [f"sampler {spec.sampler}", f"scheduler {spec.scheduler or 'none'}", f"seed {spec.seed}"]
    saved = showing.savings_line(results)
    text = html.escape("; ".join(notes)) + (f"<br>{html.escape(saved)}" if saved else "")
    return f'<p class="muted">{text}</p><section><dl class="tiles">{items}</dl></section>'


def _best(results: Results) -> str:
    if not results.best_trials:
        return f"<section><h2>No result yet</h2><p>{html.escape(showing.first_error(results))}</p></section>"
    best = results.best_trial
    config = html.escape(json.dumps(plain(best.config), indent=2))
    metrics = ", ".join(f"{name} = {style.shown(value)}" for name, value in best.metrics.items())
    return (
        f"<section><h2>Best configuration (trial {best.number})</h2>"
        f"<p>{html.escape(cut(metrics, 600))}</p><pre>{cut(config, 20_000)}</pre></section>"
    )


def _table(results: Results) -> str:
    """The completed trials, best first, then the others by number."""
    best = ranked(results.trials)
    order = [*best, *[trial for trial in results if trial.losses is None]][:MAX_ROWS]
    if not order:
        return ""
    parameters = list(dict.fromkeys(name for trial in order for name in flat(trial.config)))
    metrics = [goal.metric for goal in results.goals]
    header = ["trial", "status", *metrics, *parameters[:MAX_COLUMNS], "duration", "error"]
    rows = [_cells(trial, metrics, parameters[:MAX_COLUMNS]) for trial in order]
    right = [all(isinstance(row[i], (int, float)) or row[i] == "" for row in rows) for i in range(len(header))]
    body = "".join(_row("td", row, right) for row in rows)
    notes = []
    if len(order) < len(results):
        notes.append(f"the first {len(order)} of {len(results)} trials")
    if len(parameters) > MAX_COLUMNS:
        notes.append(f"the first {MAX_COLUMNS} of {len(parameters)} parameters")
    note = f'<p class="muted">Shown: {", ".join(notes)}.</p>' if notes else ""
    return (
        f'<section><h2>Trials</h2>{note}<div class="scroll"><table><thead>{_row("th", header, right)}</thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _cells(trial: Trial, metrics: Sequence[str], parameters: Sequence[str]) -> list[Any]:
    config = flat(trial.config)
    took = "" if trial.duration_s is None else duration(trial.duration_s)
    error = "" if trial.error is None else last_line(trial.error)
    values = [trial.metrics.get(metric, "") for metric in metrics]
    return [trial.number, trial.status.value, *values, *[config.get(name, "") for name in parameters], took, error]


def _row(tag: str, cells: Sequence[Any], right: Sequence[bool]) -> str:
    tags = [f'{tag} class="number"' if is_number else tag for is_number in right]
    shown = ["" if cell == "" else html.escape(short(cell, 80)) for cell in cells]
    return f"<tr>{''.join(f'<{t}>{cell}</{tag}>' for t, cell in zip(tags, shown, strict=True))}</tr>"
