"""Interface of OptML: an algorithm as four functions, and a file of hyperparameters.

    def generate_data(): ...                              -> data
    def initialization(data, hyperparameters): ...        -> model
    def train(model, data, hyperparameters): ...          -> model, or None if it was trained in place
    def test_error(model, data): ...                      -> a number, the smaller the better

``raytune-hpo optml ALGORITHM.py PARAMETERS.txt`` tries every configuration of the file twice, serially and in parallel on
Ray, and says which is best and how much faster the parallel run was. ``optml.tune`` does the same from Python.

algorithm       ``Algorithm``: the four functions, from a file, module, class or dict
parameters      ``Parameters``: reads files of configurations or ranges
passes          ``tune``: one study for each pass over the configurations, serial and parallel
comparison      ``Comparison``: errors, failures and times as a table
"""

from __future__ import annotations

from raytune_hpo.optml.algorithm import Algorithm
from raytune_hpo.optml.comparison import Leg
from raytune_hpo.optml.comparison import SpeedComparison as Comparison
from raytune_hpo.optml.parameters import Parameters, parse
from raytune_hpo.optml.passes import tune

__all__ = ["Algorithm", "Comparison", "Leg", "Parameters", "parse", "tune"]
