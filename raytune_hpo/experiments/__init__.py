"""Experiments: a whole search, many times over, on a virtual clock.

    task = experiments.find_task("table.csv")
    plan = experiments.Plan(sampler=preset("GP", "EI"), until=experiments.Until.read(["goal=0.99", "time=12h"]))
    for run in experiments.repeats(task, plan, 100, "out/gp-ei"):
        ...
    print(experiments.Summary.of(...))

A task is a lookup table, or a file with an objective that says how long it takes.
"""

from raytune_hpo.experiments.plan import Plan, Until
from raytune_hpo.experiments.summary import Summary
from raytune_hpo.experiments.table import LookupTable
from raytune_hpo.experiments.tasks import Task, find_task

__all__ = ["LookupTable", "Plan", "Summary", "Task", "Until", "find_task"]
