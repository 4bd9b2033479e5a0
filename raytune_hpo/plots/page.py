"""One HTML page of a study that opens anywhere: everything is in the file, plotly.js once."""

from __future__ import annotations

import html
import json
import os
import tempfile
import time
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo import __version__, showing
from raytune_hpo.analysis.best import ranked
from raytune_hpo.analysis.columns import flat
from raytune_hpo.plots import style
from raytune_hpo.plots.page_look import CSS, SCRIPT
from raytune_hpo.plots.sections import Section, sections
from raytune_hpo.results import plain
from raytune_hpo.texts import cut, duration, last_line, number, short
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

MAX_ROWS = 500
MAX_COLUMNS = 12  # parameters in the table


def page(results: Results, path: str | PathLike[str], *, refresh_s: float | None = None) -> None:
    """Write the page, in one stroke: whoever opens it meanwhile sees the old one or the new one.

    Args:
        refresh_s: an open page reads itself again after so many seconds.
    """
    path = Path(path)
    text = page_text(results, sections(results), refresh_s)
    # Beside the page itself, since a file can be put in another's place only within one file system.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", text=True)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """What new files must not be; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def page_text(results: Results, shown: Sequence[Section], refresh_s: float | None = None) -> str:
    """The page as text; everything that came from a user is escaped."""
    title = html.escape(results.name)
    seconds = "null" if refresh_s is None else json.dumps(refresh_s)
    note = (
        "" if refresh_s is None else f" This page reads itself again every {number(refresh_s)} s while the study runs."
    )
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}</style>'
        f"</head><body><main><h1>{title}</h1>{_summary(results)}{_choice(results, shown)}{_contents(shown)}"
        f"{_best(results)}{''.join(map(_section, shown))}{_table(results)}"
        f'<p class="muted">Written by raytune_hpo {__version__}, {time.strftime("%Y-%m-%d %H:%M:%S %Z")}.{note}</p>'
        # Last, so that the text is there before four megabytes of plotly.js have been read.
        f"</main><script>{style.plotly('offline').get_plotlyjs()}</script>"
        f"<script>const refreshSeconds = {seconds};{SCRIPT}</script></body></html>"
    )


def _choice(results: Results, shown: Sequence[Section]) -> str:
    """Buttons that say which of several metrics the figures are about."""
    if not any(section.metric for section in shown) or len(results.goals) < 2:
        return ""
    buttons = "".join(
        f'<button type="button" data-for="{place}">{html.escape(cut(goal.metric, 40))}</button>'
        for place, goal in enumerate(results.goals)
    )
    return f'<p class="choice"><span>Figures about</span>{buttons}</p>'


def _contents(shown: Sequence[Section]) -> str:
    titles = dict.fromkeys(section.title for section in shown)
    links = "".join(f'<a href="#{_anchor(title)}">{html.escape(title)}</a>' for title in titles)
    return f'<nav>{links}<a href="#trials">Trials</a></nav>' if shown else ""


def _section(section: Section) -> str:
    """A figure with its heading; its data are drawn when it comes into view."""
    about = "" if section.metric is None else f' data-metric="{section.metric}"'
    # JSON in a script element must not end it: plotly escapes "</" and all other tags.
    text = section.figure.to_json(engine="json").replace("<", "\\u003c")
    return (
        f'<section{about} id="{_anchor(section.title, section.metric)}"><h2>{html.escape(section.title)}</h2>'
        f'<p class="muted">{html.escape(section.says)}</p>'
        f'<div class="figure" style="height: {section.figure.layout.height}px"></div>'
        f'<script type="application/json">{text}</script></section>'
    )


def _anchor(title: str, metric: int | None = None) -> str:
    name = title.lower().replace(" ", "-")
    return f"{name}-{metric}" if metric else name


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
    by = "" if best.arm is None else f", suggested by {html.escape(cut(best.arm, 80))}"
    return (
        f"<section><h2>Best configuration (trial {best.number}{by})</h2>"
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
    arm = ["arm"] if results.arms else []
    header = ["trial", "status", *metrics, *parameters[:MAX_COLUMNS], *arm, "duration", "error"]
    rows = [_cells(trial, metrics, parameters[:MAX_COLUMNS], arm) for trial in order]
    right = [all(isinstance(row[i], (int, float)) or row[i] == "" for row in rows) for i in range(len(header))]
    body = "".join(_row("td", row, right) for row in rows)
    notes = []
    if len(order) < len(results):
        notes.append(f"the first {len(order)} of {len(results)} trials")
    if len(parameters) > MAX_COLUMNS:
        notes.append(f"the first {MAX_COLUMNS} of {len(parameters)} parameters")
    note = f'<p class="muted">Shown: {", ".join(notes)}.</p>' if notes else ""
    return (
        f'<section id="trials"><h2>Trials</h2>{note}<div class="scroll"><table><thead>{_row("th", header, right)}</thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _cells(trial: Trial, metrics: Sequence[str], parameters: Sequence[str], arm: Sequence[str]) -> list[Any]:
    config = flat(trial.config)
    took = "" if trial.duration_s is None else duration(trial.duration_s)
    error = "" if trial.error is None else last_line(trial.error)
    values = [trial.metrics.get(metric, "") for metric in metrics]
    arms = [trial.arm or "" for _ in arm]
    parts = [config.get(name, "") for name in parameters]
    return [trial.number, trial.status.value, *values, *parts, *arms, took, error]


def _row(tag: str, cells: Sequence[Any], right: Sequence[bool]) -> str:
    tags = [f'{tag} class="number"' if is_number else tag for is_number in right]
    shown = ["" if cell == "" else html.escape(short(cell, 80)) for cell in cells]
    return f"<tr>{''.join(f'<{t}>{cell}</{tag}>' for t, cell in zip(tags, shown, strict=True))}</tr>"
