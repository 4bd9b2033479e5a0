"""The summary of results for a terminal and for a notebook, short for studies of any size."""

from __future__ import annotations

import html
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raytune_hpo.analysis.best import front_points, num_reporting, ranked
from raytune_hpo.analysis.borders import borders
from raytune_hpo.analysis.columns import flattened
from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.analysis.series import MetricSeries
from raytune_hpo.display import svg
from raytune_hpo.display.html import notebook_table
from raytune_hpo.display.svg import Dot
from raytune_hpo.display.text import (
    config_line,
    counted,
    counts_line,
    cut,
    cut_apart,
    duration,
    number,
    reporting_text,
    short,
    table,
    terminal_columns,
    visible,
)
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.thinning import evenly_chosen, strided
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

ROWS = 5
MAX_DOTS = 400  # in a picture
MAX_PARAMETERS = 6  # columns of a table for people
NAME_WIDTH = 30  # characters of a parameter's name above its column
_SIZE = (640, 240)


def results_text(results: Results, *, more: str = "") -> str:
    """The text of ``print(results)``; ``more`` says where to find the other trials."""
    lines = summary_lines(results)
    rows = best_rows(results, ROWS)
    if rows:
        lines += ["", _best_table(results, rows, _terminal_room())]
    if more or len(results) > len(rows):
        all_of_them = "the trial" if len(results) == 1 else f"all {len(results):,} trials"
        lines += ["", more or f"{all_of_them}: results.to_dataframe(), results.to_csv(path)"]
    return "\n".join(lines)


def _best_table(results: Results, rows: list[Trial], room: int | None) -> str:
    """The short table, with as many parameters as fit into the columns of the terminal, but at least one."""
    text = ""
    for most in range(MAX_PARAMETERS, 0, -1):
        text = table(header_of(results, rows, most), [row_of(results, trial, rows, most) for trial in rows])
        if room is None or max(map(terminal_columns, text.splitlines())) <= room:
            break
    return text


def _terminal_room() -> int | None:
    """The columns of the terminal; None where the text goes elsewhere."""
    is_seen = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_seen else None


def results_html(results: Results) -> str:
    """The HTML for a notebook; all text from the user is escaped."""
    head = "<br>".join(html.escape(line) for line in summary_lines(results))
    rows = best_rows(results, ROWS)
    if not rows:
        return f"<p>{head}</p>"
    best = notebook_table(header_of(results, rows), [row_of(results, trial, rows) for trial in rows])
    return f"<p>{head}</p>{best}{picture(results)}"


def picture(results: Results) -> str:
    """The picture of a study: its history or, with several metrics, the Pareto front of the first two."""
    return _front_picture(results) if len(results.goals) > 1 else _history_picture(results)


def _history_picture(results: Results) -> str:
    goal = results.goals[0]
    metric = goal.metric
    shown = (results[index] for index in strided(len(results), MAX_DOTS))
    dots = [
        Dot(trial.number, trial.metrics[metric], trial.status is Status.COMPLETED, bool(trial.violations))
        for trial in shown
        if _is_drawn(trial, results.goals)
    ]
    better = evenly_chosen(MetricSeries(goal, results.arrays).improvements, MAX_DOTS)
    best = [(index, results[index].metrics[metric]) for index in better]
    caption = f"{goal_text(results)} by trial{', and the best so far' if best else ''}{svg.note_on_crosses(dots)}"
    drawn = svg.draw_history(
        dots, best, lower_is_better=goal.lower_is_better, end=len(results) - 1, size=_SIZE, title=caption
    )
    return _captioned(drawn, caption)


def _front_picture(results: Results) -> str:
    x, y = results.goals[:2]
    front = {trial.number for trial in results.best_trials}
    completed = [t for t in results if t.status is Status.COMPLETED and _is_drawn(t, (x, y))]
    others = [t for t in completed if t.number not in front]
    shown = [
        *[others[index] for index in strided(len(others), MAX_DOTS)],
        *evenly_chosen([t for t in completed if t.number in front], MAX_DOTS),
    ]
    dots = [Dot(t.metrics[x.metric], t.metrics[y.metric], t.number in front, bool(t.violations)) for t in shown]
    beside = ", and the Pareto front" if front else ""
    caption = f"{goal_text(results, 1)} against {goal_text(results)}{beside}{svg.note_on_crosses(dots)}"
    lower_is_better = (x.lower_is_better, y.lower_is_better)
    drawn = svg.draw_scatter(dots, (x.metric, y.metric), lower_is_better=lower_is_better, size=_SIZE, title=caption)
    return _captioned(drawn, caption)


def _is_drawn(trial: Trial, goals: Sequence[Goal]) -> bool:
    values = [trial.metrics.get(goal.metric) for goal in goals]
    return trial.status is not Status.FAILED and all(isinstance(value, (int, float)) for value in values)


def _captioned(drawn: str, caption: str) -> str:
    return f'<p style="opacity: 0.7; margin: 12px 0 2px">{html.escape(caption)}</p>{drawn}' if drawn else ""


def summary_lines(results: Results) -> list[str]:
    """The summary of a study in a few lines: counts, savings from stopping, the best value and its configuration."""
    took, times = "", [t.finished_at for t in results if t.finished_at is not None]
    if times:
        took = f", {duration(max(times) - min(trial.created_at for trial in results))} from first to last"
    counts = f" ({counts_line(results.num_by_status)})" if len(results) else ""
    lines = [f"study {results.name!r}: {counted(len(results), 'trial')}{counts}{took}"]
    if saved := savings_line(results):
        lines.append(saved)
    if repeated := restarts_line(results):
        lines.append(repeated)
    if unjudged := unjudged_line(results):
        lines.append(unjudged)
    if len(results.arms) > 1:
        lines.append(arms_line(results))
    if results.best_trials and (broken := violations_text(results)):
        lines.append(broken)
    if len(results.goals) > 1 and results.best_trials:
        num = len(results.best_trials)
        some = f"; {ROWS} of them, evenly" if num > ROWS else ""
        lines.append(f"Pareto front: {counted(num, 'trial')}, see results.best_trials{some}")
        if any(goal.threshold is not None for goal in results.goals):
            lines.append(thresholds_line(results))
        lines += [best_line(results, index) for index in range(len(results.goals))]
    elif results.best_trials:
        best = results.best_trial
        lines.append(f"best {goal_text(results)}: {number(results.best_value)} (trial {best.number})")
        lines.append(f"with {config_line(flattened(best.config))}")
        if hint := border_line(results):
            lines.append(hint)
    elif len(results):
        lines.append(why_no_best(results))
        if reporting := num_reporting(results):
            lines.append(reporting_text(reporting))
    return [*lines, *noise_lines(results)]


def violations_text(results: Results) -> str:
    """The number of completed trials that break outcome constraints, and which constraints; empty if there are none."""
    broken = [trial for trial in results if trial.violations]
    if not broken:
        return ""
    counts = [(sum(c.metric in trial.violations for trial in broken), c) for c in results.spec.constraints]
    which = ", ".join(f"{visible(str(constraint))} by {count}" for count, constraint in counts if count)
    num = len(broken) + len(results.feasible)
    return cut(f"{len(results.feasible)} of {num} completed trials are feasible; broken: {which}", 400)


def thresholds_line(results: Results) -> str:
    """A line on the thresholds: how much of the front reaches them."""
    bounds = ", ".join(visible(str(goal)) for goal in results.goals if goal.threshold is not None)
    num = len(results.best_past_thresholds)
    return f"past the thresholds ({bounds}): {num} of {len(results.best_trials)} of the front"


def best_line(results: Results, index: int) -> str:
    """A line on the best value of one of several metrics, and the trial that has it."""
    goal = results.goals[index]
    best = min(results.best_trials, key=lambda trial: (trial.losses or ())[index])
    return f"best {goal_text(results, index)}: {number(best.metrics[goal.metric])} (trial {best.number})"


def arms_line(results: Results) -> str:
    """A line on the arms of a portfolio: the number of trials that each suggested, and which arm suggested the best."""
    best = results.best_trial.arm if len(results.goals) == 1 and results.best_trials else None
    found = [f"{short(arm)} {num}{' (the best)' if arm == best else ''}" for arm, num in results.arms.items()]
    return cut(f"suggested by: {', '.join(found)}", 400)


def border_line(results: Results) -> str:
    """A line on the bounds of ranges at which the best trials lie; empty if there are none, or with several metrics."""
    found = borders(results.spec.space, results.trials) if len(results.goals) == 1 else []
    if not found:
        return ""
    ends = ", ".join(f"{visible(border.parameter)} ({border.end} end, {number(border.bound)})" for border in found)
    return f"best at the border of {ends}: widen {'it' if len(found) == 1 else 'them'} if values beyond make sense"


def noise_lines(results: Results) -> list[str]:
    """A line on noise, if the same configuration had different values."""
    noise = results.noise
    if noise is None or not noise.num_differing:
        return []
    repeated = f"{noise.num_differing} of the {noise.num_repeated} configurations that were tried again"
    return [f"noisy: {repeated} differ, sd {number(noise.sd)}; results.confirm() says what the best is worth"]


def goal_text(results: Results, index: int = 0) -> str:
    """A metric and its direction."""
    goal = results.goals[index]
    return f"{visible(goal.metric)} ({goal.mode})"


def savings_line(results: Results) -> str:
    """A line on the savings from trials that were cut short; empty if there are none."""
    savings = results.savings
    told = (("stopping", savings.num_pruned), ("pausing", savings.num_paused))
    how = [f"{word} {counted(num, 'trial')} early" for word, num in told if num]
    if not how or savings.saved_s is None or savings.share is None:
        return ""
    return (
        f"{' and '.join(how)} saved about {duration(savings.saved_s)} of worker time "
        f"({savings.share:.0%}; had each continued at its own pace)"
    )


def restarts_line(results: Results) -> str:
    """A line on the cost of resuming trials without checkpoints; empty if there was none."""
    savings = results.savings
    if not savings.num_restarted:
        return ""
    return (
        f"{counted(savings.num_restarted, 'trial')} started over when resumed, for lack of a checkpoint: "
        f"{duration(savings.repeated_s)} of worker time was spent again; hpo.report(..., save=...) prevents that"
    )


def unjudged_line(results: Results) -> str:
    """A line on a scheduler that had nothing to judge, since the objective reports no steps; empty for any other study."""
    scheduler = results.spec.scheduler
    if scheduler is None or not results.best_trials or any(trial.reports for trial in results):
        return ""
    return f"scheduler {scheduler.name!r} stopped nothing: no trial has reported; call hpo.report(..., step=...) on the way"


def why_no_best(results: Results) -> str:
    """A line on why a study has no best trial, as far as it is known."""
    if broken := violations_text(results):
        return broken
    failed = next((trial for trial in results if trial.status is Status.FAILED), None)
    if failed is None:
        return "no trial has completed"
    return cut(f"no trial has completed; trial {failed.number} failed with: {reason_of_failure(failed)}", 200)


def best_rows(results: Results, num: int) -> list[Trial]:
    """The trials of a short table: points spread over the front or, with one metric, the best trials."""
    if len(results.goals) > 1:
        return [point.trial for point in front_points(results.best_trials, results.goals, num)]
    return ranked(results.arrays, num)


def header_of(results: Results, rows: list[Trial], most: int = MAX_PARAMETERS) -> list[str]:
    """The columns of a short table, with at most ``most`` parameters."""
    shown = _parameters(rows, most)
    names = cut_apart(shown, NAME_WIDTH)
    hidden = len({name for trial in rows for name in flattened(trial.config)}) - len(shown)
    more = [f"+{hidden} more"] if hidden else []
    arm = ["arm"] if _has_arms(rows) else []
    broken = ["breaks"] if _have_violations(rows) else []
    return ["trial", *(goal.metric for goal in results.goals), *broken, *names, *more, *arm, "duration"]


def row_of(results: Results, trial: Trial, rows: list[Trial], most: int = MAX_PARAMETERS) -> list[Any]:
    """The cells of one trial under ``header_of``."""
    config = flattened(trial.config)
    shown = _parameters(rows, most)
    values = [config.get(name, "") for name in shown]
    more = [""] if len({name for other in rows for name in flattened(other.config)}) > len(shown) else []
    metrics = [trial.metrics.get(goal.metric, "") for goal in results.goals]
    arm = [trial.arm or ""] if _has_arms(rows) else []
    broken = [", ".join(trial.violations)] if _have_violations(rows) else []
    took = "" if trial.duration_s is None else duration(trial.duration_s)
    return [trial.number, *metrics, *broken, *values, *more, *arm, took]


def _have_violations(rows: list[Trial]) -> bool:
    return any(trial.violations for trial in rows)


def _has_arms(rows: list[Trial]) -> bool:
    """Whether a column of arms is informative, since the rows come from different arms."""
    return len({trial.arm for trial in rows}) > 1


def _parameters(rows: list[Trial], most: int) -> list[str]:
    return differing([trial.config for trial in rows], most)


def differing(configs: Sequence[Mapping[str, Any]], most: int = MAX_PARAMETERS) -> list[str]:
    """At most ``most`` parameters for a table: those that differ among the configurations come before the others."""
    seen: dict[str, set[str]] = {}
    for config in configs:
        for name, value in flattened(config).items():
            seen.setdefault(name, set()).add(short(value))
    various = [name for name, values in seen.items() if len(values) > 1]
    return list(dict.fromkeys([*various, *seen]))[:most]
