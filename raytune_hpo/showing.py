"""Results for a terminal and for a notebook: a summary and the best rows, short whatever the study's size."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from raytune_hpo.analysis.best import ranked
from raytune_hpo.analysis.columns import flat
from raytune_hpo.texts import config_line, counts_line, cut, duration, last_line, number, short, table
from raytune_hpo.trial import Status, Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

ROWS = 5
MAX_PARAMETERS = 6  # columns of a table for people
_CELL = 'style="padding: 2px 10px; text-align: left"'


def as_text(results: Results, *, more: str = "") -> str:
    """What ``print(results)`` shows; ``more`` says where there is more, if not in the results themselves."""
    lines = summary_lines(results)
    rows = best_rows(results, ROWS)
    if rows:
        lines += ["", table(header_of(results, rows), [row_of(results, trial, rows) for trial in rows])]
    if more or len(results) > len(rows):
        lines += ["", more or f"all {len(results)} trials: results.to_dataframe(), results.to_csv(path)"]
    return "\n".join(lines)


def as_html(results: Results) -> str:
    """What a notebook shows; everything that came from a user is escaped."""
    head = "<br>".join(html.escape(line) for line in summary_lines(results))
    rows = best_rows(results, ROWS)
    if not rows:
        return f"<p>{head}</p>"
    cells = [row_of(results, trial, rows) for trial in rows]
    body = "".join(f"<tr>{''.join(f'<td {_CELL}>{html.escape(short(v))}</td>' for v in row)}</tr>" for row in cells)
    top = "".join(f"<th {_CELL}>{html.escape(name)}</th>" for name in header_of(results, rows))
    return f"<p>{head}</p><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def summary_lines(results: Results) -> list[str]:
    """The study in two to five lines: counts, what stopping saved, the best value and its configuration."""
    lines = [f"study {results.name!r}: {len(results)} trials ({counts_line(results.num_by_status)}){_took(results)}"]
    if saved := savings_line(results):
        lines.append(saved)
    if len(results.goals) > 1 and results.best_trials:
        lines.append(f"Pareto front: {len(results.best_trials)} trials, see results.best_trials")
    if results.best_trials:
        best = results.best_trial
        lines.append(f"best {goal_text(results)}: {number(results.best_value)} (trial {best.number})")
        lines.append(f"with {config_line(flat(best.config))}")
    elif len(results):
        lines.append(first_error(results))
    return lines


def goal_text(results: Results, index: int = 0) -> str:
    """A metric and its direction."""
    goal = results.goals[index]
    return f"{goal.metric} ({goal.mode})"


def savings_line(results: Results) -> str:
    """What early stopping saved, empty if it stopped nobody."""
    savings = results.savings
    if not savings.num_pruned or savings.saved_s is None or savings.share is None:
        return ""
    return (
        f"stopping {savings.num_pruned} trials early saved about {duration(savings.saved_s)} of worker time "
        f"({savings.share:.0%}; had each gone on at its own pace)"
    )


def first_error(results: Results) -> str:
    """Why there is nothing to show, as far as one can tell."""
    failed = next((trial for trial in results if trial.status is Status.FAILED), None)
    if failed is None:
        return "no trial has completed yet"
    return cut(f"no trial has completed; trial {failed.number} failed with: {last_line(failed.error)}", 200)


def best_rows(results: Results, num: int) -> list[Trial]:
    """The trials that a short table shows: the front, or the best in the only metric."""
    return ranked(results.best_trials if len(results.goals) > 1 else results.trials)[:num]


def header_of(results: Results, rows: list[Trial]) -> list[str]:
    """The columns of a short table."""
    shown = _parameters(rows)
    hidden = len({name for trial in rows for name in flat(trial.config)}) - len(shown)
    more = [f"+{hidden} more"] if hidden else []
    return ["trial", *(goal.metric for goal in results.goals), *shown, *more, "duration"]


def row_of(results: Results, trial: Trial, rows: list[Trial]) -> list[Any]:
    """The cells of one trial under ``header_of``."""
    config = flat(trial.config)
    shown = _parameters(rows)
    values = [config.get(name, "") for name in shown]
    more = [""] if len({name for other in rows for name in flat(other.config)}) > len(shown) else []
    metrics = [trial.metrics.get(goal.metric, "") for goal in results.goals]
    return [trial.number, *metrics, *values, *more, "" if trial.duration_s is None else duration(trial.duration_s)]


def _parameters(rows: list[Trial]) -> list[str]:
    """The first parameters that differ among the rows, or the first ones if none does."""
    seen: dict[str, set[str]] = {}
    for trial in rows:
        for name, value in flat(trial.config).items():
            seen.setdefault(name, set()).add(short(value))
    differing = [name for name, values in seen.items() if len(values) > 1]
    return (differing or list(seen))[:MAX_PARAMETERS]


def _took(results: Results) -> str:
    times = [t.finished_at for t in results if t.finished_at is not None]
    if not times:
        return ""
    return f", {duration(max(times) - min(trial.created_at for trial in results))} from first to last"
