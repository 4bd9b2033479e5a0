"""OptML's interface: an algorithm as four functions, and a file of hyperparameters.

    def generate_data(): ...                              -> data
    def initialization(data, hyperparameters): ...        -> model
    def train(model, data, hyperparameters): ...          -> model, or None where it was trained in place
    def test_error(model, data): ...                      -> a number, the smaller the better

``raytune-hpo optml ALGORITHM.py PARAMETERS.txt`` tries every configuration of the file twice, one after the other and in
parallel on Ray, and says which is best and how much sooner the parallel run was through. ``optml.tune`` does the same
from Python.
"""

from __future__ import annotations

from raytune_hpo.optml.algorithm import Algorithm
from raytune_hpo.optml.comparison import Comparison, Leg
from raytune_hpo.optml.parameters import Parameters, parse
from raytune_hpo.optml.tune import tune

__all__ = ["Algorithm", "Comparison", "Leg", "Parameters", "parse", "tune"]
