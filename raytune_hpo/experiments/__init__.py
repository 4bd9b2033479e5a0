"""Experiments: a whole search, many times over, on a virtual clock.

    task = find_task("table.csv")
    plan = Plan(sampler=preset("GP", "EI"), until=Until.read(["goal=0.99", "time=12h"]))
    searches = [search(task, plan, repeat) for repeat in range(100)]
    print(Summary(searches=searches, goal=plan.until.goal, mode=task.mode).text([3600, 43200]))

A task is a space and an objective that says how long it takes; a lookup table makes one.
"""

from raytune_hpo.experiments.plan import Plan, Until
from raytune_hpo.experiments.searching import search
from raytune_hpo.experiments.summary import Summary
from raytune_hpo.experiments.table import LookupTable
from raytune_hpo.experiments.tabulating import tabulate
from raytune_hpo.experiments.tasks import Task, find_task

__all__ = ["LookupTable", "Plan", "Summary", "Task", "Until", "find_task", "search", "tabulate"]
