"""Experiments: a whole search repeated many times on a virtual clock.

    plan = Plan(sampler=preset("GP", "EI"), until=Until.read(["goal=0.99", "time=12h"]))
    found = run_experiment("table.csv", 100, plan, folder="experiments")
    print(found)
    found.to_dataframe()

A task is a space and an objective that reports how long it takes; it comes from a lookup table or a Python file.
``search`` runs a single repeat.
"""

from raytune_hpo.experiments.comparing import Comparison, load_all
from raytune_hpo.experiments.experiment import Experiment
from raytune_hpo.experiments.plan import Plan, Until
from raytune_hpo.experiments.runner import run_experiment
from raytune_hpo.experiments.search import search
from raytune_hpo.experiments.summary import Summary
from raytune_hpo.experiments.tasks import Task, find_task
from raytune_hpo.samplers.presets import preset
from raytune_hpo.tables.design import tabulate
from raytune_hpo.tables.lookup_table import LookupTable

__all__ = [
    "Comparison",
    "Experiment",
    "LookupTable",
    "Plan",
    "Summary",
    "Task",
    "Until",
    "find_task",
    "load_all",
    "preset",
    "run_experiment",
    "search",
    "tabulate",
]
