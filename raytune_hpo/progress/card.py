"""The card of a running study: plain HTML with one small picture for each metric.

Colours come from the surrounding page, apart from a few that are readable on white and on black. Every style is inline,
because notebooks strip style sheets from untrusted output. All text from the user is escaped.
"""

from __future__ import annotations

import html

from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.snapshot import Front, History, Snapshot
from raytune_hpo.display import svg
from raytune_hpo.display.colours import BRIGHT_BLUE, BRIGHT_RED, FAINT
from raytune_hpo.display.status import STATUSES
from raytune_hpo.display.svg import Dot
from raytune_hpo.display.text import cut, number, reporting_text
from raytune_hpo.goals import Goal
from raytune_hpo.progress.words import age, nothing_new, progress, share, times

_BOX = (
    f"border: 1px solid {FAINT}; border-radius: 8px; padding: 12px 16px; margin: 2px 0; max-width: 780px; "
    "box-sizing: border-box; font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; "
    "font-size: 13px; line-height: 1.45; font-variant-numeric: tabular-nums"
)
_ROW = "display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 4px 24px"
_PICTURE_ROW = "display: flex; flex-wrap: wrap; align-items: flex-end; gap: 4px 12px"  # three fit beside each other
_MUTED = "opacity: 0.7"
_CODE = "font-family: ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 12px"
_BULLET = "display: inline-block; width: 8px; height: 8px; border-radius: 4px; margin-right: 5px"
_PICTURES = {1: (440, 120), 2: (350, 120), 3: (240, 110)}  # sizes, by the number of pictures
_FRONT_PICTURES = {2: (350, 180), 3: (240, 160)}  # likewise
_CONFIG_WIDTH = 76  # characters in the table
_NAME_WIDTH = 80


def card(snapshot: Snapshot, rate: float | None, note: str = "") -> str:
    """The card of a study as HTML.

    Args:
        rate: trials per second that finish or pause; None if unknown.
        note: a problem with the card itself.
    """
    status = snapshot.status
    name = f'<b style="font-size: 14px; overflow-wrap: anywhere">{html.escape(cut(status.name, _NAME_WIDTH))}</b>'
    said = html.escape(" · ".join([*(["running"] if status.is_running else []), *times(status, rate)]))
    parts = [_div(f'{name}<span style="{_MUTED}">{said}</span>', _ROW), _progress_bar(status)]
    num_pictures = min(len(snapshot.histories) + (snapshot.front is not None), len(_PICTURES))
    pictures = "".join(_picture(history, num_pictures) for history in snapshot.histories)
    if snapshot.front is not None:
        pictures = _front_picture(snapshot.front, num_pictures) + pictures
    if len(snapshot.histories) == 1:
        parts.append(_div(_tiles(snapshot) + pictures, _ROW))
    else:  # several pictures get a line of their own
        parts += [_tiles(snapshot), _div(pictures, f"{_PICTURE_ROW}; margin-top: 8px")]
    if snapshot.best_config:
        config = f'<span style="{_CODE}; overflow-wrap: anywhere">{html.escape(snapshot.best_config)}</span>'
        is_only = len(snapshot.histories) <= 1  # else each metric has a best configuration of its own
        whose = "best" if is_only else f"best {snapshot.histories[0].metric}"
        parts.append(_div(f'<span style="{_MUTED}">{html.escape(whose)} with</span> {config}', "margin-top: 6px"))
    if snapshot.first_failure:
        why = f'<span style="{_CODE}; overflow-wrap: anywhere">{html.escape(snapshot.first_failure)}</span>'
        parts.append(_div(f'<span style="color: {BRIGHT_RED}">the first failure:</span> {why}', "margin-top: 6px"))
    if snapshot.num_reporting:
        parts.append(_div(html.escape(reporting_text(snapshot.num_reporting)), "margin-top: 6px"))
    if snapshot.running:
        parts.append(_running_trials(snapshot))
    if note:
        parts.append(_div(html.escape(note), f"margin-top: 6px; color: {BRIGHT_RED}"))
    return _div("".join(parts), _BOX)


def message_card(text: str) -> str:
    """A card with one sentence, while there is no study to show."""
    return _div(f'<span style="{_MUTED}">{html.escape(text)}</span>', _BOX)


def _progress_bar(status: StudyStatus) -> str:
    """The progress bar of trials that have finished or are paused; empty if the study has no limit."""
    done = share(status)
    if done is None:
        return ""
    ended = [(row.bright, status.counts.get(key, 0)) for key, row in STATUSES.items() if row.at_rest]
    total = sum(count for _, count in ended)
    pieces = [
        f'<div style="width: {100 * done * count / total:.2f}%; background: {colour}"></div>'
        for colour, count in ended
        if count
    ] or [f'<div style="width: {100 * done:.2f}%; background: {BRIGHT_BLUE}"></div>']
    style = f"display: flex; height: 6px; border-radius: 3px; overflow: hidden; background: {FAINT}; margin: 8px 0 10px"
    about = f'role="progressbar" aria-valuenow="{100 * done:.0f}" aria-valuemin="0" aria-valuemax="100"'
    return f'<div {about} style="{style}">{"".join(pieces)}</div>'


def _tiles(snapshot: Snapshot) -> str:
    status = snapshot.status
    label = f"trials finished{' or paused' if status.num_paused else ''}{nothing_new(status)}"
    tiles = [_tile(progress(status), label)]
    for metric, value in status.best.items():
        trial = f" (trial {status.best_number})" if len(status.best) == 1 else ""
        tiles.append(_tile(number(value), f"best {cut(metric, 40)}{trial}"))
    if status.num_infeasible:
        completed = status.counts.get("completed", 0)
        tiles.append(_tile(f"{status.num_feasible:,}", f"feasible of {completed:,} completed"))
    counts = "".join(
        f'<span style="white-space: nowrap; margin-right: 12px">'
        f'<span style="{_BULLET}; background: {row.bright}"></span>{count:,} {row.word}</span>'
        for key, row in STATUSES.items()
        if (count := status.counts.get(key))
    )
    return _div(
        "".join(tiles) + _div(counts, f"flex-basis: 100%; {_MUTED}"),
        f"{_ROW}; flex: 1 1 220px; justify-content: flex-start",
    )


def _tile(value: str, label: str) -> str:
    text = f'<span style="font-size: 20px">{html.escape(value)}</span><br><span style="{_MUTED}">{html.escape(label)}</span>'
    return _div(text, "line-height: 1.3")


def _picture(history: History, num: int) -> str:
    dots = [Dot(point.place, point.value, point.is_completed, not point.is_feasible) for point in history.points]
    note = svg.note_on_crosses(dots)
    title = f"{history.metric} of the trials in the order in which they finished, and the best so far{note}"
    drawn = svg.draw_history(
        dots,
        history.best,
        lower_is_better=Goal(history.metric, history.mode).lower_is_better,
        end=history.length,
        size=_PICTURES[num],
        title=title,
    )
    said = html.escape(f"{history.metric} ({history.mode}){note}")
    label = _div(said, f"{_MUTED}; font-size: 11px; padding-left: 20px")
    return _div(label + drawn, _fitting(_PICTURES[num])) if drawn else ""


def _front_picture(front: Front, num: int) -> str:
    """The first two metrics against each other; trials of the front are bold."""
    dots = [Dot(dot.x, dot.y, dot.is_front) for dot in front.dots]
    x_is_low, y_is_low = (
        Goal(metric, mode).lower_is_better for metric, mode in zip(front.metrics, front.modes, strict=True)
    )
    title = f"{front.metrics[1]} against {front.metrics[0]}, and the Pareto front"
    drawn = svg.draw_scatter(
        dots, front.metrics, lower_is_better=(x_is_low, y_is_low), size=_FRONT_PICTURES[num], title=title
    )
    label = _div("Pareto front", f"{_MUTED}; font-size: 11px; padding-left: 20px")
    return _div(label + drawn, _fitting(_FRONT_PICTURES[num])) if drawn else ""


def _fitting(size: tuple[int, int]) -> str:
    """The style of a picture of this size with its label, which wraps where it is longer."""
    return f"flex: 0 1 auto; min-width: 0; max-width: {size[0]}px"


def _running_trials(snapshot: Snapshot) -> str:
    """A table of the running trials that were handed out first, and the number of others."""
    with_reports = any(trial.step is not None for trial in snapshot.running)
    names = ["trial", "for", *(["last report"] if with_reports else []), "configuration"]
    head = "".join(_cell(name, "th", _MUTED) for name in names)
    rows = []
    for trial in snapshot.running:
        name = str(trial.number) if trial.attempt == 1 else f"{trial.number} (attempt {trial.attempt})"
        value = "" if trial.value is None else f": {number(trial.value)}"
        report = "" if trial.step is None else f"step {trial.step}{value}"
        cells = [_cell(name), _cell(age(trial.age_s)), *([_cell(report)] if with_reports else [])]
        cells.append(_cell(cut(trial.config, _CONFIG_WIDTH), style=f"{_CODE}; width: 99%"))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    more = snapshot.status.counts.get("running", 0) - len(snapshot.running)
    rest = _div(f"and {more:,} more", f"{_MUTED}; margin-top: 2px") if more > 0 else ""
    style = "border-collapse: collapse; margin: 8px 0 0; font-size: 12px; width: 100%; table-layout: auto"
    body = "".join(rows)
    table = f'<table style="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f"{_div(table, 'overflow-x: auto')}{rest}"


def _cell(text: str, tag: str = "td", style: str = "") -> str:
    box = f"text-align: left; padding: 3px 18px 3px 0; border: 0; border-top: 1px solid {FAINT}; white-space: nowrap"
    weight = "; font-weight: normal; border-top: 0" if tag == "th" else ""
    return f'<{tag} style="{box}{weight}; {style}">{html.escape(text)}</{tag}>'


def _div(content: str, style: str) -> str:
    return f'<div style="{style}">{content}</div>'
