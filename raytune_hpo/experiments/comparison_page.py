"""HTML page of a comparison: the experiments' plans, the table and the figures."""

from __future__ import annotations

import html
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo.display.text import config_line, duration, number
from raytune_hpo.experiments import figures
from raytune_hpo.experiments.plan import NUM_TRIALS
from raytune_hpo.files import write_whole
from raytune_hpo.plots.document import contents, document, figure_section, page_table
from raytune_hpo.plots.sections import Section

if TYPE_CHECKING:
    from raytune_hpo.experiments import Comparison, Experiment


def write_page(compared: Comparison, path: str | PathLike[str]) -> None:
    """Write the page atomically."""
    sections = list(_sections(compared))
    names = [experiment.name for experiment in compared.experiments]
    title = names[0] if len(names) == 1 else f"{len(names)} experiments"
    plans = "<br>".join(html.escape(_plan_line(experiment)) for experiment in compared.experiments)
    body = [
        f'<p class="muted">{plans}</p>',
        contents(["Results", *(section.title for section in sections)]),
        _results(compared),
        *map(figure_section, sections),
    ]
    write_whole(Path(path), document(title, "".join(body)))


def _sections(compared: Comparison) -> Iterator[Section]:
    ended = [experiment for experiment in compared.experiments if len(experiment)]
    if not ended:
        return
    if any(experiment.plan.until.goal is not None for experiment in ended):
        says = (
            "How many repeats had reached the goal by a given time, which counts trials and the optimizer's own time."
        )
        yield Section(title="Reaching the goal", says=says, figure=figures.share_with_time(ended))
    says = "A search that has ended keeps its best. The dotted line is the goal."
    yield Section(title="Best so far", says=says, figure=figures.best_with_time(ended))
    if any(experiment.summary.turns_of_arms() for experiment in ended):
        says = "Which arm suggested the trials that ended then, in all repeats."
        yield Section(title="Arms", says=says, figure=figures.turns_of_arms(ended))


def _results(compared: Comparison) -> str:
    """The section with the table and the notes on searches that were cut short."""
    right = [False, *[True] * (len(compared.header) - 1)]
    table = page_table(compared.header, compared.rows(), right)
    note = (
        "Shares of repeats that reached the goal with their 95% intervals (Wilson 1927); the mean time of those that did; "
        "the best of the median repeat; the means of trials and of the optimizer's own time."
    )
    known = "".join(f"<p>{html.escape(line)}</p>" for line in compared.cut_short())
    return f'<section id="results"><h2>Results</h2><p class="muted">{note}</p>{table}{known}</section>'


def _plan_line(experiment: Experiment) -> str:
    """The task and the plan of an experiment, in words."""
    plan, until = experiment.plan, experiment.plan.until
    ends = [f"at {experiment.metric} = {number(until.goal)}"] if until.goal is not None else []
    ends += [f"after {duration(until.time_s)}"] if until.time_s is not None else []
    ends += [f"after {until.num_trials:,} trials"] if until.time_s is None or until.num_trials != NUM_TRIALS else []
    words = [f"{experiment.name}: {experiment.task}", f"sampler {_part_text(plan.sampler)}"]
    words += [f"scheduler {_part_text(plan.scheduler)}"] if plan.scheduler is not None else []
    words += [f"{plan.num_workers} workers"] if plan.num_workers > 1 else []
    return "; ".join([*words, f"each search ends {' or '.join(ends)}"])


def _part_text(part: Any) -> str:
    """A sampler or scheduler, its name first."""
    if isinstance(part, str):
        return part
    options = {key: value for key, value in part.items() if key != "name"}
    return f"{part['name']} ({config_line(options, 160)})" if options else str(part["name"])
