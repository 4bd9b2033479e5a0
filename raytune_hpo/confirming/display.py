"""The text, the table and the picture of a confirmation, for a terminal and for a notebook."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.display import svg
from raytune_hpo.display.html import notebook_table
from raytune_hpo.display.svg import Span
from raytune_hpo.display.text import config_line, counted, cut_apart, number, table
from raytune_hpo.results.summary import NAME_WIDTH, differing

if TYPE_CHECKING:
    from raytune_hpo.confirming.confirmation import Confirmation

_WIDTH, _ROW_HEIGHT = 640, 26
_MAX_RIVALS = 8  # shown by name


def confirmation_text(confirmation: Confirmation) -> str:
    """The text of ``print(confirmation)``."""
    header, rows = _table_of(confirmation)
    return "\n".join([*_lines(confirmation), "", table(header, rows)])


def confirmation_html(confirmation: Confirmation) -> str:
    """The HTML for a notebook; all text from the user is escaped."""
    head = "<br>".join(html.escape(line) for line in _lines(confirmation))
    return f"<p>{head}</p>{notebook_table(*_table_of(confirmation))}{_picture(confirmation)}"


def _lines(confirmation: Confirmation) -> list[str]:
    goal, best, num = confirmation.goals[0], confirmation.best, len(confirmation.candidates)
    counts = sorted({candidate.n for candidate in confirmation.candidates})
    each = counted(counts[0], "fresh repeat") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} fresh repeats"
    failed = f", {confirmation.num_failed} more failed" if confirmation.num_failed else ""
    noun = "configuration" if num == 1 else "configurations"
    interval = ""
    if confirmation.interval is not None:
        low, high = map(number, confirmation.interval)
        together = "" if num == 1 else f" (with all {num} at once)"
        interval = f", {confirmation.level:.0%} interval {low} to {high}{together}"
    more = f" and {len(best.numbers) - 1} more of the same" if len(best.numbers) > 1 else ""
    lines = [
        f"confirmation of {confirmation.name!r}: {num} {noun}, {each} each{failed}",
        f"best {goal.metric} ({goal.mode}): {number(best.mean)}{interval}, trial {best.numbers[0]}{more}",
        f"with {config_line(flattened(best.config))}",
    ]
    if broken := sum(not candidate.is_feasible for candidate in confirmation.candidates):
        lines.append(f"{broken} of the {num} {noun} broke an outcome constraint in most repeats")
    if len(confirmation.goals) > 1:
        lines.append(f"by their means, {len(confirmation.front)} of the {num} are still on the Pareto front")
    lines += [line for metric in confirmation.optimisms if (line := _optimism_line(confirmation, metric))]
    return [*lines, *_noise_lines(confirmation)]


def _optimism_line(confirmation: Confirmation, metric: str) -> str:
    """A line on the optimism of the search's best value; empty if there is no noise in it."""
    found = confirmation.optimisms[metric]
    if found.value == 0 and not confirmation.noises.get(metric):
        return ""
    sign, words = (1, "too good by") if found.value >= 0 else (-1, "too bad by")
    ends = sorted(sign * end for end in found.interval or ())
    span = f" ({number(ends[0])} to {number(ends[1])})" if ends else ""
    return (
        f"the search said {metric}={number(found.searched)} for its best (trial {found.number}): {words} "
        f"{number(sign * found.value)}{span}, its repeats have {number(found.confirmed)}"
    )


def _noise_lines(confirmation: Confirmation) -> list[str]:
    keyword = confirmation.keyword
    if confirmation.is_noisy is None:
        return ["no configuration completed twice, so nothing is known about the noise; give more repeats"]
    if not confirmation.is_noisy:
        said = "the objective is deterministic: all repeats of a configuration gave the same, so repeats teach nothing"
        if keyword is None:
            return [f"{said}; for fresh folds or starts let it take one, def objective(config, seed=0)"]
        return [f"{said}; it takes {keyword!r}, but its result does not depend on it"]
    noises = [f"{metric} {number(sd)}" for metric, sd in confirmation.noises.items() if sd]
    lines = [f"the objective is noisy; standard deviation of one evaluation: {', '.join(noises)}"]
    if confirmation.rivals:
        names = [str(rival.numbers[0]) for rival in confirmation.rivals[:_MAX_RIVALS]]
        noun = "trial" if len(names) == 1 else "trials"
        lines.append(f"not told apart from the best by these repeats: {noun} {', '.join(names)}")
    return lines


def _table_of(confirmation: Confirmation) -> tuple[list[str], list[list[Any]]]:
    """The header and the rows of the table; with several metrics each has its columns."""
    configs = [candidate.config for candidate in confirmation.candidates]
    parameters = differing(configs)
    several = len(confirmation.goals) > 1
    header = ["trial"]
    for goal in confirmation.goals:
        of = f" {goal.metric}" if several else ""
        header += [f"search{of}", f"mean{of}", f"sd{of}", f"interval{of}"]
    rows = []
    for candidate in confirmation.candidates:
        row: list[Any] = [candidate.numbers[0]]
        for metric, found in candidate.estimates.items():
            mean, sd = found.mean if found.n else "", "" if found.sd is None else found.sd
            interval = "" if found.interval is None else " to ".join(map(number, found.interval))
            row += [candidate.searched[metric], mean, sd, interval]
        config = flattened(candidate.config)
        rows.append([*row, candidate.n, candidate.num_failed, *(config.get(name, "") for name in parameters)])
    return [*header, "n", "failed", *cut_apart(parameters, NAME_WIDTH)], rows


def _picture(confirmation: Confirmation) -> str:
    """A picture of each candidate's interval and mean in the first metric, and its value in the search as a hollow dot."""
    spans = [
        Span(f"trial {candidate.numbers[0]}", candidate.mean, candidate.interval, candidate.search_value)
        for candidate in confirmation.candidates
        if candidate.n
    ]
    metric = confirmation.goals[0].metric
    caption = f"{metric}: mean of the repeats with its interval, and (hollow) what the search said"
    drawn = svg.draw_intervals(spans, width=_WIDTH, row_height=_ROW_HEIGHT, title=caption)
    return f'<p style="opacity: 0.7; margin: 12px 0 2px">{html.escape(caption)}</p>{drawn}'
